// SPDX-License-Identifier: BSL-1.0
// Union-find: the connected components of a graph whose edges come one after the other.
#pragma once
#include <atomic>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// Disjoint sets of 0 … n − 1, joined pair by pair. The root of a set is its lowest member, whatever the order of the joins,
/// so that everything derived from it is reproducible. Path halving without ranks: O(log n) a step at worst, nearly O(1) in practice;
/// 4 bytes an element. One thread only, but for what is `…_shared`. Not for sets that split again.
class UnionFind {
 public:
  /// n sets of one. Throws `Error` above 2³¹ − 1 elements.
  explicit UnionFind(std::int64_t n) {
    check(n >= 0 && n <= INT32_MAX, "union-find: expected 0 to {} elements, got {}", INT32_MAX, n);
    parent_.resize(std::size_t(n));
    std::iota(parent_.begin(), parent_.end(), 0);
  }

  std::int64_t size() const { return std::int64_t(parent_.size()); }

  /// The lowest member of i's set.
  std::int32_t find(std::int32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

  /// Joins the sets of i and j; true if they were two.
  bool unite(std::int32_t i, std::int32_t j) {
    i = find(i), j = find(j);
    if (i == j) return false;
    if (i > j) std::swap(i, j);
    parent_[j] = i;
    return true;
  }

  /// The same for several threads at once, as long as they call nothing but what is `…_shared`. Without locks: only a root is joined to
  /// another set, by an exchange that fails when it is no root any more, and what a path is shortened to is an ancestor whoever writes it.
  /// S. Jaiganesh, M. Burtscher, HPDC 2018.
  void unite_shared(std::int32_t i, std::int32_t j) {
    while (true) {
      i = find_shared(i), j = find_shared(j);
      if (i == j) return;
      if (i > j) std::swap(i, j);
      auto root = j;
      if (shared(j).compare_exchange_strong(root, i, std::memory_order_relaxed)) return;
    }
  }

  /// Whether i and j are in one set; for several threads at once, besides `unite_shared`. May still say no while another thread joins them.
  bool is_joined_shared(std::int32_t i, std::int32_t j) { return find_shared(i) == find_shared(j); }

  /// Writes a label for every element [n]: sets are numbered 0, 1, … in the order of their lowest members. O(n).
  void number(std::span<std::int64_t> labels) {
    check(std::int64_t(labels.size()) == size(), "union-find: expected room for {} labels, got {}", size(), labels.size());
    std::int64_t next = 0;
    for (std::size_t i = 0; i < parent_.size(); ++i) {
      auto const root = std::size_t(find(std::int32_t(i)));
      labels[i] = root == i ? next++ : labels[root];  // a root comes before its set's other members
    }
  }

 private:
  std::atomic_ref<std::int32_t> shared(std::int32_t i) { return std::atomic_ref(parent_[std::size_t(i)]); }
  std::int32_t find_shared(std::int32_t i) {
    while (true) {
      auto const parent = shared(i).load(std::memory_order_relaxed);
      if (parent == i) return i;
      auto const above = shared(parent).load(std::memory_order_relaxed);
      shared(i).store(above, std::memory_order_relaxed);
      i = above;
    }
  }

  std::vector<std::int32_t> parent_;
};

/// The connected components of a graph with n nodes and edges `edge_index` [2, E], integer, whatever their direction: labels [n], numbered
/// by each component's lowest node; a node without edges is a component of its own. O((n + E) log n) at worst, on the CPU (tensors on
/// another device are moved there and back). Throws `Error` when an edge points outside the nodes.
inline Tensor component_labels(Tensor const& edge_index, std::int64_t n) {
  check(edge_index.defined() && edge_index.dim() == 2 && edge_index.size(0) == 2 && edge_index.scalar_type() == at::kLong,
        "component_labels: expected 64-bit integer edges [2, E], got {}", shape_text(edge_index));
  auto const edges = edge_index.to(at::kCPU).contiguous();
  auto const e = edges.size(1);
  auto const* source = edges.const_data_ptr<std::int64_t>();
  auto const* target = source + e;
  UnionFind sets(n);
  for (std::int64_t i = 0; i < e; ++i) {
    check(source[i] >= 0 && source[i] < n && target[i] >= 0 && target[i] < n,
          "component_labels: edge {} joins {} and {}, but there are {} nodes", i, source[i], target[i], n);
    sets.unite(std::int32_t(source[i]), std::int32_t(target[i]));
  }
  auto labels = at::empty({n}, at::kLong);
  sets.number({labels.mutable_data_ptr<std::int64_t>(), std::size_t(n)});
  return labels.to(edge_index.device());
}

/// The plain reference of `component_labels`, in torch operations on any device: every node takes the lowest number among its neighbours
/// until nothing changes. O(E · longest shortest path); for tests.
inline Tensor component_labels_reference(Tensor const& edge_index, std::int64_t n) {
  auto const options = at::TensorOptions(edge_index.device()).dtype(at::kLong);
  auto lowest = at::arange(n, options);
  auto const from = at::cat({edge_index[0], edge_index[1]}), to = at::cat({edge_index[1], edge_index[0]});
  for (bool changed = true; changed;) {
    auto const next = lowest.scatter_reduce(0, to, lowest.index_select(0, from), "amin");
    changed = !at::equal(next, lowest);
    lowest = next;
  }
  auto const is_root = lowest == at::arange(n, options);
  return (is_root.cumsum(0) - 1).index_select(0, lowest);
}

}  // namespace dew
