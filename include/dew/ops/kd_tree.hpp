// SPDX-License-Identifier: BSL-1.0
// KdTree: points cut into small boxes, so that neighbours within a radius are found without looking at all pairs.
// N points, d dimensions.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// A balanced tree over points [N, d]: each node is halved along its widest dimension until at most 16 points are left.
///
/// Inside, points stand in *tree order*, in which every node is a range of places; `original` leads back. Distances are computed in double,
/// and so that the bounds of boxes are exact: a box is left out, or taken whole, only when the rounded distance of each of its points says
/// so too. Building O(d · N log N), memory 8·d·N bytes and some. Reproducible. On the CPU. Throws `Error` for points that are not finite.
/// Prunes little above some twenty dimensions without clusters; then it is as slow as all pairs, but needs no more memory.
class KdTree {
 public:
  /// A range of places in tree order and the box around its points.
  struct Node {
    std::int32_t begin, end;
    std::int32_t left = -1, right = -1;  // children, or -1 for a leaf
    bool is_leaf() const { return left < 0; }
  };

  explicit KdTree(Tensor const& points) {
    check(points.defined() && points.dim() == 2 && points.is_floating_point(), "neighbour search: expected real points [N, d], got {}",
          shape_text(points));
    check(points.size(0) <= INT32_MAX, "neighbour search: expected at most {} points, got {}", INT32_MAX, points.size(0));
    auto const x = points.detach().to(at::kCPU, at::kDouble).contiguous();
    auto const* data = x.const_data_ptr<double>();
    auto const n = std::int32_t(x.size(0));
    d_ = std::size_t(x.size(1));
    for (std::size_t i = 0; i < std::size_t(n) * d_; ++i)
      check(std::isfinite(data[i]), "neighbour search: point {} is not finite", d_ ? i / d_ : 0);
    original_.resize(std::size_t(n));
    std::iota(original_.begin(), original_.end(), 0);
    if (n > 0) build(0, n, data);
    points_.resize(std::size_t(n) * d_);
    for (std::size_t p = 0; p < original_.size(); ++p) std::copy_n(data + std::size_t(original_[p]) * d_, d_, points_.data() + p * d_);
  }

  std::int32_t size() const { return std::int32_t(original_.size()); }
  /// The row that the point at a place has in the tensor.
  std::int32_t original(std::int32_t place) const { return original_[std::size_t(place)]; }
  std::vector<Node> const& nodes() const { return nodes_; }
  /// Numbers of the leaves, in tree order; together they hold every point once.
  std::vector<std::int32_t> const& leaves() const { return leaves_; }

