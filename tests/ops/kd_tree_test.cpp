// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/kd_tree.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "support/points.hpp"
#include "support/seed.hpp"

using namespace dew;

namespace {
/// Whether the tree is what it says of itself; `points` in double.
bool holds_together(KdTree const& tree, Tensor const& points) {
  auto const n = std::int32_t(points.size(0));
  auto const d = std::size_t(points.size(1));
  auto const* const x = points.const_data_ptr<double>();
  std::vector<int> seen(std::size_t(n), 0);
  for (std::int32_t place = 0; place < n; ++place) {
    auto const row = std::size_t(tree.original(place));
    ++seen[row];
    for (std::size_t c = 0; c < d; ++c)
      if (tree.point(place)[c] != x[row * d + c]) return false;
  }
  if (seen != std::vector<int>(std::size_t(n), 1)) return false;

  std::int32_t next = 0;  // every point is in one leaf, in tree order; all leaves but the last are full
  for (auto const leaf : tree.leaves()) {
    auto const& node = tree.nodes()[std::size_t(leaf)];
    if (!node.is_leaf() || node.begin != next || (node.end - node.begin != KdTree::leaf_size && node.end != n)) return false;
    next = node.end;
  }
  if (next != n) return false;

  for (std::size_t k = 0; k < tree.nodes().size(); ++k) {
    auto const& node = tree.nodes()[k];
    std::vector<double> low(d, std::numeric_limits<double>::infinity()), high(d, -std::numeric_limits<double>::infinity());
    for (auto place = node.begin; place < node.end; ++place)
      for (std::size_t c = 0; c < d; ++c)
        low[c] = std::min(low[c], tree.point(place)[c]), high[c] = std::max(high[c], tree.point(place)[c]);
    auto const* const box = tree.box(std::int32_t(k));
    if (!std::equal(low.begin(), low.end(), box) || !std::equal(high.begin(), high.end(), box + d)) return false;
    if (node.is_leaf()) continue;
    auto const &left = tree.nodes()[std::size_t(node.left)], &right = tree.nodes()[std::size_t(node.right)];
    if (left.begin != node.begin || left.end != right.begin || right.end != node.end || left.end - left.begin + 1 < node.end - right.begin)
      return false;
    bool parted = d == 0;  // in one of the widest dimensions
    double widest = 0;
    for (std::size_t c = 0; c < d; ++c) widest = std::max(widest, high[c] - low[c]);
    for (std::size_t c = 0; c < d; ++c)
      parted = parted || (high[c] - low[c] == widest && tree.box(node.left)[d + c] <= tree.box(node.right)[c]);
    if (!parted) return false;
  }
  return true;
}
}  // namespace

TEST_CASE("a tree holds every point once, in leaves of 16 and tight boxes that its nodes cut in two") {
  for (std::int64_t const d : {0, 1, 3, 24})
    for (std::int64_t const n : {0, 1, 15, 16, 17, 33, 100, 1024, 1025, 40000}) {
      if (n * d > 200000) continue;
      CAPTURE(n);
      CAPTURE(d);
      auto const points = test::lattice_points(n, d, 7).to(at::kDouble);  // many at the same place
      CHECK(holds_together(KdTree(points), points));
    }
}

TEST_CASE("the same tree with any number of threads") {
  auto const points = test::lattice_points(20000, 3, 3).to(at::kFloat);
  auto const before = at::get_num_threads();
  at::set_num_threads(1);
  KdTree const alone(points);
  for (int const threads : {2, 3}) {
    at::set_num_threads(threads);
    KdTree const tree(points);
    for (std::int32_t place = 0; place < tree.size(); ++place) REQUIRE(tree.original(place) == alone.original(place));
    CHECK(tree.leaves() == alone.leaves());
    CHECK(std::equal(alone.blocks<float>(0), alone.blocks<float>(0) + 20000 * 3, tree.blocks<float>(0)));
  }
  at::set_num_threads(before);
}

TEST_CASE("what lies near the leaves of a group: every near pair, in no node twice, and whole nodes near as a whole") {
  test::seed();
  for (std::int64_t const d : {0, 1, 3, 8, 20})
    for (std::int64_t const n : {1, 16, 17, 300, 3000})
      for (auto const type : {at::kFloat, at::kDouble})
        for (double const radius : {0.0, 0.5, 0.9, 40.0}) {
          CAPTURE(d);
          CAPTURE(n);
          CAPTURE(radius);
          // on the lattice many distances are the radius exactly
          KdTree const tree(radius == 0.5 ? test::lattice_points(n, d, 7).to(type) : at::randn({n, d}, type));
          double const radius2 = radius * radius;
          std::int32_t queries = 0;
          for (auto const group : tree.nodes_of(KdTree::group_size)) {
            auto const own = tree.nodes()[std::size_t(group)];
            for (bool const only_later : {false, true}) {
              std::vector visits(std::size_t(own.end - own.begin), std::vector<int>(std::size_t(n), 0));
              bool whole_is_near = true, later = true;
              tree.visit_near(group, radius2, only_later, [&](KdTree::Node const& leaf, KdTree::Node const& node, bool whole) {
                later = later && (!only_later || node.begin >= (whole ? own.begin : leaf.begin));
                for (auto i = leaf.begin; i < leaf.end; ++i)
                  for (auto j = node.begin; j < node.end; ++j) {
                    ++visits[std::size_t(i - own.begin)][std::size_t(j)];
                    whole_is_near = whole_is_near && (!whole || tree.distance2(i, j) <= radius2);
                  }
              });
              bool complete = true, at_most_once = true;
              for (auto i = own.begin; i < own.end; ++i)
                for (std::int32_t j = 0; j < n; ++j) {
                  auto const times = visits[std::size_t(i - own.begin)][std::size_t(j)];
                  at_most_once = at_most_once && times <= 1;
                  complete = complete && (times > 0 || (only_later && j < i) || tree.distance2(i, j) > radius2);
                }
              CHECK(whole_is_near);
              CHECK(later);
              CHECK(at_most_once);
              CHECK(complete);
            }
            queries += own.end - own.begin;
          }
          CHECK(queries == n);
        }
}

