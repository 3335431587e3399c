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
enum class Schedule { cosine, linear, constant, one_cycle, plateau };
constexpr auto names_of(Schedule) { return std::array<std::string_view, 5>{"cosine", "linear", "constant", "one_cycle", "plateau"}; }

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
  double one_cycle_rise = 0.3, one_cycle_start = 0.04;
  double plateau_factor = 0.5;
  int plateau_patience = 3;
  std::string watch = {};
  bool maximise = true;
  double least_improvement = 0;
  double minutes_max = 0;

  using Options = FitOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(epochs, "", "passes over the training events; 0 trains nothing"),
        DEW_OPTION(share, "", "share of a time budget, relative to the other fits and scans"), DEW_OPTION(optimiser, "", "optimiser"),
        DEW_OPTION(learning_rate, "", "largest learning rate"), DEW_OPTION(weight_decay, "", "weight decay (decoupled for adamw)"),
        DEW_OPTION(momentum, "", "momentum, for sgd alone"), DEW_OPTION(schedule, "", "course of the learning rate"),
        DEW_OPTION(warmup_steps, "steps", "steps over which the learning rate rises, but for one_cycle; 0 for none"),
        DEW_OPTION(final_rate, "", "learning rate at the end, relative to the largest; of plateau the least"),
        DEW_OPTION(events_per_step, "", "events whose gradients are averaged for a step"),
        DEW_OPTION(clip_norm, "", "largest norm of the gradient; 0 clips nothing"),
        DEW_OPTION(patience, "", "stop after so many validations without an improvement of what is watched; 0 never"),
        DEW_OPTION(keep_best, "", "end with the weights of the best validation instead of the last ones"),
        DEW_OPTION(validate_every, "epochs", "epochs between validations; the last epoch always; 0 never"),
        DEW_OPTION(validation_events, "", "at most so many of the validation events while training; 0 for all"),
        DEW_OPTION(one_cycle_rise, "", "share of the fit over which one_cycle's learning rate rises"),
        DEW_OPTION(one_cycle_start, "", "one_cycle's first learning rate, relative to the largest"),
        DEW_OPTION(plateau_factor, "", "plateau: what the learning rate is multiplied by"),
        DEW_OPTION(plateau_patience, "", "plateau: after so many validations without an improvement"),
        DEW_OPTION(watch, "",
                   "validation figure that patience, plateau and the best weights go by, by its full name; empty: the "
                   "validation loss"),
        DEW_OPTION(maximise, "", "true: the largest value of that figure is the best; of the validation loss the smallest"),
        DEW_OPTION(least_improvement, "", "what is better by no more is no improvement for patience and plateau"),
        DEW_OPTION(minutes_max, "min", "the fit ends at its first step after so long, over all its runs; 0: no limit"));
  }
  bool operator==(FitOptions const&) const = default;
};

/// The learning rate, relative to the largest, at a step and a progress in [0, 1] (of steps, or of time where the clock ends the fit);
/// `reduced` is what `Improvement` has made of it, for `plateau` alone. With w = min(1, (step + 1) / warmup_steps) and f = final_rate
///
///     cosine     w (f + (1 - f)(1 + cos πp) / 2)          linear   w (f + (1 - f)(1 - p))          constant   w          plateau   w reduced
///     one_cycle  half a cosine from one_cycle_start to 1 over the share one_cycle_rise of the fit, then one from 1 to f (no w); the rates of
///                arXiv:1708.07120 as PyTorch's OneCycleLR has them. Momentum stays as it is.
inline double learning_rate_factor(FitOptions const& o, std::int64_t step, double progress, double reduced = 1) {
  double const w = o.warmup_steps > 0 ? std::min(1.0, double(step + 1) / o.warmup_steps) : 1.0;
  double const p = std::clamp(progress, 0.0, 1.0);
  auto const half_cosine = [](double from, double to, double part) { return to + (from - to) * 0.5 * (1 + std::cos(M_PI * part)); };
  switch (o.schedule) {
    case Schedule::cosine: return w * (o.final_rate + (1 - o.final_rate) * 0.5 * (1 + std::cos(M_PI * p)));
    case Schedule::linear: return w * (o.final_rate + (1 - o.final_rate) * (1 - p));
    case Schedule::one_cycle:
      return p < o.one_cycle_rise   ? half_cosine(o.one_cycle_start, 1, p / o.one_cycle_rise)
             : o.one_cycle_rise < 1 ? half_cosine(1, o.final_rate, (p - o.one_cycle_rise) / (1 - o.one_cycle_rise))
                                    : 1.0;
    case Schedule::plateau: return w * reduced;
    case Schedule::constant: break;
  }
  return w;
}

/// Throws `Error` (usage) that names an option of a fit whose value makes no sense.
inline void check_fit_options(FitOptions const& o, std::string const& stage) {
  auto const demand = [&](bool ok, char const* option, char const* expected, auto got) {
    check(ok, ErrorKind::usage, "{}.fit.{}: expected {}, got {}", stage, option, expected, got);
  };
  demand(o.one_cycle_rise >= 0 && o.one_cycle_rise <= 1, "one_cycle_rise", "a share from 0 to 1", o.one_cycle_rise);
  demand(o.one_cycle_start > 0 && o.one_cycle_start <= 1, "one_cycle_start", "a share above 0 and at most 1", o.one_cycle_start);
  demand(o.plateau_factor > 0 && o.plateau_factor < 1, "plateau_factor", "a factor between 0 and 1", o.plateau_factor);
  demand(o.plateau_patience >= 1, "plateau_patience", "at least 1", o.plateau_patience);
  demand(o.least_improvement >= 0, "least_improvement", "0 or more", o.least_improvement);
  demand(o.minutes_max >= 0, "minutes_max", "0 or more", o.minutes_max);
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

/// A grid that measures its candidates itself, on the record before the stage: `figures(event, figure)` are a figure's values for all
/// candidates, in their order. A goal names such a figure as `<stage>.<figure>`.
template <class G>
concept MeasuresItself = requires(G const& grid, RecordOf<typename G::Reads> const& event) {
  { grid.figures(event, std::string_view()) } -> std::convertible_to<std::vector<double>>;
};
namespace detail {
template <class G> struct GridReadsImpl { using type = Keys<>; };
template <MeasuresItself G> struct GridReadsImpl<G> { using type = typename G::Reads; };
}  // namespace detail
template <class G> using GridReads = typename detail::GridReadsImpl<G>::type;

/// A metric that gives its figures under several labellings of one event at once: `in_turn(event, labels)`, as one call each would give them. A
/// scan of a clusterer that has `run_all` then calls it instead. `R`: the record before the clusterer.
template <class M, class R>
concept MeasuresInTurn = requires(M const& metric, R const& event, std::vector<Tensor> const& labels) {
  { metric.in_turn(event, labels) } -> std::convertible_to<std::vector<Figures>>;
};

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
