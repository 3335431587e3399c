// SPDX-License-Identifier: BSL-1.0
// ScoreScan: what a cut on the edges' scores leaves of the particles.
#pragma once
#include <string_view>
#include <vector>

#include "dew/metric/graph_scan.hpp"
#include "dew/metric/segment_metrics.hpp"

namespace dew {

/// For each threshold τ, figures of the graph of the edges with w > τ: `τ.more_than_half`, `τ.more_than_three_quarters`, `τ.whole` as
/// `SegmentMetrics` defines them, and `τ.edges`. `scan_in(summary, "score_scan")` reads them off where one reaches a target. Costs as many times
/// what `SegmentMetrics` costs. arXiv:2312.03823.
struct ScoreScan {
  struct Options {
    std::vector<double> thresholds = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(thresholds, "", "cuts on the edges' scores"),
                              DEW_OPTION(pt_min_gev, "GeV", "particles of interest have a larger pt"),
                              DEW_OPTION(eta_max, "", "particles of interest have a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "score_scan";
  using Reads = UnionOf<SegmentMetrics::Reads, Keys<EdgeScore>>;

  Figures operator()(RecordOf<Reads> const& event) const {
    SegmentMetrics const segments{{.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max}};
    Figures figures;
    for (auto const threshold : options.thresholds) {
      auto const kept = event.select(event[key::edge_score] > threshold, Edges{});
      detail::add_scanned(figures, threshold, segments(kept), kept.rows(Edges{}));
    }
    return figures;
  }

  bool operator==(ScoreScan const&) const = default;
};
static_assert(Metric<ScoreScan>);

}  // namespace dew
