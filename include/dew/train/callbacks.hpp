// SPDX-License-Identifier: BSL-1.0
// What a trainer tells, as typed events, and the list of those who listen.
#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/train/callback_state.hpp"
#include "dew/train/work.hpp"

namespace dew {

struct Checkpoint;

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
  std::int64_t step = 0;  ///< steps of this fit that were done before
};  ///< a fit begins (or goes on); `seconds_allotted` 0: by epochs
struct StepEnded {  ///< after each optimiser step
  std::string const& stage;
  int epoch, epochs;  ///< the running epoch from 0, and how many are planned (0: by the clock)
  std::int64_t step;  ///< steps of this fit so far
  double progress;    ///< of this fit, in [0, 1]
  double loss, learning_rate;
  Figures const& terms;                                             ///< each term of the loss, unweighted
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();  ///< before it was clipped
};
struct StepFailed {  ///< a step's loss or gradient is not finite; `Error` with the sentence `what` ends the training right after
  std::string const& stage;
  int epoch;
  std::int64_t step, event;  ///< steps of this fit so far; the event whose loss or gradient it is
  std::string const& what;
  Checkpoint const&
      moment;  ///< weights, random state, plan and options before the step, and the event's record: what `Trainer::reproduce` takes
};
struct EpochTrained {  ///< after an epoch's last step, before its validation
  std::string const& stage;
  int epoch;
  std::int64_t step;  ///< steps of this fit so far
  /// What the fit trains, by name; gradients are those of the last step, undefined when the training goes on behind it.
  std::vector<std::pair<std::string, Tensor>> const& parameters;
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
  Work work = {};          ///< of this process in this epoch
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
/// `on(EpochEnded&)` is never called: events are constant.
template <class C, class E> concept WantsToChange = requires(C& c, E& e) { c.on(e); } && !Hears<C, E>;
template <class... E> struct EventList {
  template <class C> static constexpr bool heard_by = (Hears<C, E> || ...);
  template <class C> static constexpr bool changed_by = (WantsToChange<C, E> || ...);
  template <class T> static constexpr bool has = (std::same_as<T, E> || ...);
  using Listeners = std::tuple<std::vector<std::function<void(E const&)>>...>;
  template <class C, class L> static void connect(std::shared_ptr<C> const& c, L& listeners) { (connect_one<C, E>(c, listeners), ...); }
  template <class C, class One, class L> static void connect_one(std::shared_ptr<C> const& c, L& listeners) {
    if constexpr (Hears<C, One>)
      std::get<std::vector<std::function<void(One const&)>>>(listeners).push_back([c](One const& e) { c->on(e); });
  }
};
using TrainingEvents = EventList<TrainingStarted, FitStarted, StepEnded, StepFailed, EpochTrained, EventValidated, EpochEnded, FitEnded,
                                 ScanTried, ScanEnded, TrainingEnded>;

// A class's overloads cannot be listed, but whether one of them takes something that is no event can be asked: what turns into anything but
// an event is passed to `on`, beside a fallback that takes the rest. Where the fallback is not chosen, there is such an overload.
struct NoEvent {
  template <class T> requires(!TrainingEvents::has<std::remove_const_t<T>>)
  operator T&() const;  // NOLINT(google-explicit-constructor)
};
struct Unrelated {};
struct TakenByNobody {};
template <class C> struct WithFallback : C {
  using C::on;
  TakenByNobody on(...);
};
template <class C> constexpr bool every_on_is_for_an_event() {
  constexpr bool takes_everything = Hears<C, Unrelated>;  // by a template
  if constexpr (std::is_final_v<C> || !std::is_class_v<C> || takes_everything) return true;
  else
    return requires(WithFallback<C>& c, NoEvent const& other) {
      { c.on(other) } -> std::same_as<TakenByNobody>;
    };
}
}  // namespace detail

/// A callback has `void on(Event const&)` for any subset of the events above, at least one, and for nothing else. It may have state, which
/// survives an interruption where it says how (`KeepsState`).
template <class C> concept Callback = detail::TrainingEvents::heard_by<C>;

// Sentences: undefined types whose names are what a user reads when a program does not compile.
template <class C> struct this_callback_has_no_on_for_any_event_of_a_training;
template <class C> struct this_callback_has_an_on_for_something_that_is_no_event_of_a_training;
template <class C> struct this_callback_has_an_on_that_takes_an_event_without_const;
template <class C> struct this_callback_has_a_state_but_no_restore_of_it_or_no_name;

/// Those who listen to a trainer; each event reaches them in the order in which they were added.
class Callbacks {
 public:
  template <class C> Callbacks& add(C callback) {
    if constexpr (!Callback<C>) {
      this_callback_has_no_on_for_any_event_of_a_training<C> sentence;
      (void)sentence;
    } else if constexpr (detail::TrainingEvents::changed_by<C>) {
      this_callback_has_an_on_that_takes_an_event_without_const<C> sentence;
      (void)sentence;
    } else if constexpr (!detail::every_on_is_for_an_event<C>()) {
      this_callback_has_an_on_for_something_that_is_no_event_of_a_training<C> sentence;
      (void)sentence;
    } else if constexpr (requires(C const& c) { c.state(); } && !KeepsState<C>) {
      this_callback_has_a_state_but_no_restore_of_it_or_no_name<C> sentence;
      (void)sentence;
    }
    auto const kept = std::make_shared<C>(std::move(callback));
    detail::TrainingEvents::connect(kept, listeners_);
    if constexpr (KeepsState<C>) {
      auto name = std::string(C::name);
      for (int n = 2; knows(name); ++n) name = fmt::format("{} ({})", C::name, n);
      stateful_.push_back({name, [kept] { return CallbackState(kept->state()); }, [kept](CallbackState const& s) { kept->restore(s); }});
    }
    return *this;
  }
  template <class E> void tell(E const& event) const {
    for (auto const& listener : std::get<std::vector<std::function<void(E const&)>>>(listeners_)) listener(event);
  }

  /// The states of those that keep one, by name; a second of one name is "name (2)".
  std::map<std::string, CallbackState> states() const {
    std::map<std::string, CallbackState> out;
    for (auto const& one : stateful_) out.emplace(one.name, one.state());
    return out;
  }
  /// Gives each its state of then. `warn` gets a sentence for each that has none there, and for each state that nobody takes.
  void restore(std::map<std::string, CallbackState> const& states, std::function<void(std::string const&)> const& warn) const {
    for (auto const& one : stateful_) {
      if (auto const at = states.find(one.name); at != states.end()) one.restore(at->second);
      else warn(fmt::format("the checkpoint has no state of the callback '{}': it starts afresh", one.name));
    }
    for (auto const& [name, state] : states)
      if (!knows(name)) warn(fmt::format("the checkpoint has a state of a callback '{}', which is not here: it is dropped", name));
  }

 private:
  struct Stateful {
    std::string name;
    std::function<CallbackState()> state;
    std::function<void(CallbackState const&)> restore;
  };
  bool knows(std::string const& name) const {
    return std::any_of(stateful_.begin(), stateful_.end(), [&](Stateful const& one) { return one.name == name; });
  }

  detail::TrainingEvents::Listeners listeners_;
  std::vector<Stateful> stateful_;
};

}  // namespace dew
