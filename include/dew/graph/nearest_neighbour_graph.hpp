// SPDX-License-Identifier: BSL-1.0
// Graphs of near hits in a space of features: NearestNeighbourGraph, RadiusGraph, CompleteGraph.
#pragma once
#include <limits>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph/pair_features.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

namespace detail {
/// `count` columns of x [N, f] from `first` on; 0: all behind it.
inline Tensor feature_slice(Tensor const& x, std::int64_t first, std::int64_t count, std::string_view who) {
  check(first >= 0 && count >= 0 && first + count <= x.size(1) && first < x.size(1), ErrorKind::usage,
        "{}: expected columns among the {} hit features, got first_feature = {}, features = {}", who, x.size(1), first, count);
  return x.narrow(1, first, count > 0 ? count : x.size(1) - first);
}
/// What such a graph writes.
inline RecordOf<Keys<EdgeIndex, EdgeFeatures>> graph_on(Tensor const& x, Tensor const& edge_index) {
  return RecordOf<Keys<EdgeIndex, EdgeFeatures>>{key::edge_index = edge_index, key::edge_features = pair_features(x, edge_index)};
}
}  // namespace detail

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

/// Joins every hit with every other: N·(N − 1) edges, sorted by target. For events of some hundred hits.
struct CompleteGraph {
  static constexpr std::string_view name = "complete_graph";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    auto const n = x.size(0);
    auto const row = at::arange(n, x.options().dtype(at::kLong));
    auto const target = row.repeat_interleave(n), source = row.repeat({n});
    auto const others = (source != target).nonzero().squeeze(1);
    return detail::graph_on(x, at::stack({source.index_select(0, others), target.index_select(0, others)}));
  }
  auto truth() const { return SameParticleEdges{}; }
  bool operator==(CompleteGraph const&) const = default;
};
static_assert(GraphBuilder<CompleteGraph> && BringsTruth<CompleteGraph>);

}  // namespace dew
