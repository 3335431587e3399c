// SPDX-License-Identifier: BSL-1.0
// RadiusGraph: all near hits in a space of features.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph/pair_features.hpp"
#include "dew/ops/radius_neighbours.hpp"

namespace dew {

/// Joins all ordered pairs of hits nearer than `radius`, strictly, in (a slice of) the hit features; no limit on their number. Edges and edge
/// features as `NearestNeighbourGraph`, rows of a target by index. Time and memory grow with the edges.
struct RadiusGraph {
  struct Options {
    double radius = 0.1;
    std::int64_t first_feature = 0;
    std::int64_t features = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(radius, "", "hits nearer than this are joined"),
                              DEW_OPTION(first_feature, "", "first column of the hit features that distances are taken in"),
                              DEW_OPTION(features, "", "number of those columns; 0: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "radius_graph";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    auto const space = detail::feature_slice(x, options.first_feature, options.features, name);
    return detail::graph_on(x, radius_neighbours(space, options.radius).edge_index());
  }
  auto truth() const { return SameParticleEdges{}; }
  bool operator==(RadiusGraph const&) const = default;
};
static_assert(GraphBuilder<RadiusGraph> && BringsTruth<RadiusGraph>);

}  // namespace dew
