// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/neighbour_scan.hpp"

#include <doctest/doctest.h>

#include "metric/two_chains.hpp"

using namespace dew;
using test::two_chains;
using test::values;

TEST_CASE("a scan over k: the graph of the nearest neighbours within the radius") {
  auto const got = values(NeighbourScan{{.k_max = 3, .radius = 0.5}}(two_chains()));
  CHECK(got.size() == 12);
  CHECK(got.at("1.edges") == 8);
  CHECK(got.at("3.whole") == 0.5);  // 5 and 6 are 0.9 apart
  CHECK(values(NeighbourScan{{.k_max = 3, .radius = 1}}(two_chains())).at("3.whole") == 1);
  auto const stopped = values(NeighbourScan{{.k_max = 3, .radius = 0.5, .edges_max = 10}}(two_chains()));
  CHECK(stopped.at("1.edges") == 8);
  CHECK(std::isnan(stopped.at("2.edges")));
  CHECK(std::isnan(stopped.at("3.whole")));
}
