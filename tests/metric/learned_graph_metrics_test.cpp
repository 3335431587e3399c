// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/learned_graph_metrics.hpp"

#include <doctest/doctest.h>

#include "metric/small_graph.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::small_graph;
using test::SmallGraph;

namespace {
std::map<std::string, double> named(Figures const& figures) { return {figures.begin(), figures.end()}; }

std::map<std::string, double> by_definition(SmallGraph const& g, double pt_min, double eta_max) {
  auto const of_interest = [&](std::size_t i) {
    if (g.id[i] <= 0) return false;
    auto const p = g.row(g.id[i]);
    return g.truth_reconstructable[p] && g.truth_pt[p] > pt_min && std::abs(g.truth_eta[p]) < eta_max;
  };
  double pairs = 0, edges = 0, found = 0;
  for (std::size_t i = 0; i < g.id.size(); ++i)
    for (std::size_t j = i + 1; j < g.id.size(); ++j) pairs += g.same(i, j) && of_interest(i) && of_interest(j);
  for (std::size_t e = 0; e < g.source.size(); ++e) {
    auto const s = std::size_t(g.source[e]), t = std::size_t(g.target[e]);
    if (g.id[s] < 0 || g.id[t] < 0 || !(of_interest(s) || of_interest(t))) continue;
    ++edges, found += g.same(s, t);
  }
  double const nan = std::numeric_limits<double>::quiet_NaN();
  return {{"efficiency", pairs > 0 ? found / (2 * pairs) : nan},
          {"purity", edges > 0 ? found / edges : nan},
          {"edges", double(g.source.size())},
          {"edges_of_interest", edges}};
}
}  // namespace

TEST_CASE("learned quality is that of the definition") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 40; ++trial) {
    auto const g = small_graph(seed + trial);
    CHECK(test::are_figures(by_definition(g, 0.9, 4), LearnedGraphMetrics{}(g.graph())));
    CHECK(test::are_figures(by_definition(g, 0.5, 3), LearnedGraphMetrics{{.pt_min_gev = 0.5, .eta_max = 3}}(g.graph())));
  }
}

TEST_CASE("the oracle of learned quality rejects wrong figures") {
  auto const g = small_graph(2);
  auto const good = LearnedGraphMetrics{{.pt_min_gev = 0.2}}(g.graph());
  REQUIRE(test::are_figures(by_definition(g, 0.2, 4), good));
  REQUIRE(named(good).at("efficiency") > 0);
  for (std::size_t k = 0; k < good.size(); ++k) {
    auto wrong = good;
    wrong[k].second += 0.01;
    CHECK_FALSE(test::are_figures(by_definition(g, 0.2, 4), wrong));
  }
  auto noisier = g;
  for (auto& id : noisier.id) id = id > 0 && id < 6 ? 0 : id;
  CHECK_FALSE(test::are_figures(by_definition(noisier, 0.2, 4), good));
}

TEST_CASE("a complete graph has efficiency 1 in both directions, 1/2 in one - noise costs purity, unknown hits nothing") {
  SmallGraph g;
  g.id = {1, 1, 1, 0, -1}, g.label.assign(5, -1);
  g.truth_id = {1}, g.truth_hits = {3}, g.truth_pt = {2}, g.truth_eta = {0}, g.truth_reconstructable = {true};
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < i; ++j) g.source.push_back(i), g.target.push_back(j);
  auto const one_way = named(LearnedGraphMetrics{}(g.graph()));
  CHECK(one_way.at("efficiency") == 0.5);
  CHECK(one_way.at("purity") == 0.5);  // 3 of 6: those with the unknown hit are left out
  CHECK(one_way.at("edges") == 10);
  auto both = g;
  both.source.insert(both.source.end(), g.target.begin(), g.target.end());
  both.target.insert(both.target.end(), g.source.begin(), g.source.end());
  CHECK(named(LearnedGraphMetrics{}(both.graph())).at("efficiency") == 1);
  CHECK(named(LearnedGraphMetrics{}(both.graph())).at("purity") == 0.5);
  CHECK(std::isnan(named(LearnedGraphMetrics{{.pt_min_gev = 2}}(g.graph())).at("efficiency")));  // strictly above
}
