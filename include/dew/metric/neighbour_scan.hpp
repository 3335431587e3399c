// SPDX-License-Identifier: BSL-1.0
// NeighbourScan: what graphs of the k nearest hits in an embedding keep of the particles.
#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>

#include "dew/metric/graph_scan.hpp"
#include "dew/metric/segment_metrics.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

/// For k = 1 … k_max, figures of the graph of the k nearest neighbours in `hit_embedding` [N, d] at a distance < radius: `k.more_than_half`,
/// `k.more_than_three_quarters`, `k.whole` as `SegmentMetrics` defines them, and `k.edges`; NaN from the first k on that makes more than
/// edges_max. `scan_in(summary, "neighbour_scan")` reads them off where one reaches a target. arXiv:2312.03823.
struct NeighbourScan {
  struct Options {
    std::int64_t k_max = 9;
    double radius = 1;
    std::int64_t edges_max = 5'000'000;
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(k_max, "", "largest number of neighbours"), DEW_OPTION(radius, "", "largest distance of them"),
                              DEW_OPTION(edges_max, "", "most edges that are looked at"),
                              DEW_OPTION(pt_min_gev, "GeV", "particles of interest have a larger pt"),
                              DEW_OPTION(eta_max, "", "particles of interest have a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "neighbour_scan";
  using Reads = UnionOf<Keys<HitEmbedding>, DifferenceOf<SegmentMetrics::Reads, Keys<EdgeIndex>>>;

  Figures operator()(RecordOf<Reads> const& event) const {
    SegmentMetrics const segments{{.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max}};
    // One search: the k nearest of a hit are the first of its k_max nearest, which stand nearest first.
    auto const nearest = nearest_neighbours(event[key::hit_embedding], options.k_max, options.radius);
    auto const all = nearest.edge_index();
    auto const rank = at::arange(all.size(1), all.options()) - nearest.offsets.index_select(0, all[1]);  // of a neighbour, from 0
    Figures figures;
    bool small = true;
    for (std::int64_t k = 1; k <= options.k_max; ++k) {
      auto const edges = small ? all.index_select(1, (rank < k).nonzero().squeeze(1)) : Tensor();
      small = small && edges.size(1) <= options.edges_max;
      if (small) detail::add_scanned(figures, double(k), segments(event.with(key::edge_index = edges)), edges.size(1));
      else detail::add_scanned(figures, double(k), {}, -1);
    }
    return figures;
  }

  bool operator==(NeighbourScan const&) const = default;
};
static_assert(Metric<NeighbourScan>);

}  // namespace dew
