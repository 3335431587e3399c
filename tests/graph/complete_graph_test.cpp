// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/complete_graph.hpp"

#include <doctest/doctest.h>

#include "graph/edges_by_loops.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("complete graph: every ordered pair") {
  seed();
  for (std::int64_t n : {0, 1, 2, 7}) {
    auto const out = CompleteGraph{}(features(n));
    CHECK(std::int64_t(edges_of(out[key::edge_index]).size()) == n * (n - 1));
    CHECK(out[key::edge_features].sizes() == at::IntArrayRef{n * (n - 1), 8});
  }
}
