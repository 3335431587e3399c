// SPDX-License-Identifier: BSL-1.0
// LearnedGraph: joins hits that a network has put near each other.
#pragma once
#include <limits>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph/pair_features.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

/// Each hit with its k nearest others in the embedding, of these those nearer than `radius`, strictly. From arXiv:2312.03823.
///
/// Reads the embedding H [N, d] and hit features x [N, f]; writes edges neighbour → hit [2, E], sorted by target, then by distance; hit features
/// x or [H, x] (every later stage sees them); edge features [x_s − x_t, x_s + x_t] of these. Time some O(N·k log N) in few dimensions, memory
/// O(N·k). Exact, no gradient through the search. Put an `EdgeSubsample` and an edge filter behind it: most of its edges are false.
struct LearnedGraph {
  struct Options {
    std::int64_t k = 256;
    double radius = 1;
    bool embedding_features = false;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(k, "", "neighbours of a hit"), DEW_OPTION(radius, "", "largest distance of them; 0: any"),
                              DEW_OPTION(embedding_features, "", "put the embedding before the hit features"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "learned_graph";
  using Reads = Keys<HitEmbedding, HitFeatures>;
  using Writes = Keys<EdgeIndex, EdgeFeatures, HitFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& h = event[key::hit_embedding];
    auto const& x = event[key::hit_features];
    auto const features = options.embedding_features ? at::cat({h, x}, 1) : x;
    auto const radius = options.radius > 0 ? options.radius : std::numeric_limits<double>::infinity();
    auto const edge_index = nearest_neighbours(h.detach(), options.k, radius).edge_index();
    return RecordOf<Writes>{key::edge_index = edge_index, key::edge_features = pair_features(features, edge_index),
                            key::hit_features = features};
  }
  auto truth() const { return SameParticleEdges{}; }
  bool operator==(LearnedGraph const&) const = default;
};
static_assert(GraphBuilder<LearnedGraph> && BringsTruth<LearnedGraph>);

}  // namespace dew
