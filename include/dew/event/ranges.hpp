// SPDX-License-Identifier: BSL-1.0
// Event ranges as people write them: "1-5,9".
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// The numbers of a list of ranges, in the order written: "1-3,9" is {1, 2, 3, 9}. Blanks around a number are passed over.
/// Throws `Error` (usage) on anything else, on a range that runs backwards, on a number that stands twice and on more than 10⁷ numbers.
inline std::vector<std::int64_t> parse_ranges(std::string_view text) {
  constexpr std::int64_t most = 10'000'000;
  std::vector<std::int64_t> out;
  auto rest = text;
  auto const blanks = [&] {
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  };
  auto const number = [&] {
    blanks();
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    check(error == std::errc() && value >= 0, ErrorKind::usage, "event ranges: expected something like 1-5,9, got '{}'", text);
    rest.remove_prefix(std::size_t(end - rest.data()));
    blanks();
    return value;
  };
  for (;;) {
    auto const first = number();
    auto last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = number();
    }
    check(first <= last, ErrorKind::usage, "event ranges: {}-{} runs backwards in '{}'", first, last, text);
    check(last - first < most - std::int64_t(out.size()), ErrorKind::usage, "event ranges: '{}' holds more than {} events", text, most);
    for (auto i = first; i <= last; ++i) out.push_back(i);
    if (rest.empty()) break;
    check(rest.starts_with(','), ErrorKind::usage, "event ranges: expected something like 1-5,9, got '{}'", text);
    rest.remove_prefix(1);
  }
  auto sorted = out;
  std::sort(sorted.begin(), sorted.end());
  auto const twice = std::adjacent_find(sorted.begin(), sorted.end());
  check(twice == sorted.end(), ErrorKind::usage, "event ranges: {} stands twice in '{}'", twice == sorted.end() ? 0 : *twice, text);
  return out;
}

/// The shortest text that `parse_ranges` reads back as these numbers: {1, 2, 3, 9} is "1-3,9".
inline std::string ranges_text(std::vector<std::int64_t> const& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    auto end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
    if (end - i > 1) text += fmt::format("-{}", numbers[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace dew
