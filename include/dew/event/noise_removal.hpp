// SPDX-License-Identifier: BSL-1.0
// NoiseRemoval: drops hits that are known to be noise.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Keeps every hit whose particle id is not 0; unknown hits (−1) stay. Only where the truth is known: for studies of what noise costs, and
/// for training without it. A trained pipeline runs on bare hits, noise among them. Reads `particle_id` [N], returns a mask [N], which the
/// pipeline applies to the hits and to what points at them. O(N), any device.
struct NoiseRemoval {
  struct Options {
    static constexpr auto describe() { return hana::make_tuple(); }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "noise_removal";
  static constexpr bool labelled_only = true;
  using Selects = Hits;
  using Reads = Keys<ParticleId>;

  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::particle_id] != 0; }  // [N]

  bool operator==(NoiseRemoval const&) const = default;
};
static_assert(Transform<NoiseRemoval> && DropsRows<NoiseRemoval> && LabelledOnly<NoiseRemoval>);

}  // namespace dew
