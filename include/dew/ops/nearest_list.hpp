// SPDX-License-Identifier: BSL-1.0
// NearestList: the best so many candidates of a query.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace dew::detail {

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
  /// Takes n candidates into an empty list, whose places among each other are known.
  void assign(double const* d2, double const* row, std::int32_t const* rank, std::size_t n) {
    entries_.resize(std::min(n, k_));
    for (std::size_t i = 0; i < n; ++i)
      if (std::size_t(rank[i]) < entries_.size()) entries_[std::size_t(rank[i])] = {d2[i], std::int32_t(row[i])};
  }
  std::vector<std::pair<double, std::int32_t>> const& entries() const { return entries_; }

 private:
  std::size_t k_;
  double radius2_;
  std::vector<std::pair<double, std::int32_t>> entries_;
};

}  // namespace dew::detail
