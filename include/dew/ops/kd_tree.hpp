// SPDX-License-Identifier: BSL-1.0
// KdTree: points cut into small boxes, so that neighbours within a radius are found without looking at all pairs.
// N points, d dimensions.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/task_queue.hpp"
#include "dew/core/torch.hpp"
#include "dew/ops/box_loops.hpp"

namespace dew {

/// A balanced tree over points [N, d]: each node is halved along its widest dimension until at most 16 points are left; all leaves but the
/// last hold 16.
///
/// Inside, points stand in *tree order*, in which every node is a range of places; `original` leads back. Distances are computed in double,
/// and so that the bounds of boxes are exact: a box is left out, or taken whole, only when the rounded distance of each of its points says
/// so too. Building O(d · N log N), memory 24·d·N bytes and some. Reproducible. On the CPU. Throws `Error` for points that are not finite.
/// Prunes little above some twenty dimensions without clusters; then it is as slow as all pairs, but needs no more memory.
class KdTree {
 public:
  /// A range of places in tree order and the box around its points.
  struct Node {
    std::int32_t begin, end;
    std::int32_t left = -1, right = -1;  // children, or -1 for a leaf
    bool is_leaf() const { return left < 0; }
  };
  static constexpr std::int32_t leaf_size = 16;    ///< points of a full leaf
  static constexpr std::int32_t group_size = 128;  ///< most points of a node whose leaves are searched for together

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
    auto const leaves = (n + leaf_size - 1) / leaf_size;
    original_.resize(std::size_t(n)), leaves_.resize(std::size_t(leaves));
    nodes_.resize(std::size_t(std::max(2 * leaves - 1, 0))), boxes_.resize(nodes_.size() * 2 * d_);
    build(n, data);
    points_.resize(std::size_t(n) * d_);
    if (points.scalar_type() == at::kFloat) arrange(single_, data);
    else arrange(double_, data);
  }

