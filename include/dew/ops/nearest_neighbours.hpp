// SPDX-License-Identifier: BSL-1.0
// The k nearest neighbours of each point, exact. N points, d dimensions.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "dew/core/task_queue.hpp"
#include "dew/core/torch.hpp"
#include "dew/ops/kd_tree.hpp"
#include "dew/ops/nearest_by_products.hpp"
#include "dew/ops/nearest_list.hpp"
#include "dew/ops/neighbours.hpp"

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

/// The k nearest of each point within a radius, nearest first.
class NearestRows {
 public:
  NearestRows(KdTree const& tree, std::size_t k, double radius, Self self) : tree_(tree), k_(k), radius2_(radius * radius), self_(self) {}

  NeighbourRows by_products() const {
    auto const nodes = tree_.nodes_of(NearestByProducts::queries_of_node);
    NeighbourRows out(tree_, std::int64_t(nodes.size()));
    share_tasks(std::int64_t(nodes.size()), [&](TaskQueue& tasks) {
      NearestByProducts nearest(tree_, k_, radius2_, self_ == Self::included);
      while (auto const task = tasks.take()) {
        NeighbourRows::Part part;
        part.reserve(NearestByProducts::queries_of_node * std::min(k_, usual));
        nearest(nodes[std::size_t(task->number)], [&](std::int32_t place, NearestList const& of) { add(place, of, part); });
        out.put(task->number, std::move(part));
      }
    });
    return out;
  }

  /// The same by the distances to the points of near leaves.
  NeighbourRows by_leaves() const {
    constexpr std::int64_t chunk_size = 8;  // leaves
    auto const leaves = std::int64_t(tree_.leaves().size());
    NeighbourRows out(tree_, TaskQueue::count(leaves, chunk_size));
    share_tasks(leaves, chunk_size, [&](TaskQueue& tasks) {
      std::vector<NearestList> nearest(KdTree::leaf_size, NearestList(k_, radius2_));
      while (auto const chunk = tasks.take()) {
        NeighbourRows::Part part;
        part.reserve(chunk_size * KdTree::leaf_size * std::min(k_, usual));
        for (auto leaf = chunk->begin; leaf < chunk->end; ++leaf) search(tree_.leaves()[std::size_t(leaf)], nearest, part);
        out.put(chunk->number, std::move(part));
      }
    });
    return out;
  }

 private:
  static constexpr std::size_t usual = 64;  ///< neighbours that room is made for beforehand

  void search(std::int32_t leaf, std::vector<NearestList>& nearest, NeighbourRows::Part& part) const {
    auto const queries = tree_.nodes()[std::size_t(leaf)];
    for (auto& list : nearest) list.clear();
    auto const of = [&](std::int32_t i) -> NearestList& { return nearest[std::size_t(i - queries.begin)]; };
    tree_.visit_nearest(leaf, radius2_, [&](KdTree::Node const& node) {
      tree_.visit_pairs(
          queries, node, [](std::int32_t) { return true; }, [&](std::int32_t i) { return of(i).worst(); },
          [&](std::int32_t i, std::int32_t j, double d2) {
            if (j != i || self_ == Self::included) of(i).offer(d2, tree_.original(j));
          });
      double worst = 0;
      for (auto i = queries.begin; i < queries.end; ++i) worst = std::max(worst, of(i).worst());
      return worst;
    });
    for (auto i = queries.begin; i < queries.end; ++i) add(i, of(i), part);
  }

  void add(std::int32_t place, NearestList const& nearest, NeighbourRows::Part& part) const {
    std::span row(nearest.entries());
    while (!row.empty() && !(row.back().first < radius2_)) row = row.first(row.size() - 1);
    part.begin(place);
    auto left_out = row.end();
    if (self_ == Self::included && !row.empty()) {  // itself first; if k others at the same place left no room, the last of them goes
      part.add(tree_.original(place), 0);
      left_out = std::find(row.begin(), row.end(), std::pair(0.0, tree_.original(place)));
      if (left_out == row.end()) --left_out;
    }
    for (auto at = row.begin(); at != row.end(); ++at)
      if (at != left_out) part.add(at->second, std::sqrt(at->first));
  }

  KdTree const& tree_;
  std::size_t k_;
  double radius2_;
  Self self_;
};

inline Neighbours nearest_neighbours(Tensor const& points, std::int64_t k, double radius, Self self, NeighbourSearch search) {
  KdTree const tree(points);
  k = std::min(k, std::int64_t(tree.size()));
  if (k == 0) return NeighbourRows(tree, 0).compressed(points);
  NearestRows const nearest(tree, std::size_t(k), radius, self);
  return (search == NeighbourSearch::products ? nearest.by_products() : nearest.by_leaves()).compressed(points);
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
