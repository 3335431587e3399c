// SPDX-License-Identifier: BSL-1.0
// A part of a list of events that one of several programs does, which know nothing of each other.
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/train/launch.hpp"

namespace dew {

/// Every `count`-th event of a list, from place `index` on: the shards of one count have no event in common and together have all.
struct Shard {
  std::int64_t index = 0, count = 1;

  bool whole() const { return count == 1; }
  std::vector<std::int64_t> of(std::vector<std::int64_t> const& events) const {
    std::vector<std::int64_t> out;
    for (std::int64_t i = 0; i < std::ssize(events); ++i)
      if (i % count == index) out.push_back(events[std::size_t(i)]);
    return out;
  }
  /// This shard divided further among processes that were started together.
  Shard divided(Launch const& launch) const { return {index * launch.size + launch.rank, count * launch.size}; }
  /// As `parse_shard` reads it.
  std::string text() const { return fmt::format("{}/{}", index + 1, count); }
  bool operator==(Shard const&) const = default;
};

/// `3/16` is the third of sixteen. Throws `Error` (usage) on anything else.
inline Shard parse_shard(std::string_view text) {
  Shard shard;
  auto const slash = text.find('/');
  auto const number = [](std::string_view word, std::int64_t& value) {
    auto const [last, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return error == std::errc() && last == word.data() + word.size();
  };
  bool const read =
      slash != std::string_view::npos && number(text.substr(0, slash), shard.index) && number(text.substr(slash + 1), shard.count);
  check(read && shard.index >= 1 && shard.index <= shard.count && shard.count <= 1'000'000, ErrorKind::usage,
        "--shard: expected something from 1/N to N/N, such as 3/16, got '{}'", text);
  --shard.index;
  return shard;
}

}  // namespace dew
