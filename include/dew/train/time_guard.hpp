// SPDX-License-Identifier: BSL-1.0
// Stops a program while there is still time to save, by what its steps and its checkpoints have taken so far.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
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
  /// Seconds that are left, infinity where nothing ends; nothing where there is no answer.
  using Ask = std::function<std::optional<double>()>;

  /// `seconds_left` from now on by `clock`; `reserve_s` for what is not measured (loggers' ends, the program's own end).
  TimeGuard(double seconds_left, double reserve_s, Clock clock = steady_clock())
      : clock_(std::move(clock)), end_(clock_() + seconds_left), heard_(clock_()), reserve_(reserve_s) {}

  /// Another end, which does not move: the nearer of both counts.
  void not_after(double seconds) { fixed_end_ = std::min(fixed_end_, clock_() + seconds); }
  /// The end can move: `ask` is called every `every_s`, and before time is said to be up, unless its last answer is younger than `trusted_s`. Without
  /// an answer the end stays where it was. How long an answer takes is not measured as a step.
  void ask_again(Ask ask, double every_s, double trusted_s = 10) {
    ask_ = std::move(ask);
    every_s_ = every_s, trusted_s_ = trusted_s;
  }

  /// Whether the program has to stop now. Once true it stays so.
  bool up() {
    if (up_) return true;
    if (asked_) units_[next_++ % units_.size()] = clock_() - *asked_;
    hear();
    asked_ = clock_();
    return up_ = left() < margin();
  }
  /// A checkpoint took so long.
  void saved(double seconds) { save_ = std::max(save_, seconds); }

  double left() const { return std::min(end_, fixed_end_) - clock_(); }
  /// Seconds that have to be left for another step.
  double margin() const { return 2 * *std::max_element(units_.begin(), units_.end()) + 2 * save_ + reserve_; }

 private:
  /// Asks where the end is now, where it is time to.
  void hear() {
    double const now = clock_(), needed = margin();
    if (!ask_ || fixed_end_ - now < needed) return;
    if (now - heard_ < (end_ - now < needed ? trusted_s_ : every_s_)) return;
    auto const left = ask_();
    heard_ = clock_();
    if (left) end_ = heard_ + *left;
  }

  Clock clock_;
  double end_, fixed_end_ = std::numeric_limits<double>::infinity(), heard_, every_s_ = 0, trusted_s_ = 0, reserve_, save_ = 0;
  Ask ask_;
  std::array<double, 256> units_{};
  std::size_t next_ = 0;
  std::optional<double> asked_;
  bool up_ = false;
};

}  // namespace dew
