// SPDX-License-Identifier: BSL-1.0
// ObjectProperties: the payload loss of object condensation, on what a model says of each hit's particle.
// N hits, J of them of a reconstructable particle, P such particles, p properties. From arXiv:2002.03605, equations (10) and (12).
#pragma once
#include <array>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/loss/hits_of_interest.hpp"

namespace dew {

/// How hits are weighed against each other.
enum class PropertyMode {
  efficiency,  ///< each particle counts alike, and within one its confident hits
  purity,      ///< each hit counts as its confidence says
};
constexpr auto names_of(PropertyMode) { return std::array{"efficiency", "purity"}; }

/// With ξ = artanh²β, m = Σ_c (predicted − true)², over the hits of reconstructable particles (id > 0):
///
///     efficiency: mean over particles of Σ_{j ∈ p} ξ_j m_j / Σ_{j ∈ p} ξ_j          purity: Σ_j ξ_j m_j / Σ_j ξ_j
///
/// Reads `properties` [N, p], which a model of yours writes, and `true_properties` [N, p], which a labelled-only stage of yours writes: the
/// same quantities in the same columns, scaled to order 1. A particle whose hits all have β = 0 adds 0. Time and memory O(N·p).
struct ObjectProperties {
  struct Options {
    PropertyMode mode = PropertyMode::efficiency;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(mode, "", "each particle counts alike, or each hit by its confidence"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "object_properties";
  using Reads = Keys<Properties, TrueProperties, Beta, ParticleId, Reconstructable>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const &predicted = event[key::properties], &truth = event[key::true_properties];
    check(predicted.size(1) == truth.size(1), "{}: expected as many properties as true ones, got {} and {}", name, shape_text(predicted),
          shape_text(truth));
    auto const hits = (event[key::particle_id] > 0).logical_and(event[key::reconstructable]).nonzero().squeeze(1);  // [J]
    if (hits.size(0) == 0) return detail::zero_of(predicted);
    auto const xi = at::atanh(event[key::beta].index_select(0, hits)).square();                                 // [J]
    auto const weighed = xi * (predicted.index_select(0, hits) - truth.index_select(0, hits)).square().sum(1);  // [J]
    auto const ratio = [](Tensor const& above, Tensor const& below) { return above / below.clamp_min(1e-30); };
    if (options.mode == PropertyMode::purity) return ratio(weighed.sum(), xi.sum());
    auto const sorted = std::get<0>(at::sort(event[key::particle_id].index_select(0, hits)));
    auto const ids = std::get<0>(at::unique_consecutive(sorted));                                // [P]
    auto const particle = at::searchsorted(ids, event[key::particle_id].index_select(0, hits));  // [J]
    auto const by_particle = [&](Tensor const& t) { return at::zeros({ids.size(0)}, t.options()).index_add(0, particle, t); };
    return ratio(by_particle(weighed), by_particle(xi)).mean();
  }
  bool operator==(ObjectProperties const&) const = default;
};
static_assert(Loss<ObjectProperties>);

}  // namespace dew