  std::int32_t size() const { return std::int32_t(original_.size()); }
  /// The row that the point at a place has in the tensor.
  std::int32_t original(std::int32_t place) const { return original_[std::size_t(place)]; }
  std::vector<Node> const& nodes() const { return nodes_; }
  /// Numbers of the leaves, in tree order; together they hold every point once.
  std::vector<std::int32_t> const& leaves() const { return leaves_; }
  /// Numbers of the largest nodes of at most `most` ≥ 16 points, in tree order; together they hold every point once.
  std::vector<std::int32_t> nodes_of(std::int32_t most) const {
    std::vector<std::int32_t> out, stack;
    if (!nodes_.empty()) stack.push_back(0);
    while (!stack.empty()) {
      auto const at = stack.back();
      stack.pop_back();
      auto const& node = nodes_[std::size_t(at)];
      if (node.is_leaf() || node.end - node.begin <= most) out.push_back(at);
      else stack.push_back(node.right), stack.push_back(node.left);
    }
    return out;
  }
  std::size_t dimensions() const { return d_; }
  /// Coordinates [d] of the point at a place.
  double const* point(std::int32_t place) const { return points_.data() + std::size_t(place) * d_; }
  /// Coordinates [leaves, d, 16] from the leaf on that begins at a place, coordinate by coordinate; behind the last point NaN.
  /// Of points of single precision `float` ones are there, else `double` ones.
  template <class T> T const* blocks(std::int32_t place) const {
    if constexpr (std::is_same_v<T, float>) return single_.blocks.data() + std::size_t(place) * d_;
    else return double_.blocks.data() + std::size_t(place) * d_;
  }
  bool is_single() const { return single_.used(); }
  /// Lowest coordinates [d] of a node's points, and behind them the highest.
  double const* box(std::int32_t node) const { return boxes_.data() + std::size_t(node) * 2 * d_; }
  /// Squared distance of the points at two places.
  double distance2(std::int32_t a, std::int32_t b) const {
    double const *x = point(a), *y = point(b);
    double sum = 0;
    for (std::size_t c = 0; c < d_; ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
    return sum;
  }
  /// The same from one place to four.
  std::array<double, 4> distances2(std::int32_t a, std::array<std::int32_t, 4> const& b) const {
    double const* x = point(a);
    std::array<double const*, 4> const y{point(b[0]), point(b[1]), point(b[2]), point(b[3])};
    std::array<double, 4> sum{};
    for (std::size_t c = 0; c < d_; ++c)
      for (std::size_t i = 0; i < 4; ++i) sum[i] += (x[c] - y[i][c]) * (x[c] - y[i][c]);
    return sum;
  }

  /// Calls `visit(i, j, squared distance)` for the places i of `leaf` and j of `node` at a squared distance ≤ `radius2(i)`, a point and itself
  /// included; for each i that is `wanted(i)`. `radius2` may shrink from visit to visit.
  template <class Wanted, class Radius2, class Visit>
  void visit_pairs(Node const& leaf, Node const& node, Wanted&& wanted, Radius2&& radius2, Visit&& visit) const {
    if (single_.used()) visit_pairs_in(single_, leaf, node, wanted, radius2, visit);
    else visit_pairs_in(double_, leaf, node, wanted, radius2, visit);
  }

  /// Calls `visit(other)` for leaves that may hold points near those of the node `own`, near ones first; instead of leaves for the largest nodes of
  /// at most `most` points. `visit` returns the squared distance from any point of `own` beyond which points need not be looked at any more
  /// (those at exactly that distance still are); the first bound is `radius2`.
  template <class Visit>
  void visit_nearest(std::int32_t own, double radius2, Visit&& visit, std::int32_t most = leaf_size) const {
    std::vector<std::pair<double, std::int32_t>> stack{{0, 0}};
    double bound = radius2;
    while (!stack.empty()) {
      auto const [nearest, at] = stack.back();
      stack.pop_back();
      if (nearest > bound) continue;
      auto const& node = nodes_[std::size_t(at)];
      if (node.is_leaf() || node.end - node.begin <= most) {
        bound = std::min(bound, visit(node));
        continue;
      }
      std::pair left{bounds(own, node.left).first, node.left}, right{bounds(own, node.right).first, node.right};
      // both at the same distance: the one that holds the node itself
      if (right.first < left.first ||
          (right.first == left.first && nodes_[std::size_t(own)].begin >= nodes_[std::size_t(node.right)].begin))
        std::swap(left, right);
      stack.push_back(right), stack.push_back(left);
    }
  }

  /// Which of the leaves of the places begin … end − 1 (at most 16 leaves) may hold points within √radius2 of the leaf at `place`, as bits.
  std::uint32_t near_leaves(std::int32_t place, std::int32_t begin, std::int32_t end, double radius2) const {
    if (single_.used()) return near_leaves_in(single_, place, begin, end, reach_of<float>(radius2).data());
    return near_leaves_in(double_, place, begin, end, reach_of<double>(radius2).data());
  }

  /// For each leaf of the node `group`, which has at most `group_size` points, calls `visit(leaf, node, whole)` for nodes that together hold
  /// every point within √radius2 of a point of the leaf, each once: leaves, of which some points may be near, those of the group's own first,
  /// and with `whole` nodes of any size, all of whose points are within the radius of all points of the leaf. Leaves out what is in a node
  /// that is not `wanted(leaf, node)`; asked for whole nodes and for such of at most `group_size` points.
  /// `only_later`: leaves out nodes that lie before the leaf, unless they are part of a whole one that begins with the group, in which a pair
  /// of leaves comes twice; over all groups every pair of near leaves comes at least once.
  template <class Wanted, class Visit>
  void visit_near(std::int32_t group, double radius2, bool only_later, Wanted&& wanted, Visit&& visit) const {
    if (single_.used()) visit_near_in(single_, group, radius2, only_later, wanted, visit);
    else visit_near_in(double_, group, radius2, only_later, wanted, visit);
  }
  /// The same with all nodes wanted.
  template <class Visit>
  void visit_near(std::int32_t group, double radius2, bool only_later, Visit&& visit) const {
    visit_near(group, radius2, only_later, [](Node const&, Node const&) { return true; }, visit);
  }

 private:
  /// A node that is not made yet. Nodes are numbered in preorder; their sizes alone tell all numbers beforehand.
  struct Part { std::int32_t number, begin, end; };
  /// A point and its coordinate along the dimension in which a node is cut.
  struct Along {
    double value;
    std::int32_t row;
    bool operator<(Along const& other) const { return value != other.value ? value < other.value : row < other.row; }
  };

  /// All nodes, on several threads as soon as there are several parts.
  void build(std::int32_t n, double const* data) {
    if (n == 0) return;
    std::vector<Along> order(static_cast<std::size_t>(n));
    for (std::int32_t i = 0; i < n; ++i) order[std::size_t(i)].row = i;
    constexpr std::size_t enough = 16;       // parts, so that threads end together
    constexpr std::int32_t worth_it = 1024;  // points of a part
    std::vector<Part> parts{{0, 0, n}};
    while (parts.size() < enough && n / std::int32_t(parts.size()) > worth_it) {
      std::vector<Part> halves(2 * parts.size());
      share_tasks(std::int64_t(parts.size()), [&](TaskQueue& tasks) {
        while (auto const i = tasks.take()) {
          auto const [left, right] = cut(parts[std::size_t(i->number)], order, data);
          halves[2 * std::size_t(i->number)] = left, halves[2 * std::size_t(i->number) + 1] = right;
        }
      });
      parts = std::move(halves);
    }
    share_tasks(std::int64_t(parts.size()), [&](TaskQueue& tasks) {
      while (auto const i = tasks.take()) cut_to_leaves(parts[std::size_t(i->number)], order, data);
    });
    for (std::size_t p = 0; p < order.size(); ++p) original_[p] = order[p].row;
  }

  void cut_to_leaves(Part const& part, std::vector<Along>& order, double const* data) {
    if (part.end - part.begin <= leaf_size) {
      make_node(part, order, data);
      leaves_[std::size_t(part.begin / leaf_size)] = part.number;
      return;
    }
    auto const [left, right] = cut(part, order, data);
    cut_to_leaves(left, order, data);
    cut_to_leaves(right, order, data);
  }

  /// Makes an inner node; returns its halves.
  std::pair<Part, Part> cut(Part const& part, std::vector<Along>& order, double const* data) {
    make_node(part, order, data);
    auto const* low = box(part.number);
    std::size_t widest = 0;
    for (std::size_t c = 1; c < d_; ++c)
      if (low[d_ + c] - low[c] > low[d_ + widest] - low[widest]) widest = c;
    for (auto p = part.begin; p < part.end; ++p) {
      auto& [value, row] = order[std::size_t(p)];
      value = d_ ? data[std::size_t(row) * d_ + widest] : 0;
    }
    auto const middle = part.begin + ((part.end - part.begin) / 2 + leaf_size - 1) / leaf_size * leaf_size;
    std::nth_element(order.begin() + part.begin, order.begin() + middle, order.begin() + part.end);
    auto const leaves_left = (middle - part.begin) / leaf_size;
    auto& node = nodes_[std::size_t(part.number)];
    node.left = part.number + 1, node.right = part.number + 2 * leaves_left;
    return {{node.left, part.begin, middle}, {node.right, middle, part.end}};
  }

  /// The range and the box of a node.
  void make_node(Part const& part, std::vector<Along> const& order, double const* data) {
    nodes_[std::size_t(part.number)] = {part.begin, part.end};
    auto *const low = boxes_.data() + std::size_t(part.number) * 2 * d_, *const high = low + d_;
    std::fill_n(low, d_, std::numeric_limits<double>::infinity());
    std::fill_n(high, d_, -std::numeric_limits<double>::infinity());
    for (auto p = part.begin; p < part.end; ++p) {
      auto const* x = data + std::size_t(order[std::size_t(p)].row) * d_;
      for (std::size_t c = 0; c < d_; ++c) low[c] = std::min(low[c], x[c]), high[c] = std::max(high[c], x[c]);
    }
  }

  /// Coordinates for the comparisons that come first, in T.
  template <class T> struct Rough {
    std::vector<T> points;   // [N, d] in tree order
    std::vector<T> blocks;   // [leaves, d, 16] the same, coordinate by coordinate; NaN behind the last point
    std::vector<T> boxes;    // [leaves, 2, d]
    std::vector<T> limits;   // [2, d, stride] the same, coordinate by coordinate
    std::size_t stride = 0;  // at least 15 more than there are leaves
    bool used() const { return !points.empty(); }
    T const* box(std::int32_t place, std::size_t d) const { return boxes.data() + std::size_t(place / leaf_size) * 2 * d; }
  };

  /// Copies the points to their places.
  template <class T> void arrange(Rough<T>& rough, double const* data) {
    auto const n = original_.size(), width = std::size_t(leaf_size);
    rough.points.resize(n * d_), rough.blocks.resize(leaves_.size() * width * d_), rough.boxes.resize(leaves_.size() * 2 * d_);
    rough.stride = leaves_.size() + width - 1, rough.limits.resize(rough.stride * 2 * d_);
    at::parallel_for(0, std::int64_t(leaves_.size()), 64, [&](std::int64_t begin, std::int64_t end) {
      for (auto leaf = std::size_t(begin); leaf < std::size_t(end); ++leaf) {
        auto* block = rough.blocks.data() + leaf * width * d_;
        std::fill_n(block, width * d_, std::numeric_limits<T>::quiet_NaN());
        for (auto p = leaf * width; p < std::min(n, (leaf + 1) * width); ++p)
          for (std::size_t c = 0; c < d_; ++c) {
            auto const value = data[std::size_t(original_[p]) * d_ + c];
            points_[p * d_ + c] = value;
            rough.points[p * d_ + c] = block[c * width + p % width] = T(value);
          }
        auto const* exact = box(leaves_[leaf]);
        for (std::size_t c = 0; c < 2 * d_; ++c) rough.boxes[leaf * 2 * d_ + c] = rough.limits[c * rough.stride + leaf] = T(exact[c]);
      }
    });
  }

  template <class T, class Wanted, class Radius2, class Visit>
  void visit_pairs_in(Rough<T> const& rough, Node const& leaf, Node const& node, Wanted const& wanted, Radius2 const& radius2,
                      Visit const& visit) const {
    alignas(64) T bounds[16] = {};
    std::uint32_t all = 0;
    for (auto i = leaf.begin; i < leaf.end; ++i)
      if (wanted(i)) all |= 1U << (i - leaf.begin);
    if (all == 0) return;
    for (auto begin = node.begin; begin < node.end; begin += leaf_size) {
      for (auto i = leaf.begin; i < leaf.end; ++i) bounds[i - leaf.begin] = with_slack<T>(radius2(i));
      auto const* box = rough.box(begin, d_);
      auto const* points = rough.blocks.data() + std::size_t(leaf.begin) * d_;
      auto queries = all & detail::near_boxes(box, points, points, 16, d_, bounds);
      for (; queries != 0; queries &= queries - 1) {
        auto const i = leaf.begin + std::countr_zero(queries);
        auto near = detail::near_in_block(rough.points.data() + std::size_t(i) * d_, rough.blocks.data() + std::size_t(begin) * d_, d_,
                                          bounds[i - leaf.begin]);
        if (node.end - begin < leaf_size) near &= (1U << (node.end - begin)) - 1;
        for (; near != 0; near &= near - 1) {
          auto const j = begin + std::countr_zero(near);
          if (auto const d2 = distance2(i, j); d2 <= radius2(i)) visit(i, j, d2);
        }
      }
    }
  }

  /// A squared distance that is not exceeded by any up to `radius2` when it is computed in T: sums of squared differences of exact numbers are off
  /// by a share of themselves, and by what underflows.
  template <class T> T with_slack(double radius2) const {
    return T(radius2) * (T(1) + T(d_ + 8) * std::numeric_limits<T>::epsilon()) + T(d_) * std::numeric_limits<T>::min();
  }

  /// The same for sixteen boxes.
  template <class T> std::array<T, 16> reach_of(double radius2) const {
    std::array<T, 16> out;
    out.fill(with_slack<T>(radius2));
    return out;
  }

  template <class T>
  std::uint32_t near_leaves_in(Rough<T> const& rough, std::int32_t place, std::int32_t begin, std::int32_t end, T const* reach) const {
    auto const all = (1U << ((end - begin + leaf_size - 1) / leaf_size)) - 1;
    if (d_ == 0) return all;
    auto const* low = rough.limits.data() + begin / leaf_size;
    return all & detail::near_boxes(rough.box(place, d_), low, low + d_ * rough.stride, rough.stride, d_, reach);
  }

  /// The nodes that `visit_near` looks at for a group.
  template <class T> struct NearNodes {
    std::vector<std::int32_t> whole, some;  // some: of at most `group_size` points
    std::vector<T> limits;                  // [some / 16, 2, d, 16] of these
  };

  template <class T>
  NearNodes<T> near_nodes(std::int32_t group, double radius2, bool only_later) const {
    auto const& own = nodes_[std::size_t(group)];
    NearNodes<T> near;
    std::vector<std::int32_t> stack{0};
    while (!stack.empty()) {
      auto const at = stack.back();
      stack.pop_back();
      auto const& node = nodes_[std::size_t(at)];
      if (only_later && node.end <= own.begin) continue;
      auto const [nearest, farthest] = bounds(group, at);
      if (nearest > radius2) continue;
      if (farthest <= radius2 && !(only_later && node.begin < own.begin)) near.whole.push_back(at);
      else if (node.is_leaf() || node.end - node.begin <= group_size) near.some.push_back(at);
      else stack.push_back(node.right), stack.push_back(node.left);
    }
    if (auto const at = std::find(near.some.begin(), near.some.end(), group); at != near.some.end()) std::swap(*at, near.some.front());
    near.limits.resize((near.some.size() + 15) / 16 * 16 * 2 * d_);
    for (std::size_t k = 0; k < near.some.size(); ++k)
      for (std::size_t c = 0; c < 2 * d_; ++c) near.limits[(k / 16 * 2 * d_ + c) * 16 + k % 16] = T(box(near.some[k])[c]);
    return near;
  }

  template <class T, class Wanted, class Visit>
  void visit_near_in(Rough<T> const& rough, std::int32_t group, double radius2, bool only_later, Wanted const& wanted,
                     Visit const& visit) const {
    auto const near = near_nodes<T>(group, radius2, only_later);
    auto const reach = reach_of<T>(radius2);
    auto const& own = nodes_[std::size_t(group)];
    for (auto place = own.begin; place < own.end; place += leaf_size) {
      auto const number = leaves_[std::size_t(place / leaf_size)];
      auto const& leaf = nodes_[std::size_t(number)];
      for (auto const at : near.whole)
        if (wanted(leaf, nodes_[std::size_t(at)])) visit(leaf, nodes_[std::size_t(at)], true);
      bool const small = bounds(number, number).second <= 4 * radius2;  // else no node is whole for it
      for (std::size_t first = 0; first < near.some.size(); first += 16) {
        auto const* low = near.limits.data() + first * 2 * d_;
        auto nodes = detail::near_boxes(rough.box(place, d_), low, low + d_ * 16, 16, d_, reach.data());
        if (near.some.size() - first < 16) nodes &= (1U << (near.some.size() - first)) - 1;
        for (; nodes != 0; nodes &= nodes - 1) {
          auto const& node = nodes_[std::size_t(near.some[first + std::size_t(std::countr_zero(nodes))])];
          auto const begin = only_later ? std::max(node.begin, place) : node.begin;
          if (begin >= node.end || !wanted(leaf, node)) continue;
          for (auto leaves = near_leaves_in(rough, place, begin, node.end, reach.data()); leaves != 0; leaves &= leaves - 1) {
            auto const other = leaves_[std::size_t(begin / leaf_size) + std::size_t(std::countr_zero(leaves))];
            visit(leaf, nodes_[std::size_t(other)], small && bounds(number, other).second <= radius2);
          }
        }
      }
    }
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

  std::size_t d_ = 0;
  std::vector<double> points_;  // [N, d] in tree order
  Rough<float> single_;         // one of the two: points of single precision are compared in it first
  Rough<double> double_;
  std::vector<double> boxes_;           // [nodes, 2, d] lowest and highest coordinates
  std::vector<std::int32_t> original_;  // [N]
  std::vector<Node> nodes_;             // the root is first
  std::vector<std::int32_t> leaves_;
};

}  // namespace dew
