// SPDX-License-Identifier: BSL-1.0
// The k nearest neighbours of each point, exact. N points, d dimensions.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "dew/core/torch.hpp"
#include "dew/ops/kd_tree.hpp"
#include "dew/ops/nearest_by_products.hpp"
#include "dew/ops/nearest_list.hpp"
#include "dew/ops/radius_neighbours.hpp"

namespace dew {

/// Whether a point is its own nearest neighbour.
enum class Self { left_out, included };

namespace detail {
/// How neighbours are searched, which changes nothing but the time.
enum class NeighbourSearch { tree, products };

/// By measurement: products take a fifth of the time without clusters in many dimensions, and up to twice the time where a leaf's neighbours
/// are all in one tight cluster, which is likely for very few neighbours only.
inline NeighbourSearch faster_search(std::int64_t d, std::int64_t k) {
  return k < 4 || (d <= 8 && k < 8) ? NeighbourSearch::tree : NeighbourSearch::products;
}

/// Calls `keep(place, candidates)` for every point.
template <class Keep>
void nearest_by_products(KdTree const& tree, std::size_t k, double radius2, Self self, Keep const& keep) {
  auto const nodes = tree.nodes_of(NearestByProducts::queries_of_node);
  at::parallel_for(0, std::int64_t(nodes.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    NearestByProducts nearest(tree, k, radius2, self == Self::included);
    for (auto i = begin; i < end; ++i) nearest(nodes[std::size_t(i)], keep);
  });
}

/// The same by the distances to the points of near leaves.
template <class Keep>
void nearest_by_leaves(KdTree const& tree, std::size_t k, double radius2, Self self, Keep const& keep) {
  at::parallel_for(0, std::int64_t(tree.leaves().size()), 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<NearestList> nearest(KdTree::leaf_size, NearestList(k, radius2));
    for (auto l = begin; l < end; ++l) {
      auto const leaf = tree.leaves()[std::size_t(l)];
      auto const queries = tree.nodes()[std::size_t(leaf)];
      for (auto& list : nearest) list.clear();
      auto const of = [&](std::int32_t i) -> NearestList& { return nearest[std::size_t(i - queries.begin)]; };
      tree.visit_nearest(leaf, radius2, [&](KdTree::Node const& node) {
        tree.visit_pairs(
            queries, node, [](std::int32_t) { return true; }, [&](std::int32_t i) { return of(i).worst(); },
            [&](std::int32_t i, std::int32_t j, double d2) {
              if (j != i || self == Self::included) of(i).offer(d2, tree.original(j));
            });
        double worst = 0;
        for (auto i = queries.begin; i < queries.end; ++i) worst = std::max(worst, of(i).worst());
        return worst;
      });
      for (auto i = queries.begin; i < queries.end; ++i) keep(i, of(i));
    }
  });
}

inline Neighbours nearest_neighbours(Tensor const& points, std::int64_t k, double radius, Self self, NeighbourSearch search) {
  KdTree const tree(points);
  auto const n = std::int64_t(tree.size());
  k = std::min(k, n);
  std::vector<std::vector<std::pair<std::int32_t, double>>> found(static_cast<std::size_t>(n));
  auto const keep = [&](std::int32_t place, NearestList const& nearest) {
    auto row = nearest.entries();
    while (!row.empty() && !(row.back().first < radius * radius)) row.pop_back();
    if (self == Self::included) {  // itself first, before others at the same place
      auto const own = std::pair(0.0, tree.original(place));
      if (auto const at = std::find(row.begin(), row.end(), own); at != row.end()) std::rotate(row.begin(), at, at + 1);
      else if (!row.empty()) row.pop_back(), row.insert(row.begin(), own);
    }
    auto& out = found[std::size_t(tree.original(place))];
    out.reserve(row.size());
    for (auto const& [d2, j] : row) out.emplace_back(j, std::sqrt(d2));
  };
  if (k > 0 && search == NeighbourSearch::products) nearest_by_products(tree, std::size_t(k), radius * radius, self, keep);
  if (k > 0 && search == NeighbourSearch::tree) nearest_by_leaves(tree, std::size_t(k), radius * radius, self, keep);
  return in_compressed_rows(found, points);
}
}  // namespace detail

/// For each point of `points` [N, d] its k nearest others (with `Self::included`: itself first), all of them where there are fewer; then those
/// at a distance < `radius`, strictly. In a row: nearest first, equal distances by row. Exact: distances in double. A tree search, some
/// O(N·k log N) in few dimensions, towards O(N²·d) in many, as products in float that only choose; memory O(N·k).
/// Threads by ATen's pool, same bits for any number of them. On the CPU: tensors on another device are moved there and back; no gradient.
/// Throws `Error` for wrong shapes and points that are not finite.
inline Neighbours nearest_neighbours(Tensor const& points, std::int64_t k, double radius = std::numeric_limits<double>::infinity(),
                                     Self self = Self::left_out) {
  check(k >= 0, ErrorKind::usage, "nearest_neighbours: expected k ≥ 0, got {}", k);
  check(radius >= 0, ErrorKind::usage, "nearest_neighbours: expected a radius ≥ 0, got {}", radius);
  auto const d = points.defined() && points.dim() == 2 ? points.size(1) : 0;  // other shapes are refused inside
  return detail::nearest_neighbours(points, k, radius, self, detail::faster_search(d, k));
}

/// The plain reference of `nearest_neighbours`: all pairs, in torch operations on any device. O(N²·d) in time and memory; for tests.
inline Neighbours nearest_neighbours_reference(Tensor const& points, std::int64_t k,
                                               double radius = std::numeric_limits<double>::infinity(), Self self = Self::left_out) {
  auto const x = points.to(at::kDouble);
  auto const n = x.size(0);
  auto d2 = (x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(2);  // [N, N]
  d2.fill_diagonal_(self == Self::included ? -1 : std::numeric_limits<double>::infinity());
  auto const [sorted, order] = d2.sort(/*stable=*/true, 1, false);
  auto const most = std::min(k, self == Self::included ? n : std::max<std::int64_t>(n - 1, 0));
  auto const nearest = sorted.narrow(1, 0, most), row = order.narrow(1, 0, most);
  auto const near = nearest < radius * radius;
  auto const offsets = at::cat({at::zeros({1}, row.options()), near.sum(1).cumsum(0)});
  return {offsets, row.masked_select(near), at::sqrt(nearest.clamp_min(0).masked_select(near)).to(points.scalar_type())};
}

}  // namespace dew