  /// Squared distance of the points at two places.
  double distance2(std::int32_t a, std::int32_t b) const {
    double const* x = points_.data() + std::size_t(a) * d_;
    double const* y = points_.data() + std::size_t(b) * d_;
    double sum = 0;
    for (std::size_t c = 0; c < d_; ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
    return sum;
  }

  /// Calls `visit(leaf)` for leaves in the order of their distance from the point at a place, nearest first. `visit` returns the squared
  /// distance beyond which leaves need not be looked at any more (leaves at exactly that distance still are); the first bound is `radius2`.
  template <class Visit>
  void visit_nearest(std::int32_t place, double radius2, Visit&& visit) const {
    std::vector<std::pair<double, std::int32_t>> queue{{distance2_to_box(place, 0), 0}};  // a heap whose first is the nearest
    double bound = radius2;
    while (!queue.empty()) {
      std::pop_heap(queue.begin(), queue.end(), std::greater<>());
      auto const [nearest, at] = queue.back();
      queue.pop_back();
      if (nearest > bound) return;
      auto const& node = nodes_[std::size_t(at)];
      if (node.is_leaf()) bound = std::min(bound, visit(node));
      else
        for (auto child : {node.left, node.right}) {
          queue.emplace_back(distance2_to_box(place, child), child);
          std::push_heap(queue.begin(), queue.end(), std::greater<>());
        }
    }
  }

  /// Calls `visit(node, whole)` for nodes that together hold every point within √radius2 of a point of `leaf`, each once: leaves, of which
  /// some points may be near, and with `whole` nodes of any size, all of whose points are within the radius of all points of `leaf`.
  /// `only_later`: leaves out nodes that lie before `leaf`, so that over all leaves every pair of leaves comes once.
  template <class Visit>
  void visit_near(std::int32_t leaf, double radius2, bool only_later, Visit&& visit) const {
    auto const& own = nodes_[std::size_t(leaf)];
    std::vector<std::int32_t> stack{0};
    while (!stack.empty()) {
      auto const at = stack.back();
      stack.pop_back();
      auto const& node = nodes_[std::size_t(at)];
      if (only_later && node.end <= own.begin) continue;
      auto const [nearest, farthest] = bounds(leaf, at);
      if (nearest > radius2) continue;
      bool const whole = farthest <= radius2 && !(only_later && node.begin < own.begin);
      if (whole || node.is_leaf()) visit(node, whole);
      else stack.push_back(node.right), stack.push_back(node.left);
    }
  }

 private:
  static constexpr std::int32_t leaf_size = 16;

  std::int32_t build(std::int32_t begin, std::int32_t end, double const* data) {
    auto const number = std::int32_t(nodes_.size());
    nodes_.push_back({begin, end});
    std::vector<double> low(d_, std::numeric_limits<double>::infinity()), high(d_, -std::numeric_limits<double>::infinity());
    for (auto p = begin; p < end; ++p)
      for (std::size_t c = 0; c < d_; ++c) {
        auto const value = data[std::size_t(original_[std::size_t(p)]) * d_ + c];
        low[c] = std::min(low[c], value), high[c] = std::max(high[c], value);
      }
    boxes_.insert(boxes_.end(), low.begin(), low.end());
    boxes_.insert(boxes_.end(), high.begin(), high.end());
    if (end - begin <= leaf_size) {
      leaves_.push_back(number);
      return number;
    }
    std::size_t widest = 0;
    for (std::size_t c = 1; c < d_; ++c)
      if (high[c] - low[c] > high[widest] - low[widest]) widest = c;
    auto const before = [&](std::int32_t i, std::int32_t j) {
      double const a = d_ ? data[std::size_t(i) * d_ + widest] : 0, b = d_ ? data[std::size_t(j) * d_ + widest] : 0;
      return a != b ? a < b : i < j;
    };
    auto const middle = begin + (end - begin) / 2;
    std::nth_element(original_.begin() + begin, original_.begin() + middle, original_.begin() + end, before);
    auto const left = build(begin, middle, data), right = build(middle, end, data);
    nodes_[std::size_t(number)].left = left;
    nodes_[std::size_t(number)].right = right;
    return number;
  }

  /// Squared distances between which all pairs of points of two nodes lie. Rounding is monotonic, and the sums run as in `distance2`.
  std::pair<double, double> bounds(std::int32_t a, std::int32_t b) const {
    double const *low_a = boxes_.data() + std::size_t(a) * 2 * d_, *high_a = low_a + d_;
    double const *low_b = boxes_.data() + std::size_t(b) * 2 * d_, *high_b = low_b + d_;
    double nearest = 0, farthest = 0;
    for (std::size_t c = 0; c < d_; ++c) {
      double const gap = std::max({0.0, low_b[c] - high_a[c], low_a[c] - high_b[c]}),
                   span = std::max(high_b[c] - low_a[c], high_a[c] - low_b[c]);
      nearest += gap * gap, farthest += span * span;
    }
    return {nearest, farthest};
  }

  /// Squared distance below which no point of a node lies from the point at a place.
  double distance2_to_box(std::int32_t place, std::int32_t a) const {
    double const *low = boxes_.data() + std::size_t(a) * 2 * d_, *high = low + d_, *x = points_.data() + std::size_t(place) * d_;
    double sum = 0;
    for (std::size_t c = 0; c < d_; ++c) {
      double const gap = std::max({0.0, low[c] - x[c], x[c] - high[c]});
      sum += gap * gap;
    }
    return sum;
  }

  std::size_t d_ = 0;
  std::vector<double> points_;          // [N, d] in tree order
  std::vector<double> boxes_;           // [nodes, 2, d] lowest and highest coordinates
  std::vector<std::int32_t> original_;  // [N]
  std::vector<Node> nodes_;             // the root is first
  std::vector<std::int32_t> leaves_;
};

}  // namespace dew
