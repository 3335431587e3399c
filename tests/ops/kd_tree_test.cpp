// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/kd_tree.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <numeric>

#include "support/points.hpp"

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
