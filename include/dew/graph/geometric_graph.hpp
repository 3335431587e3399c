// SPDX-License-Identifier: BSL-1.0
// GeometricGraph: joins hits on neighbouring layers that a track from the beam line could join.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/geometry/geometry.hpp"
#include "dew/graph/geometric_edge_truth.hpp"
#include "dew/ops/geometric_edges.hpp"

namespace dew {

/// A graph of hits from cuts on the line between two of them; the way in for everything that learns on edges.
///
/// For each pair of layers (inner, outer) of the geometry, hits 1 and 2 are joined when, strictly, |Δφ/Δr| < phi_slope_max,
/// |z₁ − r₁·Δz/Δr| < z0_max_mm and √(Δη² + Δφ²) < dr_max. Edges whose line crosses a layer between the two are dropped (option).
/// Reads `position` [N, 3] mm and `layer` [N]; writes `edge_index` [2, E], sorted by (source, target), and `edge_features` [E, 4] =
/// Δr/1000, Δφ/π, Δz/1000, ΔR. Undirected (default): E edges, then their E reverses in the same order, whose first three features change
/// sign. With `two_hop`, pairs (a, c) for which (a, b) and (b, c) are pairs are joined too: tracks survive a missing hit.
///
/// Time and memory grow with the edges kept (see `geometric_edges`). The same bits for any number of threads. arXiv:2103.16701, section 3.
/// Not for tracks that do not point to the beam line (large impact parameters): the z₀ and slope cuts lose them.
struct GeometricGraph {
  struct Options {
    double phi_slope_max = 0.005;
    double z0_max_mm = 200;
    double dr_max = 1.7;
    bool drop_intersecting = true;
    bool relabel = true;
    bool undirected = true;
    bool two_hop = false;
    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(phi_slope_max, "rad/mm", "largest |dphi/dr| of an edge"),
          DEW_OPTION(z0_max_mm, "mm", "largest distance from the origin at which an edge's line meets the beam line"),
          DEW_OPTION(dr_max, "", "largest distance of an edge's ends in (eta, phi)"),
          DEW_OPTION(drop_intersecting, "", "drop edges whose line crosses a layer between the two"),
          DEW_OPTION(relabel, "", "truth: of a particle's edges from barrel to endcap, only the outermost are true"),
          DEW_OPTION(undirected, "", "add the reverse of every edge"),
          DEW_OPTION(two_hop, "", "also join layers that two pairs of layers lead to; no crossing cut, no relabelling"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  Geometry geometry = pixel_detector();  ///< the pairs of layers that are joined, and the radii that lines must not cross

  static constexpr std::string_view name = "geometric_graph";
  using Reads = Keys<Position, Layer>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto pairs = options.two_hop ? two_hop_pairs(geometry) : geometry.pairs();
    if (!options.drop_intersecting)
      for (auto& pair : pairs) pair.crossing_r_mm = 0;
    GeometricCuts const cuts{options.phi_slope_max, options.z0_max_mm, options.dr_max};
    auto edges = geometric_edges(event[key::position], event[key::layer], pairs, cuts, options.undirected);
    return RecordOf<Writes>{key::edge_index = edges.edge_index, key::edge_features = edges.features};
  }

  /// Tells graphs of different geometries apart in a cache.
  std::string cache_text() const {
    std::string text;
    for (auto const& pair : geometry.pairs())
      text += fmt::format("{}-{} {} {};", pair.inner, pair.outer, pair.crossing_r_mm, pair.crossing_z_mm);
    return text;
  }

  /// The stage that writes the edges' truth where it is known.
  auto truth() const { return GeometricEdgeTruth{{.relabel = options.relabel && !options.two_hop}, geometry}; }

  bool operator==(GeometricGraph const&) const = default;
};
static_assert(GraphBuilder<GeometricGraph>);
static_assert(BringsTruth<GeometricGraph>);

}  // namespace dew
