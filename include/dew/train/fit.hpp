// SPDX-License-Identifier: BSL-1.0
// What is to be trained, as values: fits of stages to a loss, and scans over a stage's options.
#pragma once
#include <array>
#include <string>

#include "dew/loss/sum.hpp"
#include "dew/pipeline/pipeline.hpp"

namespace dew {

enum class Optimiser { adamw, adam, sgd };
constexpr auto names_of(Optimiser) { return std::array<std::string_view, 3>{"adamw", "adam", "sgd"}; }
enum class Schedule { cosine, linear, constant };
constexpr auto names_of(Schedule) { return std::array<std::string_view, 3>{"cosine", "linear", "constant"}; }

/// How a fit is done. With a time budget (`--minutes`) the clock decides the number of steps, and `share` how the budget is split.
struct FitOptions {
  int epochs = 10;
  double share = 1;
  Optimiser optimiser = Optimiser::adamw;
  double learning_rate = 2e-3, weight_decay = 1e-2, momentum = 0.9;
  Schedule schedule = Schedule::cosine;
  int warmup_steps = 50;
  double final_rate = 0.01;
  int events_per_step = 1;
  double clip_norm = 1;
  int patience = 0;
  bool keep_best = false;
  int validate_every = 1;
  int validation_events = 0;

  using Options = FitOptions;
  static constexpr auto describe() {
    return hana::make_tuple(DEW_OPTION(epochs, "", "passes over the training events; 0 trains nothing"),
                            DEW_OPTION(share, "", "share of a time budget, relative to the other fits and scans"),
                            DEW_OPTION(optimiser, "", "optimiser"), DEW_OPTION(learning_rate, "", "largest learning rate"),
                            DEW_OPTION(weight_decay, "", "weight decay (decoupled for adamw)"),
                            DEW_OPTION(momentum, "", "momentum, for sgd alone"), DEW_OPTION(schedule, "", "how the learning rate falls"),
                            DEW_OPTION(warmup_steps, "steps", "steps over which the learning rate rises; 0 for none"),
                            DEW_OPTION(final_rate, "", "learning rate at the end, relative to the largest"),
                            DEW_OPTION(events_per_step, "", "events whose gradients are averaged for a step"),
                            DEW_OPTION(clip_norm, "", "largest norm of the gradient; 0 clips nothing"),
                            DEW_OPTION(patience, "", "stop after so many validations without a better loss; 0 never"),
                            DEW_OPTION(keep_best, "", "end with the weights of the best validation loss instead of the last ones"),
                            DEW_OPTION(validate_every, "epochs", "epochs between validations; the last epoch always; 0 never"),
                            DEW_OPTION(validation_events, "", "at most so many of the validation events while training; 0 for all"));
  }
  bool operator==(FitOptions const&) const = default;
};

/// The learning rate, relative to the largest, at a step and a progress in [0, 1].
inline double learning_rate_factor(FitOptions const& o, std::int64_t step, double progress) {
  double const rise = o.warmup_steps > 0 ? std::min(1.0, double(step + 1) / o.warmup_steps) : 1.0;
  double const p = std::clamp(progress, 0.0, 1.0);
  double const fall = o.schedule == Schedule::cosine   ? o.final_rate + (1 - o.final_rate) * 0.5 * (1 + std::cos(M_PI * p))
                      : o.schedule == Schedule::linear ? o.final_rate + (1 - o.final_rate) * (1 - p)
                                                       : 1.0;
  return rise * fall;
}

/// A list of selectors (stage types or `ByName<…>`).
template <class... Selector> struct Selectors {};

/// One fit of a plan: which stages, to which loss, how. The stages between the first and the last of them run too; all earlier ones are frozen.
template <class Selected, class Terms> struct Fit;
template <class... Selector, class... L>
struct Fit<Selectors<Selector...>, Sum<L...>> {
  Sum<L...> loss;
  FitOptions options;

