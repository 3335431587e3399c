// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/radius_graph.hpp"

#include <doctest/doctest.h>

#include "graph/edges_by_loops.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("radius graph: all pairs nearer than the radius") {
  seed();
  auto const event = features(40);
  auto const& x = event[key::hit_features];
  CHECK(edges_of(RadiusGraph{{.radius = 1.5}}(event)[key::edge_index]) == nearest_by_loops(x, 40, 1.5));
}