TEST_CASE("few nodes are near the leaves of a group when points are in tight clusters") {
  test::seed();
  auto const centre = at::randn({500, 8}, at::kFloat) * 20;
  KdTree const tree((centre.unsqueeze(1) + at::randn({500, 16, 8}, at::kFloat) * 0.01).reshape({-1, 8}));
  std::int64_t visits = 0, whole_nodes = 0;
  for (auto const group : tree.nodes_of(KdTree::group_size))
    tree.visit_near(group, 0.25, false, [&](KdTree::Node const&, KdTree::Node const&, bool whole) { ++visits, whole_nodes += whole; });
  CHECK(visits < 8 * 500);  // of 500 · 500
  CHECK(whole_nodes > 0);
}

TEST_CASE("nodes that nobody wants are passed over, those that are wanted are not, and the group's own come first") {
  test::seed();
  KdTree const tree(at::randn({3000, 3}, at::kDouble));
  auto const groups = tree.nodes_of(KdTree::group_size);
  auto const group_of = [&](std::int32_t place) {
    std::size_t g = 0;
    while (tree.nodes()[std::size_t(groups[g])].end <= place) ++g;
    return g;
  };
  for (auto const group : groups) {
    auto const own = tree.nodes()[std::size_t(group)];
    bool first = true;
    std::int32_t leaf_before = -1;
    std::vector<std::int32_t> expected, got;  // where the nodes begin that are visited for the group's first leaf, in every other group
    tree.visit_near(group, 0.3, false, [&](KdTree::Node const& leaf, KdTree::Node const& node, bool) {
      if (leaf.begin != leaf_before) first = first && node.begin >= own.begin && node.end <= own.end;
      leaf_before = leaf.begin;
      if (leaf.begin == own.begin && group_of(node.begin) % 2 == 0) expected.push_back(node.begin);
    });
    CHECK(first);
    tree.visit_near(
        group, 0.3, false,
        [&](KdTree::Node const& leaf, KdTree::Node const& node) { return leaf.begin == own.begin && group_of(node.begin) % 2 == 0; },
        [&](KdTree::Node const& leaf, KdTree::Node const& node, bool) {
          CHECK(leaf.begin == own.begin);
          got.push_back(node.begin);
        });
    CHECK(got == expected);

    int visits = 0;  // of the whole tree
    auto const visit = [&](KdTree::Node const&, KdTree::Node const&, bool whole) { visits += whole; };
    tree.visit_near(group, 1e6, false, [](KdTree::Node const&, KdTree::Node const&) { return false; }, visit);
    CHECK(visits == 0);
    tree.visit_near(group, 1e6, false, [](KdTree::Node const&, KdTree::Node const&) { return true; }, visit);
    CHECK(visits == (own.end - own.begin + KdTree::leaf_size - 1) / KdTree::leaf_size);
  }
}

TEST_CASE("which leaves may be near: at least those that are, and all without coordinates") {
  test::seed();
  for (std::int64_t const d : {0, 3})
    for (auto const type : {at::kFloat, at::kDouble}) {
      KdTree const tree(at::randn({400, d}, type));
      int near = 0;
      for (std::int32_t place = 0; place < 400; place += KdTree::leaf_size)
        for (std::int32_t begin = 0; begin < 400; begin += 160) {
          auto const end = std::min(begin + 160, 400);
          std::uint32_t expected = 0;
          for (auto i = place; i < std::min(place + KdTree::leaf_size, 400); ++i)
            for (auto j = begin; j < end; ++j)
              if (tree.distance2(i, j) <= 0.04) expected |= 1U << ((j - begin) / KdTree::leaf_size);
          auto const found = tree.near_leaves(place, begin, end, 0.04);
          CHECK((found & expected) == expected);
          CHECK(found < (1U << ((end - begin + KdTree::leaf_size - 1) / KdTree::leaf_size)));
          near += std::popcount(found);
        }
      CHECK(near <= (d == 0 ? 25 * 25 : 25 * 25 / 2));
    }
}
