// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/nearest_neighbour_graph.hpp"

#include <doctest/doctest.h>

#include "graph/edges_by_loops.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("nearest neighbour graph: the k nearest by loops, in the chosen columns, with their features") {
  seed();
  auto const event = features(40);
  auto const& x = event[key::hit_features];
  CHECK(edges_of(NearestNeighbourGraph{{.k = 3}}(event)[key::edge_index]) == nearest_by_loops(x, 3, 1e9));
  CHECK(edges_of(NearestNeighbourGraph{{.k = 5, .radius = 0.9}}(event)[key::edge_index]) == nearest_by_loops(x, 5, 0.9));
  auto const sliced = NearestNeighbourGraph{{.k = 3, .first_feature = 1, .features = 2}}(event);
  CHECK(edges_of(sliced[key::edge_index]) == nearest_by_loops(x.narrow(1, 1, 2), 3, 1e9));
  CHECK(edges_of(sliced[key::edge_index]) != nearest_by_loops(x, 3, 1e9));
  auto const e = 7;
  auto const s = x[sliced[key::edge_index][0][e]], t = x[sliced[key::edge_index][1][e]];
  CHECK(at::equal(sliced[key::edge_features][e], at::cat({s - t, s + t})));
  CHECK_THROWS_WITH_AS((NearestNeighbourGraph{{.first_feature = 3, .features = 2}}(event)), doctest::Contains("among the 4 hit features"),
                       Error);
}
