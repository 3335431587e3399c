// SPDX-License-Identifier: BSL-1.0
// DBSCAN for many (ε, m) at once, from one neighbour search. N points, d dimensions, M pairs within the largest ε, S different ε.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dew/core/task_queue.hpp"
#include "dew/ops/dbscan.hpp"

namespace dew {

namespace detail {

/// All pairs within the largest ε, grouped by the first ε that they are within.
struct SteppedPairs {
  using Pair = std::pair<std::int32_t, std::int32_t>;
  std::vector<Pair> pairs;          // [M] by step
  std::vector<std::size_t> offset;  // [S + 1] where each step's begin
  bool complete = false;            // false: there were more than `max_pairs`, and none is here

  SteppedPairs(KdTree const& tree, std::vector<double> const& eps2, std::int64_t max_pairs) : offset(eps2.size() + 1, 0) {
    // Twice the same search: the first counts, so that the second writes each pair to its place, without a copy and in an order that no
    // thread changes.
    auto const groups = tree.nodes_of(KdTree::group_size);
    std::vector<std::vector<std::size_t>> place(groups.size(), std::vector<std::size_t>(eps2.size(), 0));
    auto const search = [&](std::atomic<std::int64_t>& total, auto&& found) {
      share_tasks(std::int64_t(groups.size()), [&](TaskQueue& tasks) {
        for (auto task = tasks.take(); task && total <= max_pairs; task = tasks.take())
          total += visit_pairs(tree, groups[std::size_t(task->number)], eps2, place[std::size_t(task->number)], found);
      });
    };
    std::atomic<std::int64_t> total = 0, again = 0;
    search(total, [](std::size_t& count, std::int32_t, std::int32_t) { ++count; });
    if (total > max_pairs) return;
    std::size_t next = 0;
    for (std::size_t step = 0; step < eps2.size(); ++step) {
      offset[step] = next;
      for (auto& of_group : place) next += std::exchange(of_group[step], next);
    }
    offset.back() = next;
    pairs.resize(next);
    search(again, [&](std::size_t& at, std::int32_t i, std::int32_t j) { pairs[at++] = {i, j}; });
    complete = true;
  }

 private:
  /// Calls `found(place of its step, i, j)` for each pair of a point of `group` and a later one; returns their number.
  template <class Found>
  static std::int64_t visit_pairs(KdTree const& tree, std::int32_t group, std::vector<double> const& eps2, std::vector<std::size_t>& place,
                                  Found const& found) {
    std::int64_t number = 0;
    tree.visit_near(group, eps2.back(), true, [&](KdTree::Node const& leaf, KdTree::Node const& node, bool) {
      tree.visit_pairs(
          leaf, node, [](std::int32_t) { return true; }, [&](std::int32_t) { return eps2.back(); },
          [&](std::int32_t p, std::int32_t q, double d2) {
            if (q <= p) return;
            auto const step = std::lower_bound(eps2.begin(), eps2.end(), d2) - eps2.begin();
            found(place[std::size_t(step)], tree.original(p), tree.original(q));
            ++number;
          });
    });
    return number;
  }
};

/// The first few neighbours of every point, by step: all that a point can have while it is no core point.
struct NearestSteps {
  std::size_t width;                // neighbours kept
  std::vector<std::int32_t> index;  // [N, width]
  std::vector<std::int32_t> step;   // [N, width]
  std::vector<std::int32_t> count;  // [N]

  NearestSteps(SteppedPairs const& near, std::size_t n, std::size_t width_)
      : width(width_), index(n * width), step(n * width), count(n, 0) {
    if (width == 0) return;
    for (std::size_t s = 0; s + 1 < near.offset.size(); ++s)
      for (auto at = near.offset[s]; at < near.offset[s + 1]; ++at)
        add(near.pairs[at].first, near.pairs[at].second, s), add(near.pairs[at].second, near.pairs[at].first, s);
  }
  /// The step from which on the point has `others` neighbours, or `never`.
  std::int32_t step_with(std::size_t i, std::size_t others, std::int32_t never) const {
    return others == 0 ? 0 : std::size_t(count[i]) >= others ? step[i * width + others - 1] : never;
  }
  /// Calls `visit(neighbour)` for the kept neighbours of i up to a step.
  template <class Visit>
  void up_to(std::size_t i, std::int32_t last, Visit&& visit) const {
    for (std::size_t k = 0; k < std::size_t(count[i]) && step[i * width + k] <= last; ++k) visit(std::size_t(index[i * width + k]));
  }

