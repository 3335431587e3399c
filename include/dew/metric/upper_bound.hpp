// SPDX-License-Identifier: BSL-1.0
// UpperBound: the tracking figures that a perfect edge classifier would reach on a graph.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/track_matching.hpp"
#include "dew/ops/union_find.hpp"

namespace dew {

/// The figures of `TrackMatching` for the connected components of the true edges, single hits too: the best that connected components can do
/// on this graph. For particles with pt ≥ pt_min_gev and |η| < eta_max. Figures `double_majority` … `tracks`. O((E + N) log N), on the CPU.
/// Not a bound for a condenser, which may join what the graph does not.
struct UpperBound {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "smallest pt of particles that count"),
                              DEW_OPTION(eta_max, "", "largest |eta| of particles that count"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "upper_bound";
  using Reads = UnionOf<Keys<EdgeIndex, EdgeTruth>, DifferenceOf<TrackMatching::Reads, Keys<Label>>>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const true_edges = event[key::edge_index].index_select(1, event[key::edge_truth].nonzero().squeeze(1));
    auto const labels = component_labels(true_edges, event[key::particle_id].size(0));
    return TrackMatching(event.with(key::label = labels)).score({.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max});
  }

  bool operator==(UpperBound const&) const = default;
};
static_assert(Metric<UpperBound>);

}  // namespace dew
