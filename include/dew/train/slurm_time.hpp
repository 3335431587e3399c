// SPDX-License-Identifier: BSL-1.0
// Lengths of time as SLURM writes them.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "dew/core/error.hpp"

namespace dew {

/// Seconds of a time as SLURM writes it: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` or
/// `days-hours:minutes:seconds`. Throws `Error` (usage) that names `what`.
inline double parse_slurm_time(std::string_view text, std::string_view what) {
  auto rest = text;
  auto const number = [&] {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    check(error == std::errc() && value >= 0 && value <= 1'000'000'000, ErrorKind::usage,
          "{}: expected minutes, H:MM:SS or D-HH:MM:SS, got '{}'", what, text);
    rest.remove_prefix(std::size_t(end - rest.data()));
    return double(value);
  };
  auto const more = [&](char mark) {
    bool const there = rest.starts_with(mark);
    if (there) rest.remove_prefix(1);
    return there;
  };
  double days = 0;
  std::array<double, 3> fields{number(), 0, 0};
  std::size_t count = 1;
  bool const with_days = more('-');
  if (with_days) days = fields[0], fields[0] = number();
  while (count < fields.size() && more(':')) fields[count++] = number();
  check(rest.empty(), ErrorKind::usage, "{}: expected minutes, H:MM:SS or D-HH:MM:SS, got '{}'", what, text);
  if (with_days || count == 3) return 86400 * days + 3600 * fields[0] + 60 * fields[1] + fields[2];
  return 60 * fields[0] + fields[1];
}

/// The same the other way: `0:59:41`, `1-02:03:04`; whole seconds, downwards.
inline std::string slurm_time_text(double seconds) {
  auto const s = std::int64_t(std::max(0.0, std::floor(seconds)));
  return fmt::format("{}{:0{}}:{:02}:{:02}", s >= 86400 ? fmt::format("{}-", s / 86400) : "", s / 3600 % 24, s >= 86400 ? 2 : 1,
                     s / 60 % 60, s % 60);
}

}  // namespace dew
