// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/upper_bound.hpp"

#include <doctest/doctest.h>

#include "metric/small_graph.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::small_graph;

TEST_CASE("the upper bound is that of the components of the true edges") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto g = small_graph(seed + trial);
    auto const record = g.graph();
    auto const path = test::all_paths(g, [&](auto i, auto j) { return g.same(i, j); });
    for (std::size_t i = 0; i < g.id.size(); ++i)  // the lowest hit that can be reached
      for (std::size_t j = g.id.size(); j-- > 0;)
        if (std::isfinite(path[i][j])) g.label[i] = std::int64_t(j);
    auto const expected = test::tracking_by_definition(g, {.pt_min_gev = 0.6, .eta_max = 3});
    CHECK(test::are_figures(expected, UpperBound{{.pt_min_gev = 0.6, .eta_max = 3}}(record)));
    auto other = g;
    for (auto& label : other.label) label = -1;
    auto const none = test::tracking_by_definition(other, {.pt_min_gev = 0.6, .eta_max = 3});
    if (expected.at("tracks") > 0) CHECK_FALSE(test::are_figures(none, UpperBound{{.pt_min_gev = 0.6, .eta_max = 3}}(record)));
  }
}

TEST_CASE("a graph that misses one of five hits cannot be perfect - one true edge that is called false splits") {
  test::SmallGraph g;
  g.id = {1, 1, 1, 1, 1, 2}, g.label.assign(6, -1);
  g.truth_id = {1, 2}, g.truth_hits = {5, 1}, g.truth_pt = {2, 2}, g.truth_eta = {0, 0}, g.truth_reconstructable = {true, false};
  g.source = {0, 1, 2, 3}, g.target = {1, 2, 3, 5};
  auto figures = UpperBound{}(g.graph());
  std::map<std::string, double> named(figures.begin(), figures.end());
  CHECK(named.at("double_majority") == 1);
  CHECK(named.at("perfect") == 0);
  CHECK(named.at("fake_double_majority") == 0);
  auto const relabelled = g.graph().with(key::edge_truth = at::tensor({1, 0, 1, 0}, at::kLong) > 0);
  figures = UpperBound{}(relabelled);
  named = {figures.begin(), figures.end()};
  CHECK(named.at("double_majority") == 0);
  CHECK(named.at("tracks") == 0);
}