  template <class P> static constexpr std::size_t first() { return std::min({P::template index<Selector>()...}); }
  template <class P> static constexpr std::size_t last() { return std::max({P::template index<Selector>()...}); }
  /// Whether stage i is trained by this fit.
  template <class P> static constexpr bool trains(std::size_t i) { return ((P::template index<Selector>() == i) || ...); }
  /// The name under which its options stand: its last stage's.
  template <class P> static constexpr std::string_view name() { return P::names[last<P>()]; }
};

/// `fit<EdgeClassifier>(FocalLoss{}, {.epochs = 5})`; several stages are trained together by `fit<EdgeClassifier, Condenser>(…)`.
template <class... Stage, class L> requires(sizeof...(Stage) > 0)
auto fit(L loss, FitOptions options = {}) {
  auto terms = as_sum(std::move(loss));
  return Fit<Selectors<Stage...>, decltype(terms)>{std::move(terms), options};
}
/// The same for stages addressed by name: `fit<"coarse">(…)`.
template <Text... name, class L> requires(sizeof...(name) > 0)
auto fit(L loss, FitOptions options = {}) {
  return fit<ByName<name>...>(std::move(loss), options);
}

/// Which figure a scan looks at, and in which direction.
struct Goal {
  std::string metric = {};
  bool maximise = true;
  double share = 0.05;

  using Options = Goal;
  static constexpr auto describe() {
    return hana::make_tuple(DEW_OPTION(metric, "", "figure that decides, by its full name"),
                            DEW_OPTION(maximise, "", "true: the largest is the best"),
                            DEW_OPTION(share, "", "share of a time budget that is set aside for this scan"));
  }
  bool operator==(Goal const&) const = default;
};
inline Goal maximise(std::string metric) { return {.metric = std::move(metric), .maximise = true}; }
inline Goal minimise(std::string metric) { return {.metric = std::move(metric), .maximise = false}; }

/// A policy that can be scanned has a described aggregate `Scan` whose `candidates()` are options of the policy. It may also have
/// `run_all(event, candidates)`, which gives the records of all candidates at once.
template <class S>
concept Scannable = requires(S s, typename S::Scan const& grid) { s.options = grid.candidates().front(); } && Described<typename S::Scan>;

/// One scan of a plan: the options of a stage that learns nothing, chosen on the validation events and kept in the trained pipeline.
template <class Selector, class Grid>
struct Scan {
  Goal goal;
  Grid grid;
  template <class P> static constexpr std::size_t index() { return P::template index<Selector>(); }
  template <class P> static constexpr std::string_view name() { return P::names[index<P>()]; }
};

/// `scan<Dbscan>(maximise("tracking.pt0.9.double_majority"), {.eps_max = 0.6})`
template <Scannable Stage>
auto scan(Goal goal, typename Stage::Scan grid = {}) {
  return Scan<Stage, typename Stage::Scan>{std::move(goal), std::move(grid)};
}
/// The same for a stage addressed by name; the grid is `Stage::Scan`'s: `scan<"tracks">(maximise(…), Dbscan::Scan{})`.
template <Text name, class Grid>
auto scan(Goal goal, Grid grid) {
  return Scan<ByName<name>, Grid>{std::move(goal), std::move(grid)};
}

/// Adds the options of a fit: `<stage>.fit.<option>` and `<stage>.loss.<loss>.<option>`, the weight of each term among them.
template <class P, class... Sel, class... L>
void add_plan_options(OptionSet& set, Fit<Selectors<Sel...>, Sum<L...>>& f) {
  auto const stage = std::string(Fit<Selectors<Sel...>, Sum<L...>>::template name<P>());
  set.add(stage + ".fit", f.options);
  std::apply(
      [&]<class... T>(T&... term) {
        (
            [&] {
              auto const prefix = fmt::format("{}.loss.{}", stage, std::remove_cvref_t<decltype(term.loss)>::name);
              double* weight = &term.weight;
              set.add(
                  {prefix + ".weight", "", "weight of this term in the loss; 0 leaves it out", "number", to_text(*weight),
                   [weight] { return to_text(*weight); },
                   [weight, prefix](std::vector<std::string> const& words) { *weight = from_text<double>(words, prefix + ".weight"); }});
              add_options(set, prefix, term.loss);
            }(),
            ...);
      },
      f.loss.terms);
}
template <class P, class Selector, class Grid>
void add_plan_options(OptionSet& set, Scan<Selector, Grid>& s) {
  auto const prefix = std::string(Scan<Selector, Grid>::template name<P>()) + ".scan";
  set.add(prefix, s.goal);
  set.add(prefix, s.grid);
}

}  // namespace dew
