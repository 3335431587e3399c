// SPDX-License-Identifier: BSL-1.0
// NearestByProducts: the k nearest neighbours of points in many dimensions. N points, d dimensions.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "dew/core/simd.hpp"
#include "dew/ops/kd_tree.hpp"
#include "dew/ops/nearest_list.hpp"
#include "dew/ops/product_tiles.hpp"

namespace dew::detail {

/// How many of n values are at most `limit`.
DEW_SIMD inline std::int32_t count_up_to(float const* values, std::int32_t n, float limit) {
  std::int32_t count = 0;
#pragma omp simd reduction(+ : count)
  for (std::int32_t i = 0; i < n; ++i) count += values[i] <= limit;
  return count;
}

/// A panel of coordinates [d, 16] about the centre, and half their squared norms.
template <class T>
DEW_SIMD inline void about_centre(T const* from, double const* centre, T scale, std::size_t d, float* to, float* half_norms) {
  alignas(64) float norm[16] = {};
  for (std::size_t c = 0; c < d; ++c, from += 16, to += 16) {
    T const middle = T(centre[c]);
#pragma omp simd
    for (int b = 0; b < 16; ++b) {
      auto const value = float((from[b] - middle) * scale);
      to[b] = value;
      norm[b] += value * value;
    }
  }
  for (int b = 0; b < 16; ++b) half_norms[b] = norm[b] / 2;
}

/// Least and largest of n > 0 values.
DEW_SIMD inline std::pair<float, float> range_of(float const* values, std::int32_t n) {
  auto least = values[0], most = values[0];
#pragma omp simd reduction(min : least) reduction(max : most)
  for (std::int32_t i = 0; i < n; ++i) least = values[i] < least ? values[i] : least, most = values[i] > most ? values[i] : most;
  return {least, most};
}

/// The place of each of n candidates among them all, by (distance, row).
DEW_SIMD inline void ranks(double const* distance2, double const* row, std::int32_t n, std::int32_t* rank) {
  for (std::int32_t i = 0; i < n; ++i) {
    double const own = distance2[i], own_row = row[i];
    double before = 0;
#pragma omp simd reduction(+ : before)
    for (std::int32_t j = 0; j < n; ++j) before += distance2[j] < own || (distance2[j] == own && row[j] < own_row) ? 1 : 0;
    rank[i] = std::int32_t(before);
  }
}

/// Tile by tile of the points' products: what is sure to be farther than k others is dropped as soon as its product is there, exact distances
/// are computed of the rest, little more than k points. Tiles are nodes of the tree, near ones first, and those that are too far by their
/// box are passed over; coordinates are taken about the middle of the queries' box, so that rounding is small whatever the points' offset.
///
/// The same neighbours as from the tree alone. O(N²·d) products in float at worst. Memory a few hundred numbers a query of the node, for
/// those of one node. One object for each thread.
class NearestByProducts {
 public:
  static constexpr std::int32_t queries_of_node = KdTree::group_size, points_of_tile = KdTree::group_size;

  /// `self`: whether a point is its own neighbour.
  NearestByProducts(KdTree const& tree, std::size_t k, double radius2, bool self)
      : tree_(tree),
        self_(self),
        radius2_(radius2),
        kept_(std::int32_t(k) + (self ? 0 : 1)),  // a point is among its own candidates
        room_(kept_ + std::max(32, kept_)),
        capacity_(std::size_t(room_) + points_of_tile + ProductTile::lanes),
        rounding_(tree.dimensions(), half_extent(tree), tree.is_single()),
        centre_(tree.dimensions()),
        query_(queries_of_node * tree.dimensions()),
        points_(points_of_tile * tree.dimensions()),
        half_norms_(points_of_tile),
        s_(queries_of_node * capacity_),
        place_(queries_of_node * capacity_),
        limit_(queries_of_node),
        count_(queries_of_node),
        norm2_(queries_of_node),
        bound_(queries_of_node),
        distance2_(capacity_),
        row_(capacity_),
        rank_(capacity_),
        nearest_(queries_of_node, NearestList(k, radius2)) {}

