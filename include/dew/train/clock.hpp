// SPDX-License-Identifier: BSL-1.0
// The one source of time in training: injected, so that tests need no waiting.
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

}  // namespace dew
