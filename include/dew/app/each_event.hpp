// SPDX-License-Identifier: BSL-1.0
// Goes through events and says how far it is.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <type_traits>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// Calls f with each event's number; when it returns false, that was the last. On a terminal a line says what is done to which event,
/// elsewhere one at the end how many there were.
template <class F> void each_event(std::vector<std::int64_t> const& ids, char const* what, bool quiet, F&& f) {
  bool const line = !quiet && ::isatty(2) != 0;
  struct Cleared {
    bool line;
    ~Cleared() {
      if (line) (void)std::fputs("\r\033[K", stderr);
    }
  } const cleared{line};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (line) fmt::print(stderr, "\r{} event {} ({}/{})\033[K", what, ids[i], i + 1, ids.size());
    if constexpr (std::is_same_v<decltype(f(ids[i])), bool>) {
      if (!f(ids[i])) return;
    } else f(ids[i]);
  }
  if (!line && !quiet && !ids.empty()) fmt::print(stderr, "{}: {} events done\n", what, ids.size());
}

}  // namespace dew