  /// Calls `done(place, candidates)` for the places of a node of at most 128 points.
  template <class Done>
  void operator()(std::int32_t node, Done&& done) {
    auto const own = tree_.nodes()[std::size_t(node)];
    first_ = own.begin;
    auto const n = own.end - own.begin;
    begin(node, n);
    tree_.visit_nearest(
        node, radius2_,
        [&](KdTree::Node const& other) {
          compare(n, other);
          return *std::max_element(farthest_.begin(), farthest_.begin() + (n + leaf - 1) / leaf);
        },
        points_of_tile);
    for (std::int32_t i = 0; i < n; ++i) {
      tighten(i);
      settle(i);
      done(first_ + i, nearest_[std::size_t(i)]);
    }
  }

 private:
  static constexpr std::int32_t leaf = KdTree::leaf_size;
  static_assert(leaf == ProductTile::lanes && leaf % ProductTile::queries == 0 && points_of_tile / leaf <= 16);

  static double half_extent(KdTree const& tree) {
    auto const* low = tree.box(0);
    double most = 0;
    for (std::size_t c = 0; c < tree.dimensions(); ++c) most = std::max(most, low[tree.dimensions() + c] / 2 - low[c] / 2);
    return most;
  }

  void begin(std::int32_t node, std::int32_t n) {
    auto const d = tree_.dimensions();
    auto const* low = tree_.box(node);
    for (std::size_t c = 0; c < d; ++c) {
      centre_[c] = low[c] / 2 + low[d + c] / 2;
      if (tree_.is_single()) centre_[c] = float(centre_[c]);
    }
    std::fill(query_.begin(), query_.end(), 0.0F);
    std::fill(limit_.begin(), limit_.end(), -std::numeric_limits<float>::infinity());  // behind the last query: nothing is near
    std::fill(count_.begin(), count_.end(), 0);
    farthest_.fill(radius2_);
    for (std::int32_t i = 0; i < n; ++i) {
      auto const* x = tree_.point(first_ + i);
      auto* to = query_.data() + std::size_t(i) * d;
      double norm2 = 0;
      for (std::size_t c = 0; c < d; ++c) {
        to[c] = float((x[c] - centre_[c]) * rounding_.scale());
        norm2 += double(to[c]) * double(to[c]);
      }
      norm2_[std::size_t(i)] = norm2;
      bound_[std::size_t(i)] = radius2_;
      limit_[std::size_t(i)] = rounding_.limit(radius2_, norm2);
      nearest_[std::size_t(i)].clear();
    }
  }

  void compare(std::int32_t n, KdTree::Node const& other) {
    std::array<std::uint32_t, queries_of_node / leaf> near;  // for each leaf of queries, of the tile's leaves
    std::uint32_t any = 0;
    for (std::int32_t i = 0; i < n; i += leaf)
      any |= near[std::size_t(i / leaf)] = tree_.near_leaves(first_ + i, other.begin, other.end, farthest_[std::size_t(i / leaf)]);
    if (tree_.is_single()) pack(tree_.blocks<float>(other.begin), other.end - other.begin, any);
    else pack(tree_.blocks<double>(other.begin), other.end - other.begin, any);
    for (std::int32_t i = 0; i < n; i += ProductTile::queries) {
      auto const at = std::size_t(i), d = tree_.dimensions();
      for (auto panels = near[std::size_t(i / leaf)]; panels != 0;) {  // those that follow one another at once
        auto const first = std::countr_zero(panels), count = std::countr_one(panels >> first);
        auto const from = std::size_t(first) * leaf;
        panels &= panels + (1U << first);
        add_candidates({d, query_.data() + at * d, limit_.data() + at, points_.data() + from * d, half_norms_.data() + from, count,
                        other.begin + std::int32_t(from), s_.data() + at * capacity_, place_.data() + at * capacity_, count_.data() + at,
                        capacity_});
      }
      bool lowered = false;
      for (auto j = i; j < std::min(n, i + ProductTile::queries); ++j) {
        if (count_[std::size_t(j)] <= room_) continue;
        lowered = true;
        tighten(j);
        if (count_[std::size_t(j)] > room_ - 16) settle(j);
      }
      if (lowered) farthest_[std::size_t(i / leaf)] = largest_bound(i / leaf * leaf, n);
    }
  }

  /// Of the leaf of queries that begins at i.
  double largest_bound(std::int32_t i, std::int32_t n) const {
    return *std::max_element(bound_.begin() + i, bound_.begin() + std::min(n, i + leaf));
  }

