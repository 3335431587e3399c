// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/graph_metrics.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "support/seed.hpp"

using namespace dew;

namespace {
using Named = std::map<std::string, double>;
Named named(Figures const& figures) { return {figures.begin(), figures.end()}; }

struct Graph {
  std::vector<std::int64_t> id, layer, source, target;
  std::vector<double> pt;
  std::vector<std::int64_t> y;
  auto record(at::ScalarType real = at::kDouble) const {
    return Record{key::edge_index = at::stack({at::tensor(source, at::kLong), at::tensor(target, at::kLong)}),
                  key::edge_truth = at::tensor(y, at::kLong) > 0, key::particle_id = at::tensor(id, at::kLong),
                  key::pt = at::tensor(pt, at::kDouble).to(real), key::layer = at::tensor(layer, at::kLong)};
  }
};
Graph random_graph(std::uint32_t seed) {
  std::mt19937 random(seed);
  Graph g;
  for (int i = 0; i < 60; ++i) {
    auto const id = std::int64_t(random() % 9) - 1;
    g.id.push_back(id), g.layer.push_back(random() % 6), g.pt.push_back(id > 0 ? 0.3 * double(id) : 0);
  }
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (int e = 0; e < 200; ++e) {
    auto const s = std::int64_t(random() % 60), t = std::int64_t(random() % 60);
    if (s == t || !seen.insert({std::min(s, t), std::max(s, t)}).second) continue;
    g.source.push_back(s), g.target.push_back(t), g.y.push_back(g.id[std::size_t(s)] == g.id[std::size_t(t)] && g.id[std::size_t(s)] > 0);
  }
  return g;
}
/// By definition, for a graph whose edges are in one direction.
Named by_definition(Graph const& g, double cut) {
  double possible = 0, found = 0, all = 0, known = 0, possible_above = 0, found_above = 0;
  for (std::int64_t p = 1; p < 9; ++p) {
    std::map<std::int64_t, double> on;
    double pt = 0;
    for (std::size_t i = 0; i < g.id.size(); ++i)
      if (g.id[i] == p) ++on[g.layer[i]], pt = g.pt[i];
    double before = 0;
    for (auto const& [layer, n] : on) possible += before * n, possible_above += pt > cut ? before * n : 0, before = n;
  }
  for (std::size_t e = 0; e < g.source.size(); ++e) {
    auto const s = std::size_t(g.source[e]), t = std::size_t(g.target[e]);
    ++all, known += g.id[s] >= 0 && g.id[t] >= 0, found += g.y[e], found_above += g.y[e] && g.pt[s] > cut;
  }
  return {{"efficiency", found / possible},
          {"purity", found / known},
          {"edges", all},
          {"hits", double(g.id.size())},
          {"edges_per_hit", all / double(g.id.size())},
          {fmt::format("pt{}.efficiency", cut), found_above / possible_above}};
}
bool agree(Named const& a, Named const& b) {
  if (a.size() != b.size()) return false;
  for (auto const& [name, value] : a)
    if (!b.contains(name) || !(std::abs(b.at(name) - value) < 1e-12)) return false;
  return true;
}
}  // namespace

TEST_CASE("graph figures are those of the definition, directed, undirected and half of each") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const g = random_graph(seed + trial);
    auto const expected = by_definition(g, 0.9);
    CHECK(agree(expected, named(GraphMetrics{}(g.record()))));
    CHECK(agree(expected, named(GraphMetrics{}(g.record(at::kFloat)))));
    auto both = g;  // the reverse of every second edge, behind
    for (std::size_t e = 0; e < g.source.size(); e += 2)
      both.source.push_back(g.target[e]), both.target.push_back(g.source[e]), both.y.push_back(g.y[e]);
    CHECK(agree(expected, named(GraphMetrics{}(both.record()))));
    auto undirected = g;
    undirected.source.insert(undirected.source.end(), g.target.begin(), g.target.end());
    undirected.target.insert(undirected.target.end(), g.source.begin(), g.source.end());
    undirected.y.insert(undirected.y.end(), g.y.begin(), g.y.end());
    CHECK(agree(expected, named(GraphMetrics{}(undirected.record()))));
  }
}

TEST_CASE("the oracle of graph figures rejects wrong ones") {
  auto const g = random_graph(1);
  auto const expected = by_definition(g, 0.9);
  auto fewer = g;
  fewer.source.pop_back(), fewer.target.pop_back(), fewer.y.pop_back();
  CHECK_FALSE(agree(expected, named(GraphMetrics{}(fewer.record()))));
  auto false_truth = g;
  for (auto& y : false_truth.y)
    if (y) {
      y = 0;
      break;
    }
  CHECK_FALSE(agree(expected, named(GraphMetrics{}(false_truth.record()))));
  auto other_layer = g;
  for (std::size_t i = 0; i < g.id.size(); ++i)
    if (g.id[i] > 0) other_layer.layer[i] = 0;
  CHECK_FALSE(agree(expected, named(GraphMetrics{}(other_layer.record()))));
}

TEST_CASE("a particle's chain over occupied layers, doubled hits counted as products") {
  // particle 1: layers 2, 5, 5, 9; possible 1·2 + 2·1 = 4; two edges found
  Graph const g{{1, 1, 1, 1, 0}, {2, 5, 5, 9, 2}, {0, 1, 0}, {1, 3, 4}, {1, 1, 1, 1, 0}, {1, 1, 0}};
  auto const figures = named(GraphMetrics{{.pt_cuts_gev = {1}}}(g.record()));
  CHECK(figures.at("efficiency") == 0.5);
  CHECK(figures.at("purity") == doctest::Approx(2.0 / 3));
  CHECK(std::isnan(figures.at("pt1.efficiency")));  // no particle strictly above
}

TEST_CASE("no hit, no edge: undefined") {
  auto const figures = named(GraphMetrics{}(Graph{}.record()));
  CHECK(std::isnan(figures.at("efficiency")));
  CHECK(std::isnan(figures.at("purity")));
  CHECK(figures.at("edges") == 0);
  CHECK(std::isnan(figures.at("edges_per_hit")));
}
