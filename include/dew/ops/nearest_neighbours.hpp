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
#include "dew/ops/radius_neighbours.hpp"

namespace dew {

namespace detail {
/// The best so many candidates of a query within a radius, by (distance, row), nearest first.
class NearestList {
 public:
  NearestList(std::size_t k, double radius2) : k_(k), radius2_(radius2) {}
  /// Forgets all candidates and keeps the memory.
  void clear() { entries_.clear(); }
  /// The squared distance that a candidate may not exceed.
  double worst() const { return entries_.size() < k_ ? radius2_ : entries_.back().first; }
  void offer(double d2, std::int32_t row) {
    std::pair const entry(d2, row);
    if (entries_.size() == k_) {
      if (!(entry < entries_.back())) return;
      entries_.pop_back();
    }
    auto place = entries_.end();  // few candidates come far forward: from behind
    while (place != entries_.begin() && entry < *std::prev(place)) --place;
    entries_.insert(place, entry);
  }
  std::vector<std::pair<double, std::int32_t>> const& entries() const { return entries_; }

 private:
  std::size_t k_;
  double radius2_;
  std::vector<std::pair<double, std::int32_t>> entries_;
};
}  // namespace detail

/// Whether a point is its own nearest neighbour.
enum class Self { left_out, included };

/// For each point of `points` [N, d] its k nearest others (with `Self::included`: itself first), all of them where there are fewer; then those
/// at a distance < `radius`, strictly. In a row: nearest first, equal distances by row. Exact: distances in double. A tree search, some
/// O(N·k log N) in few dimensions, towards O(N²·d) in many; memory O(N·k). Threads by ATen's pool, same bits for any number of them. On the
/// CPU: tensors on another device are moved there and back; no gradient. Throws `Error` for wrong shapes and points that are not finite.
inline Neighbours nearest_neighbours(Tensor const& points, std::int64_t k, double radius = std::numeric_limits<double>::infinity(),
                                     Self self = Self::left_out) {
  check(k >= 0, ErrorKind::usage, "nearest_neighbours: expected k ≥ 0, got {}", k);
  check(radius >= 0, ErrorKind::usage, "nearest_neighbours: expected a radius ≥ 0, got {}", radius);
  KdTree const tree(points);
  auto const n = std::int64_t(tree.size());
  k = std::min(k, n);
  std::vector<std::vector<std::pair<std::int32_t, double>>> found(static_cast<std::size_t>(n));
  if (k > 0)
    at::parallel_for(0, std::int64_t(tree.leaves().size()), 4, [&](std::int64_t begin, std::int64_t end) {
      std::vector<detail::NearestList> nearest(KdTree::leaf_size, detail::NearestList(std::size_t(k), radius * radius));
      for (auto l = begin; l < end; ++l) {
        auto const leaf = tree.leaves()[std::size_t(l)];
        auto const queries = tree.nodes()[std::size_t(leaf)];
        for (auto& list : nearest) list.clear();
        auto const of = [&](std::int32_t i) -> detail::NearestList& { return nearest[std::size_t(i - queries.begin)]; };
        tree.visit_nearest(leaf, radius * radius, [&](KdTree::Node const& node) {
          tree.visit_pairs(
              queries, node, [](std::int32_t) { return true; }, [&](std::int32_t i) { return of(i).worst(); },
              [&](std::int32_t i, std::int32_t j, double d2) {
                if (j != i || self == Self::included) of(i).offer(d2, tree.original(j));
              });
          double worst = 0;
          for (auto i = queries.begin; i < queries.end; ++i) worst = std::max(worst, of(i).worst());
          return worst;
        });
        for (auto i = queries.begin; i < queries.end; ++i) {
          auto row = of(i).entries();
          while (!row.empty() && !(row.back().first < radius * radius)) row.pop_back();
          if (self == Self::included) {  // itself first, before others at the same place
            auto const own = std::pair(0.0, tree.original(i));
            if (auto const at = std::find(row.begin(), row.end(), own); at != row.end()) std::rotate(row.begin(), at, at + 1);
            else if (!row.empty()) row.pop_back(), row.insert(row.begin(), own);
          }
          auto& out = found[std::size_t(tree.original(i))];
          out.reserve(row.size());
          for (auto const& [d2, j] : row) out.emplace_back(j, std::sqrt(d2));
        }
      }
    });
  return detail::in_compressed_rows(found, points);
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
