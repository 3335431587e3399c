// SPDX-License-Identifier: BSL-1.0
#include "dew/event/true_pairs.hpp"

#include <doctest/doctest.h>

#include <set>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<ParticleId, Position>;
using Pair = std::pair<std::int64_t, std::int64_t>;

std::vector<Pair> pairs(Event const& event, PairsOfHits which) {
  auto const edges = TruePairs{{.pairs = which}}(event)[key::true_edge_index];
  CHECK(edges.dim() == 2);
  std::vector<Pair> out;
  for (std::int64_t t = 0; t < edges.size(1); ++t) out.emplace_back(edges[0][t].item<std::int64_t>(), edges[1][t].item<std::int64_t>());
  return out;
}
}  // namespace

TEST_CASE("true pairs: all, each once and outwards - consecutive ones by distance from the origin, not by r") {
  std::int64_t const big = (1LL << 60) + 1;
  Event const e{
      key::particle_id = at::tensor(
          {big, std::int64_t(7), big, std::int64_t(0), big, std::int64_t(-1), big - 1, std::int64_t(0), std::int64_t(-1)}, at::kLong),
      key::position = at::tensor({0.,   30.,     40., /**/ 1., 1.,      1., /**/ 1., 0.,      10., /**/ 0., 0.,      1., /**/ -2., 0.,
                                  -30., /**/ 0., 0.,  2.,      /**/ 1., 2., 3.,      /**/ 3., 3.,  3.,      /**/ 4., 4., 4.})
                          .reshape({9, 3})
                          .to(at::kFloat)};
  CHECK(pairs(e, PairsOfHits::all) == std::vector<Pair>{{2, 4}, {2, 0}, {4, 0}});
  CHECK(pairs(e, PairsOfHits::consecutive) == std::vector<Pair>{{2, 4}, {4, 0}});
}

TEST_CASE("true pairs: by definition on random hits, whatever their order") {
  seed();
  for (std::int64_t n : {0, 1, 2, 80}) {
    Event const e{key::particle_id = at::randint(-1, 9, {n}, at::kLong), key::position = at::randn({n, 3}, at::kDouble)};
    auto const id = [&](std::int64_t i) { return e[key::particle_id][i].item<std::int64_t>(); };
    auto const far = [&](std::int64_t i) { return e[key::position][i].norm().item<double>(); };
    std::set<Pair> all, consecutive;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        if (id(i) <= 0 || id(i) != id(j) || far(i) >= far(j)) continue;
        all.insert({i, j});
        bool between = false;
        for (std::int64_t k = 0; k < n; ++k) between = between || (id(k) == id(i) && far(k) > far(i) && far(k) < far(j));
        if (!between) consecutive.insert({i, j});
      }
    auto const check_set = [&](PairsOfHits which, std::set<Pair> const& expected) {
      auto const got = pairs(e, which);
      CHECK(got.size() == expected.size());
      CHECK(bool(std::set<Pair>(got.begin(), got.end()) == expected));
    };
    check_set(PairsOfHits::all, all);
    check_set(PairsOfHits::consecutive, consecutive);
  }
}

TEST_CASE("true pairs: equal distances are ordered by row - the stage is for labelled events - dropped hits take their pairs along") {
  Event const e{key::particle_id = at::full({3}, 4, at::kLong), key::position = at::ones({3, 3}, at::kFloat)};
  CHECK(pairs(e, PairsOfHits::consecutive) == std::vector<Pair>{{0, 1}, {1, 2}});
  static_assert(LabelledOnly<TruePairs>);
  auto const whole = e.merge(TruePairs{}(e));
  CHECK(whole.rows(TrueEdges{}) == 3);
  auto const fewer = whole.select(at::tensor({1, 0, 1}, at::kLong) > 0, Hits{});
  CHECK(fewer.rows(TrueEdges{}) == 1);
  CHECK(at::equal(fewer[key::true_edge_index], at::tensor({0, 1}, at::kLong).reshape({2, 1})));
}
