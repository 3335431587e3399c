// SPDX-License-Identifier: BSL-1.0
// LearnedGraphMetrics: how good a graph is that joins whatever is near in a learned space. N hits, E edges.
#pragma once
#include <cstdint>
#include <limits>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/hits_of_interest.hpp"
#include "dew/metric/ratio.hpp"

namespace dew {

/// Efficiency and purity of a graph that holds both directions, whatever layers its edges join. arXiv:2312.03823.
///
/// Hits of interest: id > 0, reconstructable, pt > pt_min_gev, |η| < eta_max. Over the edges with an end of interest: `efficiency` = Σ y /
/// (2 · pairs of hits of one particle, both of interest), `purity` = mean y; `edges` (all), `edges_of_interest`. Each edge counts as it stands,
/// so that a graph in one direction reaches 1/2. Edges with an unknown end (id −1) are left out of purity. NaN where there is nothing to divide
/// by. O(E + N log N), on any device.
struct LearnedGraphMetrics {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "hits of interest are of particles with a larger pt"),
                              DEW_OPTION(eta_max, "", "hits of interest are of particles with a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "learned_quality";
  using Reads = Keys<EdgeIndex, EdgeTruth, ParticleId, Pt, Eta, Reconstructable>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const id = event[key::particle_id];
    auto const of_interest = hits_of_interest(event, options.pt_min_gev, options.eta_max);  // [N]
    auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
    auto const of = [](Tensor const& of_hit, Tensor const& end) { return of_hit.index_select(0, end); };
    auto const known = at::logical_and(of(id, source) >= 0, of(id, target) >= 0);
    auto const counted = at::logical_and(known, at::logical_or(of(of_interest, source), of(of_interest, target)));  // [E]
    auto const ids = std::get<0>(id.masked_select(of_interest).sort());
    auto const hits = std::get<2>(at::unique_consecutive(ids, false, true));  // of each particle of interest
    auto const sum = [](Tensor const& t) { return double(t.sum().item<std::int64_t>()); };
    double const pairs_both_ways = sum(hits * (hits - 1)), edges = sum(counted),
                 found = sum(at::logical_and(counted, event[key::edge_truth]));
    return {{"efficiency", detail::ratio(found, pairs_both_ways)},
            {"purity", detail::ratio(found, edges)},
            {"edges", double(source.size(0))},
            {"edges_of_interest", edges}};
  }

  bool operator==(LearnedGraphMetrics const&) const = default;
};
static_assert(Metric<LearnedGraphMetrics>);

}  // namespace dew
