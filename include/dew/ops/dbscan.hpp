// SPDX-License-Identifier: BSL-1.0
// DBSCAN by union-find during the neighbour search. N points, d dimensions.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
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

/// Calls `visit(group)` for nodes that together hold every point once, on several threads.
template <class Visit>
void for_groups(KdTree const& tree, Visit const& visit) {
  auto const groups = tree.nodes_of(KdTree::group_size);
  share_tasks(std::int64_t(groups.size()), [&](TaskQueue& tasks) {
    while (auto const task = tasks.take()) visit(groups[std::size_t(task->number)]);
  });
}

/// By place: whether at least `min_points` points are at distance ≤ eps, itself included.
inline std::vector<char> core_points(KdTree const& tree, DbscanStep const& step) {
  std::vector<char> core(std::size_t(tree.size()), 0);
  double const eps2 = step.eps * step.eps;
  for_groups(tree, [&](std::int32_t group) {
    auto const own = tree.nodes()[std::size_t(group)];
    std::vector<std::int64_t> count(std::size_t(own.end - own.begin), 0);
    auto const is_open = [&](std::int32_t i) { return count[std::size_t(i - own.begin)] < step.min_points; };
    tree.visit_near(
        group, eps2, false,
        [&](KdTree::Node const& leaf, KdTree::Node const&) {
          auto i = leaf.begin;
          while (i < leaf.end && !is_open(i)) ++i;
          return i < leaf.end;
        },
        [&](KdTree::Node const& leaf, KdTree::Node const& node, bool whole) {
          if (whole)
            for (auto i = leaf.begin; i < leaf.end; ++i) count[std::size_t(i - own.begin)] += node.end - node.begin;
          else
            tree.visit_pairs(
                leaf, node, is_open, [&](std::int32_t) { return eps2; },
                [&](std::int32_t i, std::int32_t, double) { ++count[std::size_t(i - own.begin)]; });
        });
    for (auto i = own.begin; i < own.end; ++i) core[std::size_t(i)] = count[std::size_t(i - own.begin)] >= step.min_points;
  });
  return core;
}

/// Which nodes of a tree have all their core points in one set by now, for several threads: where two have theirs in the same, their pairs need
/// not be looked at. Without it points that are all in few heaps would take all pairs.
class JoinedNodes {
 public:
  JoinedNodes(KdTree const& tree, std::vector<char> const& core, UnionFind& sets)
      : nodes_(tree.nodes()), core_(core), sets_(sets), known_(tree.nodes().size()) {}

  /// Whether all core points of two nodes are in one set.
  bool operator()(KdTree::Node const& a, KdTree::Node const& b) {
    if (!within(a) || !within(b)) return false;
    auto const in_a = first_core(a);
    if (in_a == a.end) return true;
    auto const in_b = first_core(b);
    return in_b == b.end || sets_.is_joined_shared(in_a, in_b);
  }
  /// The place of a node's first core point, its end without any.
  std::int32_t first_core(KdTree::Node const& node) const {
    auto place = node.begin;
    while (place < node.end && !core_[std::size_t(place)]) ++place;
    return place;
  }

 private:
  bool within(KdTree::Node const& node) {
    auto& known = known_[std::size_t(&node - nodes_.data())];
    if (known.load(std::memory_order_relaxed)) return true;
    auto const first = first_core(node);
    for (auto place = first + 1; place < node.end; ++place)
      if (core_[std::size_t(place)] && !sets_.is_joined_shared(first, place)) return false;
    known.store(true, std::memory_order_relaxed);
    return true;
  }

  std::vector<KdTree::Node> const& nodes_;
  std::vector<char> const& core_;
  UnionFind& sets_;
  std::vector<std::atomic<bool>> known_;  // [nodes] sets only grow
};

inline std::vector<std::int64_t> dbscan(KdTree const& tree, DbscanStep const& step) {
  double const eps2 = step.eps * step.eps;
  auto const n = std::size_t(tree.size());
  auto const core = step.min_points == 1 ? std::vector<char>(n, 1) : core_points(tree, step);
  auto const is_core = [&](std::int32_t place) { return core[std::size_t(place)] != 0; };
  if (std::find(core.begin(), core.end(), 1) == core.end()) return std::vector<std::int64_t>(n, -1);
  UnionFind sets(tree.size());  // of places: near points are near in memory
  JoinedNodes joined(tree, core, sets);
  for_groups(tree, [&](std::int32_t group) {
    tree.visit_near(
        group, eps2, true, [&](KdTree::Node const& leaf, KdTree::Node const& node) { return !joined(leaf, node); },
        [&](KdTree::Node const& leaf, KdTree::Node const& node, bool whole) {
          if (whole) {  // all are neighbours of all: every core point joins the first one here
            auto const first = joined.first_core(leaf);
            if (first == leaf.end) return;
            for (auto const& range : {leaf, node})
              for (auto p = range.begin; p < range.end; ++p)
                if (is_core(p)) sets.unite_shared(first, p);
            return;
          }
          tree.visit_pairs(
              leaf, node, is_core, [&](std::int32_t) { return eps2; },
              [&](std::int32_t p, std::int32_t q, double) {
                if (q > p && is_core(q)) sets.unite_shared(p, q);
              });
        });
  });
  std::vector<std::int32_t> place_of(n);
  for (std::int32_t place = 0; place < tree.size(); ++place) place_of[std::size_t(tree.original(place))] = place;
  auto labels = core_labels(sets, core, [&](std::int32_t row) { return place_of[std::size_t(row)]; });
  if (step.min_points <= 2) return labels;  // a point with a core neighbour is then core itself
  for_groups(tree, [&](std::int32_t group) {
    auto const own = tree.nodes()[std::size_t(group)];
    bool all_core = true;
    for (auto p = own.begin; p < own.end; ++p) all_core = all_core && is_core(p);
    if (all_core) return;
    tree.visit_near(group, eps2, false, [&](KdTree::Node const& leaf, KdTree::Node const& node, bool) {
      tree.visit_pairs(
          leaf, node, [&](std::int32_t p) { return !is_core(p); }, [&](std::int32_t) { return eps2; },
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
