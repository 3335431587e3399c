// SPDX-License-Identifier: BSL-1.0
// Stops a program while there is still time to save, by what its steps and its checkpoints have taken so far.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "dew/train/clock.hpp"

namespace dew {

/// Says when time is nearly up. It is asked wherever the program can be stopped, and measures what lies between two questions (a step, an event of a
/// validation or scan). Time is up when less is left than twice the longest of the last 256 of these, twice the longest checkpoint and a reserve.
/// O(256) a question.
///
/// A single step that takes more than twice as long as all those before it can still run into the end: SLURM's signal has the same limit.
class TimeGuard {
 public:
  /// `seconds_left` from now on by `clock`; `reserve_s` for what is not measured (loggers' ends, the program's own end).
  TimeGuard(double seconds_left, double reserve_s, Clock clock = steady_clock())
      : clock_(std::move(clock)), end_(clock_() + seconds_left), reserve_(reserve_s) {}

  /// Whether the program has to stop now. Once true it stays so.
  bool up() {
    double const now = clock_();
    if (asked_) units_[next_++ % units_.size()] = now - *asked_;
    asked_ = now;
    up_ = up_ || end_ - now < margin();
    return up_;
  }
  /// A checkpoint took so long.
  void saved(double seconds) { save_ = std::max(save_, seconds); }

  double left() const { return end_ - clock_(); }
  /// Seconds that have to be left for another step.
  double margin() const { return 2 * *std::max_element(units_.begin(), units_.end()) + 2 * save_ + reserve_; }

 private:
  Clock clock_;
  double end_, reserve_, save_ = 0;
  std::array<double, 256> units_{};
  std::size_t next_ = 0;
  std::optional<double> asked_;
  bool up_ = false;
};

}  // namespace dew
