// SPDX-License-Identifier: BSL-1.0
// All pairs of points within a radius, exact and complete. N points, d dimensions, M pairs.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "dew/core/torch.hpp"
#include "dew/ops/kd_tree.hpp"

namespace dew {

/// Whether a point at exactly the radius is a neighbour.
enum class Boundary { open, closed };

/// The neighbours of each point, without itself, in compressed rows: those of point i are `index[offsets[i]] … index[offsets[i + 1] − 1]`,
/// ascending.
struct Neighbours {
  Tensor offsets;   // [N + 1] int64
  Tensor index;     // [M] int64
  Tensor distance;  // [M] in the points' dtype

  /// As edges [2, M]: neighbour → query.
  Tensor edge_index() const {
    auto const query = at::arange(offsets.size(0) - 1, offsets.options()).repeat_interleave(offsets.diff());
    return at::stack({index, query});
  }
};

namespace detail {
/// Rows of (neighbour, distance) as `Neighbours` of `points`, on their device and in their dtype.
inline Neighbours in_compressed_rows(std::vector<std::vector<std::pair<std::int32_t, double>>> const& found, Tensor const& points) {
  auto const n = std::int64_t(found.size());
  auto offsets = at::zeros({n + 1}, at::kLong);
  auto* first = offsets.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) first[i + 1] = first[i] + std::int64_t(found[std::size_t(i)].size());
  auto index = at::empty({first[n]}, at::kLong), distance = at::empty({first[n]}, at::kDouble);
  auto* to = index.mutable_data_ptr<std::int64_t>();
  auto* length = distance.mutable_data_ptr<double>();
  for (auto const& row : found)
    for (auto const& [j, d] : row) *to++ = j, *length++ = d;
  auto const device = points.device();
  return {offsets.to(device), index.to(device), distance.to(device, points.scalar_type())};
}
}  // namespace detail

/// Every ordered pair of different points of `points` [N, d] at a distance < radius (`Boundary::open`) or ≤ radius (`Boundary::closed`).
/// No limit on their number. Distances in double. A tree search: some O(N log N + M) in few dimensions; memory grows with M. Threads by
/// ATen's pool, same bits for any number of them. On the CPU: tensors on another device are moved there and back; no gradient.
/// Throws `Error` for wrong shapes, points that are not finite and a radius that is negative.
inline Neighbours radius_neighbours(Tensor const& points, double radius, Boundary boundary = Boundary::open) {
  check(radius >= 0, ErrorKind::usage, "radius_neighbours: expected a radius ≥ 0, got {}", radius);
  KdTree const tree(points);
  double const radius2 = radius * radius;
  auto const n = std::int64_t(tree.size());
  std::vector<std::vector<std::pair<std::int32_t, double>>> found(static_cast<std::size_t>(n));
  at::parallel_for(0, std::int64_t(tree.leaves().size()), 4, [&](std::int64_t begin, std::int64_t end) {
    for (auto leaf = begin; leaf < end; ++leaf) {
      auto const own = tree.leaves()[std::size_t(leaf)];
      auto const queries = tree.nodes()[std::size_t(own)];
      tree.visit_near(own, radius2, false, [&](KdTree::Node const& node, bool) {
        tree.visit_pairs(
            queries, node, [](std::int32_t) { return true; }, [&](std::int32_t) { return radius2; },
            [&](std::int32_t i, std::int32_t j, double d2) {
              if (i != j && (d2 < radius2 || boundary == Boundary::closed))
                found[std::size_t(tree.original(i))].emplace_back(tree.original(j), std::sqrt(d2));
            });
      });
      for (auto i = queries.begin; i < queries.end; ++i)
        std::sort(found[std::size_t(tree.original(i))].begin(), found[std::size_t(tree.original(i))].end());
    }
  });
  return detail::in_compressed_rows(found, points);
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
