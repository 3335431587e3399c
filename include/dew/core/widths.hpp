// SPDX-License-Identifier: BSL-1.0
// What a module is made from: which keys there are before a stage, and how wide their rows are.
#pragma once
#include <map>
#include <string>

#include "dew/core/error.hpp"
#include "dew/core/key.hpp"

namespace dew {

/// The keys that a stage finds, by name, with the number of values a row: 6 for `hit_features` [N, 6], 1 for `layer` [N].
/// A module is made from this and the stage's options alone, so that a checkpoint can make it again without an event.
class Widths {
 public:
  Widths() = default;
  explicit Widths(std::map<std::string, std::int64_t> by_name) : by_name_(std::move(by_name)) {}

  /// The widths of a record's keys.
  template <class R>
  static Widths of(R const& record) {
    Widths out;
    record.for_each(
        [&]<class K>(K, Tensor const& t) { out.by_name_[std::string(K::name)] = t.dim() > 1 ? t.size(K::row_dim == 0 ? -1 : 0) : 1; });
    return out;
  }

  template <class Q> bool has(Q const&) const { return by_name_.contains(std::string(KeyOf<Q>::name)); }
  /// The width of a key; throws `Error` naming it when it is not there.
  template <class Q> std::int64_t operator[](Q const&) const {
    auto const at = by_name_.find(std::string(KeyOf<Q>::name));
    check(at != by_name_.end(), "the width of '{}' is asked for, but nothing before this stage writes that key", KeyOf<Q>::name);
    return at->second;
  }
  std::map<std::string, std::int64_t> const& by_name() const { return by_name_; }
  bool operator==(Widths const&) const = default;

 private:
  std::map<std::string, std::int64_t> by_name_;
};

}  // namespace dew
