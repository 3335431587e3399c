// SPDX-License-Identifier: BSL-1.0
// All pairs of points within a radius, exact and complete. N points, d dimensions, M pairs.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "dew/core/task_queue.hpp"
#include "dew/core/torch.hpp"
#include "dew/ops/kd_tree.hpp"
#include "dew/ops/neighbours.hpp"

namespace dew {

/// Whether a point at exactly the radius is a neighbour.
enum class Boundary { open, closed };

/// Every ordered pair of different points of `points` [N, d] at a distance < radius (`Boundary::open`) or ≤ radius (`Boundary::closed`), in a
/// row ascending. No limit on their number. Distances in double. A tree search: some O(N log N + M) in few dimensions; memory grows with M.
/// Threads by ATen's pool, same bits for any number of them. On the CPU: tensors on another device are moved there and back; no gradient.
/// Throws `Error` for wrong shapes, points that are not finite and a radius that is negative.
inline Neighbours radius_neighbours(Tensor const& points, double radius, Boundary boundary = Boundary::open) {
  check(radius >= 0, ErrorKind::usage, "radius_neighbours: expected a radius ≥ 0, got {}", radius);
  KdTree const tree(points);
  double const radius2 = radius * radius;
  auto const groups = tree.nodes_of(KdTree::group_size);
  detail::NeighbourRows rows(tree, std::int64_t(groups.size()));
  share_tasks(std::int64_t(groups.size()), [&](TaskQueue& tasks) {
    std::vector<std::vector<std::pair<std::int32_t, double>>> found(KdTree::group_size);  // of each query of a group
    while (auto const task = tasks.take()) {
      auto const group = groups[std::size_t(task->number)];
      auto const own = tree.nodes()[std::size_t(group)];
      tree.visit_near(group, radius2, false, [&](KdTree::Node const& leaf, KdTree::Node const& node, bool) {
        tree.visit_pairs(
            leaf, node, [](std::int32_t) { return true; }, [&](std::int32_t) { return radius2; },
            [&](std::int32_t i, std::int32_t j, double d2) {
              if (i != j && (d2 < radius2 || boundary == Boundary::closed))
                found[std::size_t(i - own.begin)].emplace_back(tree.original(j), std::sqrt(d2));
            });
      });
      detail::NeighbourRows::Part part;
      for (auto i = own.begin; i < own.end; ++i) {
        auto& row = found[std::size_t(i - own.begin)];
        std::sort(row.begin(), row.end());
        part.begin(i);
        for (auto const& [j, distance] : row) part.add(j, distance);
        row.clear();
      }
      rows.put(task->number, std::move(part));
    }
  });
  return rows.compressed(points);
}

/// The plain reference of `radius_neighbours`: all pairs, in torch operations on any device. O(N²·d) in time and memory; for tests.
inline Neighbours radius_neighbours_reference(Tensor const& points, double radius, Boundary boundary = Boundary::open) {
  auto const x = points.to(at::kDouble);
  auto const n = x.size(0);
  auto const d2 = (x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(2);  // [N, N]
  auto near = boundary == Boundary::closed ? d2 <= radius * radius : d2 < radius * radius;
  near = at::logical_and(
      near, at::arange(n, near.options().dtype(at::kLong)).unsqueeze(0) != at::arange(n, near.options().dtype(at::kLong)).unsqueeze(1));
  auto const offsets = at::cat({at::zeros({1}, near.options().dtype(at::kLong)), near.sum(1).cumsum(0)});
  return {offsets, near.nonzero().select(1, 1), at::sqrt(d2.masked_select(near)).to(points.scalar_type())};
}

}  // namespace dew
