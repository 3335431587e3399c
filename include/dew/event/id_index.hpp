// SPDX-License-Identifier: BSL-1.0
// From 64-bit identifiers to rows.
#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// Finds the row of an identifier. A hash table with open addressing: O(n) to build, O(1) to ask, 24 to 48 bytes a row.
class IdIndex {
 public:
  /// Rows of `ids`; where an identifier stands twice the first row counts, and `duplicate()` is the second.
  explicit IdIndex(std::span<std::int64_t const> ids)
      : slots_(std::bit_ceil(2 * ids.size() + 2)), shift_(64 - std::countr_zero(slots_.size())) {
    for (std::size_t row = 0; row < ids.size(); ++row) {
      auto& slot = slots_[place(ids[row])];
      if (slot.row < 0) slot = {ids[row], std::int64_t(row)};
      else if (duplicate_ < 0) duplicate_ = std::int64_t(row);
    }
  }
  /// The row of an identifier, −1 for one that is not there.
  std::int64_t row(std::int64_t id) const { return slots_[place(id)].row; }
  /// The first row whose identifier stands in an earlier row, −1 when there is none.
  std::int64_t duplicate() const { return duplicate_; }

 private:
  struct Slot { std::int64_t id = 0, row = -1; };
  std::size_t place(std::int64_t id) const {
    auto at = std::size_t((std::uint64_t(id) * 0x9e3779b97f4a7c15ULL) >> shift_);
    while (slots_[at].row >= 0 && slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  std::vector<Slot> slots_;
  int shift_;
  std::int64_t duplicate_ = -1;
};

}  // namespace dew
