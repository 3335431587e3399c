// SPDX-License-Identifier: BSL-1.0
// The sources of time in training: injected, so that tests need no waiting.
#pragma once
#include <chrono>
#include <functional>

namespace dew {

/// Seconds since some fixed moment, never going back. A test passes a function of its own.
using Clock = std::function<double()>;

/// The machine's steady clock.
inline Clock steady_clock() {
  return [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
}

/// Seconds since 1970 by a clock that may be set back: to date entries, never for durations.
inline Clock system_clock() {
  return [] { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); };
}

}  // namespace dew
