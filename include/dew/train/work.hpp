// SPDX-License-Identifier: BSL-1.0
// What a training does with its time: counted and timed by phase, and named for a profiler.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

#include "dew/core/record.hpp"
#include "dew/core/traced_range.hpp"
#include "dew/event/schema.hpp"
#include "dew/train/clock.hpp"

namespace dew {

/// What a training is at. `data` is waiting for an event behind the frozen stages; `optimiser` is clipping and the step.
enum class Phase { data, forward, backward, optimiser, validation };
constexpr auto names_of(Phase) { return std::array<std::string_view, 5>{"data", "forward", "backward", "optimiser", "validation"}; }

/// What was done since it was last asked, by this process.
struct Work {
  std::int64_t steps = 0, events = 0, hits = 0, edges = 0;  ///< of training: events that steps have seen, their hits and edges
  std::array<double, names_of(Phase{}).size()> seconds{};   ///< by phase; on a CUDA device that of the calls, which do not wait
  double elapsed = 0;                                       ///< all seconds

  double in(Phase phase) const { return seconds[std::size_t(phase)]; }
};

namespace detail {
template <class Domain, class... S> constexpr bool has_rows_of(Keys<S...> const*) {
  return (std::same_as<typename Slot<S>::key::Domain, Domain> || ...);
}
template <class Domain, class R> std::int64_t rows_if_any(R const& record) {
  if constexpr (has_rows_of<Domain>(static_cast<typename R::Slots const*>(nullptr)))
    return std::max<std::int64_t>(0, record.template rows<Domain>());
  else return 0;
}
}  // namespace detail

/// Counts and times what a training does. Not thread-safe.
class WorkMeter {
 public:
  explicit WorkMeter(Clock stopwatch) : stopwatch_(std::move(stopwatch)), since_(stopwatch_()) {}

  /// Times a phase as long as it lives.
  class Timed {
   public:
    Timed(WorkMeter& meter, Phase phase)
        : meter_(meter), phase_(phase), began_(meter.stopwatch_()), range_(names_of(phase)[std::size_t(phase)]) {}
    ~Timed() { meter_.work_.seconds[std::size_t(phase_)] += meter_.stopwatch_() - began_; }
    Timed(Timed const&) = delete;
    Timed& operator=(Timed const&) = delete;

   private:
    WorkMeter& meter_;
    Phase phase_;
    double began_;
    TracedRange range_;
  };
  [[nodiscard]] Timed in(Phase phase) { return Timed(*this, phase); }

  /// An event that a step sees.
  template <class R> void count_event(R const& record) {
    ++work_.events;
    work_.hits += detail::rows_if_any<Hits>(record);
    work_.edges += detail::rows_if_any<Edges>(record);
  }
  void count_step() { ++work_.steps; }

  /// What was done since the last call, or since the beginning; counting begins anew.
  Work take() {
    auto const now = stopwatch_();
    auto done = std::exchange(work_, {});
    done.elapsed = now - std::exchange(since_, now);
    return done;
  }

 private:
  Clock stopwatch_;
  double since_;
  Work work_;
};

}  // namespace dew
