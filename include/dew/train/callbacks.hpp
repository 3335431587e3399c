// SPDX-License-Identifier: BSL-1.0
// What a trainer tells, as typed events, and the list of those who listen.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "dew/core/policy.hpp"

namespace dew {

// ---- events, in the order in which they are told ----------------------------------------------------------------------------------
struct TrainingStarted {
  std::size_t steps_in_plan;
  std::size_t train_events, validate_events;
  std::string device;
  int threads;
};  ///< once
struct FitStarted {
  std::string stage;
  std::int64_t parameters;
  int epochs;
  double seconds_allotted;
};  ///< a fit begins (or goes on); `seconds_allotted` 0: by epochs
struct StepEnded {  ///< after each optimiser step
  std::string const& stage;
  int epoch, epochs;  ///< the running epoch from 0, and how many are planned (0: by the clock)
  std::int64_t step;  ///< steps of this fit so far
  double progress;    ///< of this fit, in [0, 1]
  double loss, learning_rate;
  Figures const& terms;  ///< each term of the loss, unweighted
};
struct EpochTrained {  ///< after an epoch's last step, before its validation
  std::string const& stage;
  int epoch;
  std::int64_t step;                                              ///< steps of this fit so far
  std::vector<std::pair<std::string, Tensor>> const& parameters;  ///< what the fit trains, by name; gradients are those of the last step
};
struct EventValidated {  ///< for the first validation event of each validation
  std::string const& stage;
  int epoch;
  std::int64_t step, event;
  std::map<std::string, Tensor, std::less<>> const& record;  ///< what is known behind the fit's last stage, by the names of the keys
};
struct EpochEnded {  ///< after each epoch, once validated
  std::string stage;
  int epoch, epochs;
  std::int64_t step;
  double progress, learning_rate;
  double loss;             ///< mean over the epoch's events
  Figures terms;           ///< the same for each term
  double validation_loss;  ///< NaN without validation events
  Figures validation;      ///< validation terms and the metrics that can be computed behind this stage, by full name
  double seconds;          ///< since the training began, over all its runs
};
struct FitEnded {
  std::string stage;
  std::int64_t steps;
  double loss, validation_loss, seconds;
};
struct ScanTried {
  std::string stage, options;
  double value;
  std::size_t tried, of;
};  ///< one candidate of a scan
struct ScanEnded {
  std::string stage, metric, best;
  double value;
  std::size_t candidates;
  double seconds;
  std::size_t events, of;  ///< tried on so many, of so many: fewer where the time budget ended
};
struct TrainingEnded {
  double seconds;
  bool interrupted;
};

namespace detail {
template <class C, class E> concept Hears = requires(C& c, E const& e) { c.on(e); };
template <class... E> struct EventList {
  template <class C> static constexpr bool heard_by = (Hears<C, E> || ...);
  using Listeners = std::tuple<std::vector<std::function<void(E const&)>>...>;
  template <class C, class L> static void connect(std::shared_ptr<C> const& c, L& listeners) { (connect_one<C, E>(c, listeners), ...); }
  template <class C, class One, class L> static void connect_one(std::shared_ptr<C> const& c, L& listeners) {
    if constexpr (Hears<C, One>)
      std::get<std::vector<std::function<void(One const&)>>>(listeners).push_back([c](One const& e) { c->on(e); });
  }
};
using TrainingEvents = EventList<TrainingStarted, FitStarted, StepEnded, EpochTrained, EventValidated, EpochEnded, FitEnded, ScanTried,
                                 ScanEnded, TrainingEnded>;
}  // namespace detail

/// A callback has `void on(Event const&)` for any subset of the events above, at least one. It may have state.
template <class C> concept Callback = detail::TrainingEvents::heard_by<C>;

template <class C> struct this_callback_has_no_on_for_any_event_of_a_training;

/// Those who listen to a trainer; each event reaches them in the order in which they were added.
class Callbacks {
 public:
  template <class C> Callbacks& add(C callback) {
    if constexpr (!Callback<C>) {
      this_callback_has_no_on_for_any_event_of_a_training<C> sentence;
      (void)sentence;
    }
    detail::TrainingEvents::connect(std::make_shared<C>(std::move(callback)), listeners_);
    return *this;
  }
  template <class E> void tell(E const& event) const {
    for (auto const& listener : std::get<std::vector<std::function<void(E const&)>>>(listeners_)) listener(event);
  }

 private:
  detail::TrainingEvents::Listeners listeners_;
};

}  // namespace dew
