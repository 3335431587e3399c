// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/union_find.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>

#include "support/seed.hpp"

using namespace dew;

namespace {
/// By definition: i and j have one label exactly when a path joins them (repeated squaring); labels are 0, 1, … by lowest member.
bool are_components(Tensor const& edge_index, std::int64_t n, Tensor const& labels) {
  auto reach = at::zeros({n, n}, at::kBool);
  for (std::int64_t i = 0; i < n; ++i) reach[i][i] = true;
  for (std::int64_t e = 0; e < edge_index.size(1); ++e) {
    auto const i = edge_index[0][e].item<std::int64_t>(), j = edge_index[1][e].item<std::int64_t>();
    reach[i][j] = true, reach[j][i] = true;
  }
  for (std::int64_t step = 1; step < n; step *= 2) reach = at::matmul(reach.to(at::kDouble), reach.to(at::kDouble)) > 0;
  if (!at::equal(labels.unsqueeze(0) == labels.unsqueeze(1), reach)) return false;
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    auto const label = labels[i].item<std::int64_t>();
    if (label > next || label < 0) return false;
    next = std::max(next, label + 1);
  }
  return true;
}
}  // namespace

TEST_CASE("component labels are the components, by definition and by the reference") {
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    std::int64_t const n = 1 + random() % 40, e = random() % 40;
    std::vector<std::int64_t> ends;
    for (std::int64_t k = 0; k < 2 * e; ++k) ends.push_back(random() % n);
    auto const edges = at::tensor(ends, at::kLong).reshape({2, e});
    auto const labels = component_labels(edges, n);
    CHECK(are_components(edges, n, labels));
    CHECK(at::equal(labels, component_labels_reference(edges, n)));
  }
}

TEST_CASE("the oracle of components rejects wrong labels") {
  auto const edges = at::tensor({0, 1, 1, 2}, at::kLong).reshape({2, 2});  // 0-1, 1-2
  CHECK(are_components(edges, 4, at::tensor({0, 0, 0, 1}, at::kLong)));
  CHECK_FALSE(are_components(edges, 4, at::tensor({0, 0, 1, 2}, at::kLong)));  // a split
  CHECK_FALSE(are_components(edges, 4, at::tensor({0, 0, 0, 0}, at::kLong)));  // a merge
  CHECK_FALSE(are_components(edges, 4, at::tensor({1, 1, 1, 0}, at::kLong)));  // another numbering
}

TEST_CASE("no node, no edge") {
  auto const none = at::empty({2, 0}, at::kLong);
  CHECK(component_labels(none, 0).size(0) == 0);
  CHECK(at::equal(component_labels(none, 3), at::tensor({0, 1, 2}, at::kLong)));
}

TEST_CASE("an edge out of range, a wrong shape and too many elements throw") {
  CHECK_THROWS_WITH_AS(component_labels(at::tensor({0, 3}, at::kLong).reshape({2, 1}), 3), doctest::Contains("edge 0 joins 0 and 3"),
                       Error);
  CHECK_THROWS_WITH_AS(component_labels(at::zeros({3, 1}, at::kLong), 3), doctest::Contains("[2, E]"), Error);
  CHECK_THROWS_AS(UnionFind(std::int64_t(1) << 31), Error);
}

TEST_CASE("a set's root is its lowest member, in any order of joins") {
  UnionFind sets(5);
  CHECK(sets.unite(4, 3));
  CHECK(sets.unite(3, 1));
  CHECK_FALSE(sets.unite(1, 4));
  CHECK(sets.find(4) == 1);
  CHECK(sets.find(0) == 0);
}

TEST_CASE("joins by several threads at once give the same sets") {
  std::mt19937 random(1);
  auto const threads = at::get_num_threads();
  at::set_num_threads(4);
  for (std::int32_t n : {2, 50, 20000})
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<std::pair<std::int32_t, std::int32_t>> edges;  // long chains in the wrong direction, and some at random
      for (std::int32_t i = n - 1; i > 0; --i)
        if (random() % 50 > 0) edges.emplace_back(i, i - 1);
      for (std::int32_t i = 0; i < n / 100; ++i) edges.emplace_back(random() % std::uint32_t(n), random() % std::uint32_t(n));
      std::shuffle(edges.begin(), edges.end(), random);
      UnionFind one(n), many(n);
      for (auto const& [i, j] : edges) one.unite(i, j);
      at::parallel_for(0, std::int64_t(edges.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (auto e = begin; e < end; ++e) many.unite_shared(edges[std::size_t(e)].first, edges[std::size_t(e)].second);
      });
      std::vector<std::int64_t> expected(static_cast<std::size_t>(n)), got = expected;
      one.number(expected), many.number(got);
      CHECK(got == expected);
    }
  at::set_num_threads(threads);
}

TEST_CASE("whether two are joined may be asked while several threads join") {
  auto const threads = at::get_num_threads();
  at::set_num_threads(4);
  UnionFind sets(20000);
  std::atomic<int> wrong = 0;
  at::parallel_for(0, 9999, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = std::int32_t(begin); i < end; ++i) {
      sets.unite_shared(i, i + 1);
      wrong += !sets.is_joined_shared(i, i + 1);     // this thread has joined them
      wrong += sets.is_joined_shared(i, 10000 + i);  // nobody does
    }
  });
  CHECK(wrong == 0);
  CHECK(sets.is_joined_shared(17, 9999));
  CHECK(sets.find(9999) == 0);
  at::set_num_threads(threads);
}
