// SPDX-License-Identifier: BSL-1.0
// ComponentTracking: the score of the baseline that joins hits by edges above a score.
#pragma once
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/track_matching.hpp"
#include "dew/ops/union_find.hpp"

namespace dew {

/// The tracking figures of connected components: what an edge classifier reaches without a condenser, printed beside the pipeline's own.
///
/// For each score s the tracks are the components of the edges with w > s, strictly, and are scored as in `TrackingMetrics` for particles
/// with pt ≥ pt_min_gev. Figures `score0.5.double_majority` … for each s, and `best.…` for the s with the largest double majority *in this
/// event* (ties: the lowest s), `best.score` itself: the baseline at its best, no worse than any one s for all events. O((E + N log N) ·
/// scores).
struct ComponentTracking {
  struct Options {
    std::vector<double> scores = {0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(scores, "", "edges above each of these make components"),
                              DEW_OPTION(pt_min_gev, "GeV", "smallest pt of particles that count"),
                              DEW_OPTION(eta_max, "", "largest |eta| of particles that count"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "components";
  using Reads = UnionOf<Keys<EdgeIndex, EdgeScore>, DifferenceOf<TrackMatching::Reads, Keys<Label>>>;

  Figures operator()(RecordOf<Reads> const& event) const {
    Figures figures, best;
    double best_majority = -1;
    for (auto const score : options.scores) {
      auto const kept = event[key::edge_index].index_select(1, (event[key::edge_score] > score).nonzero().squeeze(1));
      auto const labels = component_labels(kept, event[key::particle_id].size(0));
      auto const found =
          TrackMatching(event.with(key::label = labels)).score({.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max});
      for (auto const& [figure, value] : found) figures.emplace_back(fmt::format("score{}.{}", score, figure), value);
      auto const majority = found.front().second;
      if (best.empty() || majority > best_majority) {
        best.clear();
        for (auto const& [figure, value] : found) best.emplace_back("best." + figure, value);
        best.emplace_back("best.score", std::isnan(majority) ? std::numeric_limits<double>::quiet_NaN() : score);
        best_majority = majority;
      }
    }
    figures.insert(figures.end(), best.begin(), best.end());
    return figures;
  }
  /// What a summary of a few lines shows.
  std::vector<std::string> headlines() const { return {"best.double_majority", "best.perfect", "best.fake_double_majority"}; }

  bool operator==(ComponentTracking const&) const = default;
};
static_assert(Metric<ComponentTracking>);

}  // namespace dew
