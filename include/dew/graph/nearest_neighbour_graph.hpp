// SPDX-License-Identifier: BSL-1.0
// NearestNeighbourGraph: the nearest hits in a space of features.
#pragma once
#include <limits>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph/pair_features.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

/// Joins each hit with its k nearest others in (a slice of) the hit features; of these, those nearer than `radius`, strictly. Edges
/// neighbour → hit [2, E], sorted by target, then by distance; edge features [x_s − x_t, x_s + x_t] [E, 2f]. Time some O(N·k log N) in few
/// dimensions, memory O(N·k). Exact, reproducible, no gradient through the search. Not directed by physics: scale the features first.
struct NearestNeighbourGraph {
  struct Options {
    std::int64_t k = 16;
    double radius = 0;
    std::int64_t first_feature = 0;
    std::int64_t features = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(k, "", "neighbours of a hit"), DEW_OPTION(radius, "", "largest distance of them; 0: any"),
                              DEW_OPTION(first_feature, "", "first column of the hit features that distances are taken in"),
                              DEW_OPTION(features, "", "number of those columns; 0: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "nearest_neighbour_graph";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    auto const space = detail::feature_slice(x, options.first_feature, options.features, name);
    auto const radius = options.radius > 0 ? options.radius : std::numeric_limits<double>::infinity();
    return detail::graph_on(x, nearest_neighbours(space, options.k, radius).edge_index());
  }
  auto truth() const { return SameParticleEdges{}; }
  bool operator==(NearestNeighbourGraph const&) const = default;
};
static_assert(GraphBuilder<NearestNeighbourGraph> && BringsTruth<NearestNeighbourGraph>);

}  // namespace dew