 private:
  void add(std::int32_t i, std::int32_t j, std::size_t s) {
    auto& n = count[std::size_t(i)];
    if (std::size_t(n) == width) return;
    index[std::size_t(i) * width + std::size_t(n)] = j, step[std::size_t(i) * width + std::size_t(n)] = std::int32_t(s);
    ++n;
  }
};

/// For one m, calls `done(step, labels)` for every step in turn; clusters only grow from one to the next.
template <class Done>
void scan_eps(SteppedPairs const& near, NearestSteps const& nearest, std::size_t n, std::int64_t min_points, Done&& done) {
  auto const steps = std::int32_t(near.offset.size() - 1);
  std::vector<std::int32_t> core_from(n);  // [N] the step at which a point becomes a core point
  for (std::size_t i = 0; i < n; ++i) core_from[i] = nearest.step_with(i, std::size_t(min_points - 1), steps);
  UnionFind sets{std::int64_t(n)};
  std::vector<char> core(n, 0);
  for (std::int32_t s = 0; s < steps; ++s) {
    for (std::size_t i = 0; i < n; ++i) core[i] = core_from[i] <= s;
    for (auto at = near.offset[std::size_t(s)]; at < near.offset[std::size_t(s) + 1]; ++at)
      if (auto const [i, j] = near.pairs[at]; core[std::size_t(i)] && core[std::size_t(j)]) sets.unite(i, j);
    for (std::size_t i = 0; i < n; ++i)  // pairs from earlier steps that were waiting for i to become a core point
      if (core_from[i] == s)
        nearest.up_to(i, s - 1, [&](std::size_t j) {
          if (core[j]) sets.unite(std::int32_t(i), std::int32_t(j));
        });
    auto labels = core_labels(sets, core, [](std::int32_t row) { return row; });
    for (std::size_t i = 0; i < n; ++i) {
      if (core[i]) continue;
      std::int64_t lowest = -1;
      nearest.up_to(i, s, [&](std::size_t j) {
        if (core[j] && (lowest < 0 || labels[j] < lowest)) lowest = labels[j];
      });
      labels[i] = lowest;
    }
    done(std::size_t(s), labels);
  }
}
}  // namespace detail

/// DBSCAN of `points` [N, d] for every step: labels [N] each, equal to those of `dbscan_labels`.
///
/// Pairs within the largest ε are found once and grouped by ε; then each m runs through the steps with one union-find, O(N·m + M) in all
/// and O(N·m) a step. Memory 8 bytes a pair and 8·m bytes a point. With more than `max_pairs` pairs (points that are all in one heap) each
/// step is run by itself instead, slower and in O(N·d) memory. Same bits for any number of threads; device, gradient and errors as for
/// `dbscan_labels`.
inline std::vector<Tensor> dbscan_scan(Tensor const& points, std::span<DbscanStep const> steps,
                                       std::int64_t max_pairs = std::int64_t(1) << 25) {
  std::vector<Tensor> out(steps.size());
  if (steps.empty()) return out;
  std::vector<double> eps2;
  std::vector<std::int64_t> counts;
  for (auto const& step : steps) detail::check_dbscan(step), eps2.push_back(step.eps * step.eps), counts.push_back(step.min_points);
  auto const unique = [](auto& list) {
    std::sort(list.begin(), list.end()), list.erase(std::unique(list.begin(), list.end()), list.end());
  };
  unique(eps2), unique(counts);

  KdTree const tree(points);
  auto const n = std::size_t(tree.size());
  detail::SteppedPairs const near(tree, eps2, max_pairs);
  auto const width = std::size_t(std::min(counts.back() - 1, std::int64_t(n)));  // nobody has more than n − 1 others
  if (!near.complete || std::int64_t(n * width) > max_pairs) {
    for (auto const min_points : counts) {
      std::vector<std::int64_t> labels;
      bool one_heap = false;  // once all points are one cluster, they stay so for every larger ε
      for (auto const each : eps2) {
        bool known = one_heap;
        for (std::size_t k = 0; k < steps.size(); ++k) {
          if (steps[k].min_points != min_points || steps[k].eps * steps[k].eps != each) continue;
          if (!std::exchange(known, true)) labels = detail::dbscan(tree, steps[k]);
          out[k] = detail::labels_tensor(labels, points.device());
        }
        one_heap = known && std::all_of(labels.begin(), labels.end(), [](auto label) { return label == 0; });
      }
    }
    return out;
  }
  detail::NearestSteps const nearest(near, n, width);
  for (auto const min_points : counts)
    detail::scan_eps(near, nearest, n, min_points, [&](std::size_t s, std::vector<std::int64_t> const& labels) {
      for (std::size_t k = 0; k < steps.size(); ++k)
        if (steps[k].min_points == min_points && steps[k].eps * steps[k].eps == eps2[s])
          out[k] = detail::labels_tensor(labels, points.device());
    });
  return out;
}

}  // namespace dew
