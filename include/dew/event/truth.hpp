// SPDX-License-Identifier: BSL-1.0
// SameParticleEdges: the truth of any graph's edges.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Edge truth where the truth is known: an edge is true when both ends carry the same id > 0. For any graph; noise (0) and unknown hits (−1)
/// make no true edge. Reads `edge_index` [2, E] and `particle_id` [N], writes `edge_truth` [E]. O(E), on any device.
struct SameParticleEdges {
  static constexpr std::string_view name = "same_particle_edges";
  static constexpr bool labelled_only = true;
  using Reads = Keys<EdgeIndex, ParticleId>;
  using Writes = Keys<EdgeTruth>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const id = event[key::particle_id];
    auto const source = id.index_select(0, event[key::edge_index][0]), target = id.index_select(0, event[key::edge_index][1]);
    return RecordOf<Writes>{key::edge_truth = at::logical_and(source == target, source > 0)};
  }

  bool operator==(SameParticleEdges const&) const = default;
};
static_assert(Transform<SameParticleEdges>);
static_assert(LabelledOnly<SameParticleEdges>);

}  // namespace dew
