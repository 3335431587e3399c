// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/geometric_edge_truth.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "support/seed.hpp"

using namespace dew;

namespace {
/// Truth by definition, in loops over edges.
std::vector<bool> truth_by_definition(std::vector<std::int64_t> const& source, std::vector<std::int64_t> const& target,
                                      std::vector<std::int64_t> const& id, std::vector<std::int64_t> const& layer, bool relabel) {
  auto const barrel_of = [&](std::size_t e) -> std::int64_t {  // of a transition, else -1
    auto const a = std::min(layer[source[e]], layer[target[e]]), b = std::max(layer[source[e]], layer[target[e]]);
    if (a == 6 && b >= 7 && b <= 10) return b;
    return b == 11 && a >= 7 && a <= 10 ? a : -1;
  };
  auto const same = [&](std::size_t e) { return id[source[e]] == id[target[e]] && id[source[e]] > 0; };
  std::vector<bool> y;
  for (std::size_t e = 0; e < source.size(); ++e) {
    bool good = same(e);
    if (relabel && barrel_of(e) >= 0)
      for (std::size_t f = 0; f < source.size(); ++f)
        if (same(f) && id[source[f]] == id[source[e]] && barrel_of(f) > barrel_of(e)) good = false;
    y.push_back(good);
  }
  return y;
}
Tensor bools(std::vector<bool> const& values) {
  auto out = at::zeros({std::int64_t(values.size())}, at::kBool);
  for (std::size_t i = 0; i < values.size(); ++i) out[std::int64_t(i)] = bool(values[i]);
  return out;
}
auto edges(std::vector<std::int64_t> const& source, std::vector<std::int64_t> const& target, std::vector<std::int64_t> const& id,
           std::vector<std::int64_t> const& layer) {
  return Record{key::edge_index = at::stack({at::tensor(source, at::kLong), at::tensor(target, at::kLong)}),
                key::particle_id = at::tensor(id, at::kLong), key::layer = at::tensor(layer, at::kLong)};
}
}  // namespace

TEST_CASE("geometric edge truth is that of the definition, whatever the edges' direction") {
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  int relabelled = 0;
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::int64_t> id, layer, source, target;
    for (int i = 0; i < 30; ++i) id.push_back(std::int64_t(random() % 6) - 1), layer.push_back(5 + std::int64_t(random() % 8));
    for (int e = 0; e < 80; ++e) source.push_back(random() % 30), target.push_back(random() % 30);
    auto const event = edges(source, target, id, layer);
    auto const with = truth_by_definition(source, target, id, layer, true), without = truth_by_definition(source, target, id, layer, false);
    relabelled += with != without;
    CHECK(at::equal(GeometricEdgeTruth{}(event)[key::edge_truth], bools(with)));
    CHECK(at::equal(GeometricEdgeTruth{{.relabel = false}}(event)[key::edge_truth], bools(without)));
  }
  CHECK(relabelled > 0);  // so that the test tells the two apart
}

TEST_CASE("the kernel of the truth equals its reference on graphs of many edges, on any number of threads") {
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  std::vector<std::int64_t> id, layer, source, target;
  for (int i = 0; i < 3000; ++i) id.push_back(std::int64_t(random() % 500) - 1), layer.push_back(std::int64_t(random() % 22) - 2);
  for (int e = 0; e < 200000; ++e) {
    auto const i = std::int64_t(random() % 3000);
    auto j = std::int64_t(random() % 3000);
    if (e % 2) j = std::find(id.begin() + j, id.end(), id[std::size_t(i)]) - id.begin();  // half of them true
    source.push_back(i), target.push_back(j == 3000 ? 0 : j);
  }
  auto const event = edges(source, target, id, layer);
  auto const threads = at::get_num_threads();
  for (bool relabel : {true, false})
    for (auto const& geometry : {pixel_detector(), full_detector(), Geometry("none", {}, {})}) {
      GeometricEdgeTruth const truth{{.relabel = relabel}, geometry};
      auto const expected = truth.reference(event)[key::edge_truth];
      CHECK(expected.any().item<bool>());
      for (int n : {1, 2, 3}) {
        at::set_num_threads(n);
        CHECK(at::equal(truth(event)[key::edge_truth], expected));
      }
    }
  at::set_num_threads(threads);
}

TEST_CASE("an edge to a hit that is not there is no truth") {
  CHECK_THROWS_WITH_AS(GeometricEdgeTruth{}(edges({0, 1}, {1, 2}, {1, 1}, {7, 8})), doctest::Contains("edge 1 joins hits 1 and 2 of 2"),
                       Error);
}

TEST_CASE("of doubled transitions only those from the outermost barrel layer stay true") {
  // one particle on layers 7, 8 (barrel), 6 and 11 (endcaps), another one on 7 and 6, noise on 9 and 6
  std::vector<std::int64_t> const layer{7, 8, 6, 11, 7, 6, 9, 6}, id{1, 1, 1, 1, 2, 2, 0, 0};
  auto const y = GeometricEdgeTruth{}(edges({0, 0, 1, 0, 4, 6, 4}, {1, 2, 2, 3, 5, 7, 2}, id, layer))[key::edge_truth];
  CHECK(at::equal(y, bools({true, false, true, false, true, false, false})));
}

TEST_CASE("unknown hits and noise have no true edge - no edge, no truth") {
  auto const y = GeometricEdgeTruth{}(edges({0, 2}, {1, 3}, {-1, -1, 0, 0}, {7, 8, 7, 8}))[key::edge_truth];
  CHECK_FALSE(y.any().item<bool>());
  auto const none = Record{key::edge_index = at::empty({2, 0}, at::kLong), key::particle_id = at::empty({0}, at::kLong),
                           key::layer = at::empty({0}, at::kLong)};
  CHECK(GeometricEdgeTruth{}(none)[key::edge_truth].size(0) == 0);
}
