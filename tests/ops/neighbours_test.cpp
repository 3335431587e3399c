// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/neighbours.hpp"

#include <doctest/doctest.h>

#include "support/points.hpp"

using namespace dew;
using dew::detail::NeighbourRows;

namespace {
/// For every point its row number as the one neighbour, at a distance of half of it; found by tasks of `places` each, the last one first.
Neighbours one_each(Tensor const& points, std::int64_t places) {
  KdTree const tree(points);
  auto const n = std::int64_t(tree.size()), tasks = (n + places - 1) / places;
  NeighbourRows rows(tree, tasks);
  for (auto task = tasks - 1; task >= 0; --task) {
    NeighbourRows::Part part;
    for (auto place = std::int32_t(task * places); place < std::min(n, (task + 1) * places); ++place) {
      part.begin(place);
      if (auto const row = tree.original(place); row % 3 != 0) part.add(row, row / 2.);  // every third has none
    }
    rows.put(task, std::move(part));
  }
  return rows.compressed(points);
}
}  // namespace

TEST_CASE("edges lead from the neighbours to their query") {
  auto const of = [](std::vector<std::int64_t> const& v) { return at::tensor(v, at::kLong); };
  Neighbours const found{of({0, 2, 2, 3}), of({2, 1, 0}), at::ones({3})};
  CHECK(at::equal(found.edge_index(), at::stack({of({2, 1, 0}), of({0, 0, 2})})));
}

TEST_CASE("rows stand in the order of the points, whichever task has found them") {
  for (std::int64_t const n : {0, 1, 16, 100})
    for (std::int64_t const places : {1, 16, 1000}) {
      auto const found = one_each(test::lattice_points(n, 2, 1), places);
      auto const all = at::arange(n), kept = all.masked_select(all.remainder(3) != 0);
      CHECK(at::equal(found.index, kept));
      CHECK(at::equal(found.distance, kept.to(at::kDouble) / 2));
      CHECK(at::equal(found.offsets.diff(), (all.remainder(3) != 0).to(at::kLong)));
      CHECK(found.offsets[0].item<std::int64_t>() == 0);
    }
}

TEST_CASE("distances come in the dtype of the points") {
  for (auto const type : {at::kHalf, at::kFloat, at::kDouble}) {
    auto const found = one_each(test::lattice_points(40, 2, 1).to(type), 16);
    CHECK((found.distance.scalar_type() == type));
    CHECK(at::equal(found.distance.to(at::kDouble), found.index.to(at::kDouble) / 2));
  }
}

TEST_CASE("a place that no task has a row for has no neighbour") {
  auto const points = test::lattice_points(20, 2, 1);
  KdTree const tree(points);
  auto const found = NeighbourRows(tree, 0).compressed(points);
  CHECK(at::equal(found.offsets, at::zeros({21}, at::kLong)));
  CHECK(found.index.size(0) == 0);
}