  /// Packs the panels of a tile of n points that `wanted` says.
  template <class T>
  void pack(T const* blocks, std::int32_t n, std::uint32_t wanted) {
    for (; wanted != 0; wanted &= wanted - 1) {
      auto const at = std::size_t(std::countr_zero(wanted)) * leaf;
      about_centre(blocks + at * tree_.dimensions(), centre_.data(), T(rounding_.scale()), tree_.dimensions(),
                   points_.data() + at * tree_.dimensions(), half_norms_.data() + at);
    }
    std::fill(half_norms_.begin() + n, half_norms_.end(), std::numeric_limits<float>::quiet_NaN());
  }

  /// Lowers a query's limit to one that some more than k of its candidates keep, and drops the others.
  void tighten(std::int32_t i) {
    auto const at = std::size_t(i);
    auto const n = count_[at];
    if (n <= kept_) return;
    auto* s = s_.data() + at * capacity_;
    auto* place = place_.data() + at * capacity_;
    auto [low, high] = range_of(s, n);
    for (int step = 0; step < 10; ++step) {
      auto const middle = low + (high - low) / 2;
      auto const count = count_up_to(s, n, middle);
      (count >= kept_ ? high : low) = middle;
      if (count >= kept_ && count <= kept_ + 2) break;
    }
    lower(i, rounding_.distance2(high, norm2_[at]));
    std::int32_t left = 0;
    for (std::int32_t c = 0; c < n; ++c) {
      s[left] = s[c], place[left] = place[c];
      left += s[c] <= limit_[at];
    }
    count_[at] = left;
  }

  /// Replaces the candidates by the k nearest, exactly.
  void settle(std::int32_t i) {
    auto const at = std::size_t(i);
    auto const* place = place_.data() + at * capacity_;
    auto& nearest = nearest_[at];
    bool const first = nearest.entries().empty();
    std::int32_t n = 0;
    for (std::int32_t c = 0; c < count_[at]; c += 4) {
      std::array<std::int32_t, 4> four;
      for (std::int32_t b = 0; b < 4; ++b) four[std::size_t(b)] = place[std::min(c + b, count_[at] - 1)];
      auto const d2 = tree_.distances2(first_ + i, four);
      for (std::int32_t b = 0; b < std::min(4, count_[at] - c); ++b) {
        auto const j = four[std::size_t(b)];
        if ((j == first_ + i && !self_) || !(d2[std::size_t(b)] <= nearest.worst())) continue;
        if (first) distance2_[std::size_t(n)] = d2[std::size_t(b)], row_[std::size_t(n++)] = tree_.original(j);
        else nearest.offer(d2[std::size_t(b)], tree_.original(j));
      }
    }
    if (first) {
      ranks(distance2_.data(), row_.data(), n, rank_.data());
      nearest.assign(distance2_.data(), row_.data(), rank_.data(), std::size_t(n));
    }
    count_[at] = 0;
    lower(i, nearest.worst());
  }

  void lower(std::int32_t i, double distance2) {
    auto const at = std::size_t(i);
    if (!(distance2 < bound_[at])) return;
    bound_[at] = distance2;
    limit_[at] = rounding_.limit(distance2, norm2_[at]);
  }

  KdTree const& tree_;
  bool self_;
  double radius2_;
  std::int32_t kept_, room_;  // candidates that a limit must leave; those a query may have before it is lowered
  std::size_t capacity_;
  ProductRounding rounding_;
  std::int32_t first_ = 0;  // place of the first query
  std::vector<double> centre_;
  std::vector<float> query_, points_, half_norms_;
  std::vector<float> s_;                                 // [128, capacity] of candidates,
  std::vector<std::int32_t> place_;                      // [128, capacity] and where they are
  std::vector<float> limit_;                             // [128] largest s of a candidate
  std::vector<std::int32_t> count_;                      // [128]
  std::vector<double> norm2_;                            // [128]
  std::vector<double> bound_;                            // [128] squared distance beyond which there is no neighbour
  std::array<double, queries_of_node / leaf> farthest_;  // the largest of these for each leaf of queries
  std::vector<double> distance2_, row_;                  // [capacity] of one query's candidates
  std::vector<std::int32_t> rank_;                       // [capacity]
  std::vector<NearestList> nearest_;
};

}  // namespace dew::detail
