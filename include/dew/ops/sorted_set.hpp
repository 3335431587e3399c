// SPDX-License-Identifier: BSL-1.0
// SortedSet: a set of small numbers that is filled and emptied again and again.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dew::detail {

/// A set of numbers < n that gives them back sorted. Memory n/8 bytes; taking the numbers out costs them and n/4096.
class SortedSet {
 public:
  explicit SortedSet(std::int64_t n) : words_(std::size_t(n) / 64 + 1, 0), used_(words_.size() / 64 + 1, 0) {}
  void insert(std::int32_t i) {
    auto const at = std::size_t(i) / 64;
    words_[at] |= 1ULL << (i % 64), used_[at / 64] |= 1ULL << (at % 64);
  }
  /// Calls `visit(i)` for all of them in ascending order, and forgets them.
  template <class Visit>
  void take(Visit&& visit) {
    for (std::size_t u = 0; u < used_.size(); ++u)
      for (auto used = std::exchange(used_[u], 0); used != 0; used &= used - 1) {
        auto const at = 64 * u + std::size_t(std::countr_zero(used));
        for (auto word = std::exchange(words_[at], 0); word != 0; word &= word - 1)
          visit(std::int32_t(64 * at + std::size_t(std::countr_zero(word))));
      }
  }

 private:
  std::vector<std::uint64_t> words_, used_;  // used: which words are not 0
};

}  // namespace dew::detail
