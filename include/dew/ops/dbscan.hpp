// SPDX-License-Identifier: BSL-1.0
// DBSCAN by union-find during the neighbour search. N points, d dimensions.
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
#include "dew/ops/union_find.hpp"

namespace dew {

/// One setting of DBSCAN.
struct DbscanStep {
  double eps = 1;               ///< radius of a neighbourhood, its border included
  std::int64_t min_points = 1;  ///< points in the neighbourhood of a core point, itself included
};

namespace detail {

inline void check_dbscan(DbscanStep const& step) {
  check(step.eps >= 0, ErrorKind::usage, "dbscan: expected eps ≥ 0, got {}", step.eps);
  check(step.min_points >= 1, ErrorKind::usage, "dbscan: expected min_points ≥ 1, got {}", step.min_points);
}

/// Labels [N] from sets of core points: clusters numbered by their lowest core row, −1 elsewhere. `place_of`: where a row stands in `sets` and
/// `core`.
template <class PlaceOf>
std::vector<std::int64_t> core_labels(UnionFind& sets, std::vector<char> const& core, PlaceOf const& place_of) {
  std::vector<std::int64_t> labels(core.size(), -1), of_root(core.size(), -1);
  std::int64_t next = 0;
  for (std::size_t row = 0; row < core.size(); ++row)
    if (auto const place = place_of(std::int32_t(row)); core[std::size_t(place)]) {
      auto& label = of_root[std::size_t(sets.find(place))];
      labels[row] = label < 0 ? label = next++ : label;
    }
  return labels;
}

/// Calls `visit(leaf)` for every leaf, on several threads.
template <class Visit>
void for_leaves(KdTree const& tree, Visit const& visit) {
  constexpr std::int64_t chunk_size = 8;  // leaves
  share_tasks(std::int64_t(tree.leaves().size()), chunk_size, [&](TaskQueue& tasks) {
    while (auto const chunk = tasks.take())
      for (auto leaf = chunk->begin; leaf < chunk->end; ++leaf) visit(tree.leaves()[std::size_t(leaf)]);
  });
}

/// By place: whether at least `min_points` points are at distance ≤ eps, itself included.
inline std::vector<char> core_points(KdTree const& tree, DbscanStep const& step) {
  std::vector<char> core(std::size_t(tree.size()), 0);
  double const eps2 = step.eps * step.eps;
  for_leaves(tree, [&](std::int32_t own) {
    auto const queries = tree.nodes()[std::size_t(own)];
    std::vector<std::int64_t> count(std::size_t(queries.end - queries.begin), 0);
    tree.visit_near(own, eps2, false, [&](KdTree::Node const& node, bool whole) {
      if (whole)
        for (auto& n : count) n += node.end - node.begin;
      else
        tree.visit_pairs(
            queries, node, [](std::int32_t) { return true; }, [&](std::int32_t) { return eps2; },
            [&](std::int32_t i, std::int32_t, double) { ++count[std::size_t(i - queries.begin)]; });
    });
    for (auto i = queries.begin; i < queries.end; ++i) core[std::size_t(i)] = count[std::size_t(i - queries.begin)] >= step.min_points;
  });
  return core;
}

inline std::vector<std::int64_t> dbscan(KdTree const& tree, DbscanStep const& step) {
  double const eps2 = step.eps * step.eps;
  auto const n = std::size_t(tree.size());
  auto const core = step.min_points == 1 ? std::vector<char>(n, 1) : core_points(tree, step);
  auto const is_core = [&](std::int32_t place) { return core[std::size_t(place)] != 0; };
  UnionFind sets(tree.size());  // of places: near points are near in memory
  for_leaves(tree, [&](std::int32_t own) {
    auto const queries = tree.nodes()[std::size_t(own)];
    tree.visit_near(own, eps2, true, [&](KdTree::Node const& node, bool whole) {
      if (whole) {  // all are neighbours of all: every core point joins the first one here
        auto first = queries.begin;
        while (first < queries.end && !is_core(first)) ++first;
        if (first == queries.end) return;
        for (auto const& range : {queries, node})
          for (auto p = range.begin; p < range.end; ++p)
            if (is_core(p)) sets.unite_shared(first, p);
        return;
      }
      tree.visit_pairs(
          queries, node, is_core, [&](std::int32_t) { return eps2; },
          [&](std::int32_t p, std::int32_t q, double) {
            if (q > p && is_core(q)) sets.unite_shared(p, q);
          });
    });
  });
  std::vector<std::int32_t> place_of(n);
  for (std::int32_t place = 0; place < tree.size(); ++place) place_of[std::size_t(tree.original(place))] = place;
  auto labels = core_labels(sets, core, [&](std::int32_t row) { return place_of[std::size_t(row)]; });
  if (step.min_points <= 2) return labels;  // a point with a core neighbour is then core itself
  for_leaves(tree, [&](std::int32_t own) {
    auto const queries = tree.nodes()[std::size_t(own)];
    bool all_core = true;
    for (auto p = queries.begin; p < queries.end; ++p) all_core = all_core && is_core(p);
    if (all_core) return;
    tree.visit_near(own, eps2, false, [&](KdTree::Node const& node, bool) {
      tree.visit_pairs(
          queries, node, [&](std::int32_t p) { return !is_core(p); }, [&](std::int32_t) { return eps2; },
          [&](std::int32_t p, std::int32_t q, double) {
            if (!is_core(q)) return;
            auto& label = labels[std::size_t(tree.original(p))];
            if (auto const its = labels[std::size_t(tree.original(q))]; label < 0 || its < label) label = its;
          });
    });
  });
  return labels;
}

inline Tensor labels_tensor(std::vector<std::int64_t> const& labels, at::Device device) {
  auto out = at::empty({std::int64_t(labels.size())}, at::kLong);
  std::copy(labels.begin(), labels.end(), out.mutable_data_ptr<std::int64_t>());
  return out.to(device);
}
}  // namespace detail

/// DBSCAN(ε, m) of `points` [N, d]: labels [N]. A core point has ≥ m points (itself included) at distance ≤ ε; clusters are the connected
/// components of core points, numbered by their lowest core index; a border point takes its smallest core neighbour's label; others are −1.
/// Equal to scikit-learn's labels, always.
///
/// Distances in double. Two tree searches, a third for border points when m > 2; for tight clusters O(N log N), at worst O(N²·d) in time;
/// O(N·d) memory, whatever the number of pairs. Same bits for any number of threads. On the CPU: tensors on another device are moved there
/// and back; no gradient. Throws `Error` for wrong shapes, points that are not finite, ε < 0 and m < 1.
inline Tensor dbscan_labels(Tensor const& points, DbscanStep const& step) {
  detail::check_dbscan(step);
  return detail::labels_tensor(detail::dbscan(KdTree(points), step), points.device());
}

/// The plain reference of `dbscan_labels`: all pairs, in torch operations on any device. O(N²·d); for tests.
inline Tensor dbscan_reference(Tensor const& points, DbscanStep const& step) {
  detail::check_dbscan(step);
  auto const x = points.detach().to(at::kDouble);
  auto const n = x.size(0);
  auto const near = (x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(2) <= step.eps * step.eps;  // [N, N]
  auto const core = near.sum(1) >= step.min_points;
  auto const joined = at::logical_and(near, at::logical_and(core.unsqueeze(0), core.unsqueeze(1)));
  auto component = component_labels_reference(joined.nonzero().t(), n);
  auto const number = at::where(core, component, at::full_like(component, n)).unsqueeze(0).expand({n, n});
  if (n == 0) return component;
  auto const lowest = std::get<0>(at::where(at::logical_and(near, core.unsqueeze(0)), number, at::full_like(number, n)).min(1));
  // components count points that are not core too: number again those that hold a core point
  auto used = at::zeros({n + 1}, component.options()).index_fill(0, at::where(core, component, at::full_like(component, n)), 1);
  auto const dense = used.slice(0, 0, n).cumsum(0) - 1;
  return at::where(lowest < n, dense.index_select(0, lowest.clamp_max(n - 1)), at::full_like(lowest, -1));
}

}  // namespace dew
