// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/learned_graph.hpp"

#include <doctest/doctest.h>

#include "graph/edges_by_loops.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("learned graph: neighbours in the embedding, features of the hits, with the embedding before them if asked") {
  seed();
  auto const event = features(40).with(key::hit_embedding = at::randn({40, 3}));
  auto const& h = event[key::hit_embedding];
  auto const plain = LearnedGraph{{.k = 4, .radius = 1}}(event);
  CHECK(edges_of(plain[key::edge_index]) == nearest_by_loops(h, 4, 1));
  CHECK(at::equal(plain[key::hit_features], event[key::hit_features]));
  CHECK(plain[key::edge_features].size(1) == 8);
  auto const both = LearnedGraph{{.k = 4, .radius = 0, .embedding_features = true}}(event);
  CHECK(edges_of(both[key::edge_index]) == nearest_by_loops(h, 4, 1e9));
  CHECK(at::equal(both[key::hit_features], at::cat({h, event[key::hit_features]}, 1)));
  CHECK(both[key::edge_features].size(1) == 14);
}
