// SPDX-License-Identifier: BSL-1.0
// The trainer: carries out a plan of fits and scans on a trained pipeline, can be stopped at any step and goes on from a checkpoint.
#pragma once
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "dew/train/callbacks.hpp"
#include "dew/train/checkpoint.hpp"
#include "dew/train/clock.hpp"
#include "dew/train/event_store.hpp"
#include "dew/train/figures_asked.hpp"
#include "dew/train/gradient_sums.hpp"
#include "dew/train/measure.hpp"
#include "dew/train/not_finite.hpp"
#include "dew/train/optimiser.hpp"
#include "dew/train/plan_text.hpp"
#include "dew/train/processes.hpp"
#include "dew/train/scan_values.hpp"
#include "dew/train/shared_figures.hpp"
#include "dew/train/work.hpp"

namespace dew {

/// How a plan is carried out.
struct TrainerSettings {
  std::vector<std::int64_t> train{}, validate{};  ///< event numbers
  double minutes = 0;                             ///< budget of the whole plan, shared between its parts; 0: epochs decide
  double cache_gb = 4;                            ///< memory for events behind frozen stages
  std::filesystem::path graph_cache{};            ///< folder for built graphs; empty: none
  Clock clock = steady_clock();
  /// Asked before each step and each event of a validation or scan, and between a scan's candidates (by several processes where they agree); true:
  /// save and return. It stays true then.
  std::function<bool()> stop = [] { return false; };
  int threads = 1;                   ///< told to callbacks
  CheckpointOptions checkpoint{};    ///< when one is saved, and what scores it
  std::string program{};             ///< stands in checkpoints
  Clock stopwatch = steady_clock();  ///< times the phases of steps; decides nothing
  std::function<void(std::string const&)> warn = [](std::string const& text) { fmt::print(stderr, "{}\n", text); };
  std::shared_ptr<Processes> processes = std::make_shared<OneProcess>();  ///< that train together; each has a trainer with equal settings
};

/// Carries out a plan: each part in turn, the earlier stages frozen.
///
///     Trainer trainer{trained, source, std::tuple{TrackingMetrics{}}, settings, callbacks};
///     trainer.run(fit<EdgeClassifier>(FocalLoss{}), fit<Condenser>(Attraction{} + Repulsion{}), scan<Dbscan>(maximise("tracking.pt0.9.double_majority")));
///
/// Equal seeds, options, events and thread count give equal weights on the CPU (by epochs; a time budget lets the clock decide the number of steps),
/// however often the training was interrupted.
/// A loss or a gradient that is not finite stops the training with an `Error` that names event, stage, terms and the first tensor that is
/// not; before it callbacks are told `StepFailed`, and `reproduce` repeats the step from what that holds.
///
/// Several processes share the events of each step, of validations and of scans: event i of an order is that of process i mod size, `events_per_step`
/// counts those of all together. Gradients are summed over the processes, figures are gathered and averaged in the order of the events, rank 0's clock
/// counts, and whoever is asked to stop stops all. Weights are those of one process within rounding, figures of equal weights are equal bit for bit.
/// Buffers of modules are rank 0's from each epoch's end on. All processes tell their callbacks the same; only rank 0 should have a `Saver`.
template <class P, class Source, class... M>
class Trainer {
 public:
  using Saver = std::function<void(Checkpoint const&)>;

  Trainer(Trained<P>& trained, Source const& source, std::tuple<M...> metrics, TrainerSettings settings, Callbacks callbacks = {})
      : trained_(trained),
        store_(source, settings.graph_cache),
        metrics_(std::move(metrics)),
        settings_(std::move(settings)),
        callbacks_(std::move(callbacks)),
        meter_(settings_.stopwatch) {
    check(!settings_.train.empty(), ErrorKind::usage, "a training needs at least one event to train on");
  }

  /// Called with every checkpoint; without one nothing is saved.
  void on_checkpoint(Saver saver) { saver_ = std::move(saver); }
  /// Who is told of the training, instead of those that were given before.
  void listen(Callbacks callbacks) { callbacks_ = std::move(callbacks); }
  /// What `run` of the same plan does first: refuses options that make no sense and figures that nobody measures. For whoever writes
  /// something before it.
  template <class... Part> void prepare(Part const&... parts) {
    check_figures(parts...);
    checked_ = true;
  }
  /// Goes on from a checkpoint. `run` must be given the same plan: another is refused with the differences (`refuse_other_plan`).
  void resume(Checkpoint checkpoint) { from_ = std::move(checkpoint); }

  /// The whole plan. Returns false when it was stopped before its end (a checkpoint was then saved).
  template <class... Part>
  bool run(Part const&... parts) {
    if (!std::exchange(checked_, false)) check_figures(parts...);
    plan_ = plan_text(trained_.pipeline, store_.source(), metrics_,
                      {settings_.train, settings_.validate, trained_.seed(), settings_.minutes}, parts...);
    if (from_) refuse_other_plan(from_->plan, plan_, "the checkpoint");
    state_ = from_ ? from_->state : TrainingState{};
    began_ = settings_.clock() - state_.seconds;
    saved_at_ = state_.seconds;
    if (from_) {
      put_back(*from_);
      callbacks_.restore(from_->callbacks, settings_.warn);
    }
    agree();
    for (auto const& [name, t] : trained_.tensors()) group().broadcast(t);
    if (!from_) save(nullptr, {});  // what cannot be written is known before the first step
    callbacks_.tell(
        TrainingStarted{sizeof...(Part), settings_.train.size(), settings_.validate.size(), trained_.device().str(), settings_.threads});
    shares_ = {share_of(parts)...};
    auto const already_done = state_.part;
    std::size_t next = 0;
    auto const carry_out = [&](auto const& part) {
      auto const number = next++;
      return number < already_done || run_part(part, number);
    };
    bool const finished = (carry_out(parts) && ...);
    callbacks_.tell(TrainingEnded{seconds(), !finished});
    return finished;
  }

  /// Repeats, from a checkpoint that `StepFailed` told, the failing event's part of that step: its forward and its backward pass. Throws
  /// the error of then, or returns the loss where it goes through here. The plan must be the same.
  template <class... Part>
  double reproduce(Checkpoint const& failed, Part const&... parts) {
    check(failed.failed_event >= 0, ErrorKind::input, "this checkpoint is of no failed step: there is nothing to reproduce");
    plan_ = plan_text(trained_.pipeline, store_.source(), metrics_,
                      {settings_.train, settings_.validate, trained_.seed(), settings_.minutes}, parts...);
    refuse_other_plan(failed.plan, plan_, "the failed step");
    state_ = failed.state;
    put_back(failed);
    double loss = std::nan("");
    std::size_t next = 0;
    ((next++ == state_.part ? void(loss = reproduce_part(failed, parts)) : void()), ...);
    return loss;
  }

 private:
  Processes& group() const { return *settings_.processes; }
  double seconds() const { return group().alone() ? settings_.clock() - began_ : agreed_.seconds; }
  bool stop_asked() const { return group().alone() ? settings_.stop() : agreed_.stop; }
  template <class S, class L> static double share_of(Fit<S, L> const& f) { return f.options.epochs > 0 ? f.options.share : 0; }
  template <class S, class G> static double share_of(Scan<S, G> const& s) { return s.goal.share; }
  /// The part's share of what is left of the budget.
  double allot(std::size_t part) const {
    if (settings_.minutes <= 0) return 0;
    double const rest = std::accumulate(shares_.begin() + std::ptrdiff_t(part), shares_.end(), 0.0);
    return std::max(1e-9, (settings_.minutes * 60 - seconds()) * (rest > 0 ? shares_[part] / rest : 0));
  }

  // ---- several processes ----------------------------------------------------------------------------------------------------------------
  /// What all processes go by, as of their last message: rank 0's clock, and whether anyone was asked to stop.
  struct Agreed {
    double seconds = 0;
    bool stop = false;
  };
  /// Sums numbers over the processes (each of them stands in one process and is 0 in the others), and agrees on time and stopping by the same message.
  void agree(std::vector<double>& numbers) {
    if (group().alone()) return;
    numbers.push_back(group().first() ? settings_.clock() - began_ : 0.0);
    numbers.push_back(settings_.stop() ? 1.0 : 0.0);
    group().sum(at::from_blob(numbers.data(), {std::ssize(numbers)}, at::kDouble));
    agreed_ = {numbers[numbers.size() - 2], numbers.back() > 0};
    numbers.resize(numbers.size() - 2);
  }
  void agree() {
    std::vector<double> none;
    agree(none);
  }
  /// Before figures are measured: buffers become rank 0's, and weights that are not the same everywhere are an error.
  void compare_weights() {
    if (group().alone()) return;
    std::uint64_t hash = 0;
    for (auto const& [name, t] : trained_.tensors()) {
      if (!t.requires_grad()) {
        group().broadcast(t);
        continue;
      }
      auto const bytes = t.detach().to(at::kCPU).contiguous();
      hash = content_hash({static_cast<char const*>(bytes.data_ptr()), bytes.nbytes()}, hash);
    }
    auto const all = group().gather(std::to_string(hash));
    for (std::size_t rank = 1; rank < all.size(); ++rank)
      check(all[rank] == all.front(), "after epoch {} the weights of rank {} are not those of rank 0: its machine computes in another way",
            state_.epoch, rank);
  }

  std::size_t budget() const { return std::size_t(settings_.cache_gb * 1e9); }
  void next_part(std::size_t part) {
    TrainingState next;
    next.part = part + 1;
    next.number = state_.number + 1;
    next.tuned = std::move(state_.tuned);
    state_ = std::move(next);
    best_.clear();
    from_.reset();
    save(nullptr, {});
  }

  // ---- checkpoints --------------------------------------------------------------------------------------------------------------------
  void save(torch::optim::Optimizer* optimiser, NamedParameters const& parameters, Tensor const& scanned = {}) {
    save(optimiser, parameters, scanned, callbacks_.states());
  }
  void save(torch::optim::Optimizer* optimiser, NamedParameters const& parameters, Tensor const& scanned,
            std::map<std::string, CallbackState> callbacks) {
    if (!saver_) return;
    saved_at_ = state_.seconds = seconds();
    auto c = moment(optimiser, parameters, scanned);
    c.callbacks = std::move(callbacks);
    saver_(c);
  }
  Checkpoint moment(torch::optim::Optimizer* optimiser, NamedParameters const& parameters, Tensor const& scanned) const {
    Checkpoint c;
    c.weights = trained_.tensors();
    if (optimiser) c.optimiser = optimiser_state(*optimiser, parameters);
    c.best = best_;
    c.scanned = scanned;
    c.random = global_generator().get_state();
    c.state = state_;
    c.plan = plan_;
    c.model = trained_.metadata();
    c.program = settings_.program;
    return c;
  }
  at::Generator global_generator() const { return at::globalContext().defaultGenerator(trained_.device()); }
  void put_back(Checkpoint const& c) {
    trained_.load_tensors(c.weights, "checkpoint");
    OptionSet set;
    add_options(set, trained_.pipeline);
    for (auto const& [path, value] : c.state.tuned) set.at(path).set(toml_words(value));
    if (c.random.defined()) set_random(c.random);
  }
  void set_random(Tensor const& state) const {
    auto generator = global_generator();
    std::scoped_lock const lock(generator.mutex());
    generator.set_state(state);
  }
  /// Whether one is to be saved between two steps; `before` is the number at the last time of asking.
  bool due(std::int64_t before) const {
    auto const& o = settings_.checkpoint;
    return saver_ && ((o.every_steps > 0 && state_.number / o.every_steps != before / o.every_steps) ||
                      (o.every_minutes > 0 && seconds() - saved_at_ >= 60 * o.every_minutes));
  }
  /// Whether one is to be saved at an epoch's end. Behind a fit's last epoch the next part begins with one.
  bool due_after_epoch() const {
    auto const& o = settings_.checkpoint;
    if (o.keep_best > 0 && !std::isnan(state_.score)) return true;
    return !state_.over && ((o.every_epochs > 0 && state_.epoch % o.every_epochs == 0) || due(state_.number - 1));
  }
  /// The figure of a validation by its full name, or the validation loss for none. NaN where it was not measured.
  static double figure_of(EpochEnded const& ended, std::string const& figure) {
    if (figure.empty()) return ended.validation_loss;
    auto const at = std::find_if(ended.validation.begin(), ended.validation.end(), [&](auto const& one) { return one.first == figure; });
    return at == ended.validation.end() ? std::nan("") : at->second;
  }
  /// A misspelt figure is noticed before the first step: those of metrics are looked for in what they give of a few hits of one event, or
  /// else of the whole event. Costs that event's reading where an option names such a figure.
  template <class... Part> void check_figures(Part const&... parts) const {
    FiguresAsked asked;
    std::vector<std::string> known;
    (known.push_back(std::string(M::name) + "."), ...);
    (add_terms(known, parts), ...);
    asked.add("checkpoint.metric", settings_.checkpoint.metric, known);
    (ask(asked, parts), ...);
    if (!asked.missing() && !(measured_by_grid(parts) || ...)) return;
    auto const id = settings_.validate.empty() ? settings_.train.front() : settings_.validate.front();
    auto const event = store_.source().labelled(id);
    auto const few = Trained<P>::few_hits(event);
    (ask_grid(few, id, parts), ...);
    if (!asked.missing()) return;
    asked.look_in(figure_names(trained_, few, id, metrics_));
    if (!asked.missing()) return;
    auto const names = figure_names(trained_, event, id, metrics_);
    asked.look_in(names);
    asked.demand(names);
  }
  /// What a fit watches has to be measured behind it, before the next stage that learns.
  template <class S, class L> static void ask(FiguresAsked& asked, Fit<S, L> const& f) {
    auto const stage = std::string(Fit<S, L>::template name<P>());
    check_fit_options(f.options, stage);
    std::vector<std::string> known;
    [[maybe_unused]] auto const add = [&](std::size_t place, std::string_view name) {
      constexpr std::size_t end = Fit<S, L>::template last<P>() + 1, until = next_learner(end);
      if (place >= end && place <= until) known.push_back(std::string(name) + ".");
    };
    (add(detail::place_of<P, M>, M::name), ...);
    add_terms(known, f);
    asked.add(stage + ".fit.watch", f.options.watch, known);
  }
  /// What a scan goes by has to be measurable behind its stage.
  template <class S, class G> static void ask(FiguresAsked& asked, Scan<S, G> const& s) {
    if (measured_by_grid(s)) return;
    auto const option = fmt::format("{}.scan.metric", Scan<S, G>::template name<P>());
    check(!s.goal.metric.empty(), ErrorKind::usage, "{}: says no figure that the scan is to go by", option);
    std::vector<std::string> known;
    [[maybe_unused]] auto const add = [&](bool can_be_measured, std::string_view name) {
      if (can_be_measured) known.push_back(std::string(name) + ".");
    };
    (add(contains_all<KeysBehind<Scan<S, G>::template index<P>() + 1>, ReadsOf<M>>, M::name), ...);
    asked.add(option, s.goal.metric, known);
  }
  template <std::size_t n> using KeysBehind = typename P::template KeysAfterFirst<n, typename EventStore<P, Source>::Labelled::KeySet>;
  /// Whether a scan goes by a figure that its grid measures itself.
  template <class S, class L> static bool measured_by_grid(Fit<S, L> const&) { return false; }
  template <class S, class G> static bool measured_by_grid(Scan<S, G> const& s) {
    constexpr std::size_t at = Scan<S, G>::template index<P>();
    if constexpr (MeasuresItself<G> && contains_all<KeysBehind<at>, GridReads<G>>)
      return s.goal.metric.starts_with(fmt::format("{}.", Scan<S, G>::template name<P>()));
    else return false;
  }
  /// The grid refuses a figure that it does not know.
  template <class R, class S, class L> void ask_grid(R const&, std::int64_t, Fit<S, L> const&) const {}
  template <class R, class S, class G> void ask_grid(R const& event, std::int64_t id, Scan<S, G> const& s) const {
    if (!measured_by_grid(s)) return;
    at::NoGradGuard no_grad;
    GlobalSeed const seeded(trained_.seed(), trained_.device());  // leaves random numbers as they were
    constexpr std::size_t at = Scan<S, G>::template index<P>();
    (void)own_figures(s, trained_.template run<0, at>(Trained<P>::start(event.to(trained_.device())), context(id, 0, false)));
  }
  template <class S, class L> static void add_terms(std::vector<std::string>& names, Fit<S, L> const& f) {
    std::apply([&](auto const&... t) { (names.push_back("loss." + std::string(std::remove_cvref_t<decltype(t.loss)>::name)), ...); },
               f.loss.terms);
  }
  template <class S, class G> static void add_terms(std::vector<std::string>&, Scan<S, G> const&) {}

  // ---- a fit ------------------------------------------------------------------------------------------------------------------------
  template <class S, class L>
  bool run_part(Fit<S, L> const& f, std::size_t part) {
    using F = Fit<S, L>;
    constexpr std::size_t first = detail::repeatable_stages(static_cast<P const*>(nullptr), F::template first<P>()),
                          end = F::template last<P>() + 1;  // stages before `first` are run once an event, [first, end) at every step
    constexpr std::size_t until = next_learner(end);
    if (f.options.epochs <= 0) {
      next_part(part);
      return true;
    }
    auto const stage = std::string(F::template name<P>());
    FrozenEvents<first, NeededBy<L, first>, P, Source> events(store_, trained_, budget());
    auto const parameters = choose_parameters<F>();
    auto const optimiser = make_optimiser(f.options, parameters);
    begin_fit(part, *optimiser, parameters);
    GradientSums sums(group(), parameters);
    callbacks_.tell(FitStarted{stage, count_of(parameters), epochs_of(f.options), state_.allotted, state_.step});
    (void)meter_.take();

    while (!state_.over) {
      bool out_of_time = state_.position > 0 && is_out_of_time(f.options);  // as it was before a stop in the validation
      auto const order = shuffled(stage, state_.epoch);
      while (state_.position < std::ssize(order) && !out_of_time) {
        if (stop_asked()) {
          save(optimiser.get(), parameters);
          return false;
        }
        double const progress = progress_of(f.options);
        double const rate = rate_of(f.options, progress);
        set_learning_rate(*optimiser, rate);
        auto const [loss, terms, norm] = step<first, end>(f, stage, events, order, *optimiser, parameters, sums);
        ++state_.step, ++state_.number;
        state_.score = std::nan("");
        callbacks_.tell(StepEnded{stage, state_.epoch, epochs_of(f.options), state_.step, progress, loss, rate, terms, norm});
        out_of_time = is_out_of_time(f.options);
        if (state_.position < std::ssize(order) && !out_of_time && due(state_.number - 1)) save(optimiser.get(), parameters);
      }
      bool const last = out_of_time || (state_.allotted <= 0 && state_.epoch + 1 >= f.options.epochs);
      compare_weights();
      auto const heard = callbacks_.states();
      callbacks_.tell(EpochTrained{stage, state_.epoch, state_.step, parameters});
      auto ended = epoch_figures(f, stage);
      if (!settings_.validate.empty() && f.options.validate_every > 0 && (last || (state_.epoch + 1) % f.options.validate_every == 0)) {
        auto const random = global_generator().get_state();
        if (!validate<first, end, until>(f, events,
                                         ended)) {  // where it goes on, the epoch's end is told again and validated from the beginning
          set_random(random);
          save(optimiser.get(), parameters, {}, heard);
          return false;
        }
      }
      agree();
      ended.seconds = seconds();
      ended.work = meter_.take();
      callbacks_.tell(ended);
      next_epoch(f.options, ended, last);
      if (due_after_epoch()) save(optimiser.get(), parameters);
    }
    if (!best_.empty()) trained_.load_tensors(best_, "best weights");
    callbacks_.tell(FitEnded{stage, state_.step, state_.loss, state_.validation_loss, seconds()});
    next_part(part);
    return true;
  }

  /// Only what a fit trains requires gradients; those parameters as `stage.parameter`.
  template <class F> NamedParameters choose_parameters() const {
    NamedParameters parameters;
    trained_.for_each_module([&]<std::size_t i>(std::integral_constant<std::size_t, i>, auto& module) {
      for (auto const& p : module.named_parameters()) {
        p.value().requires_grad_(F::template trains<P>(i));
        if (F::template trains<P>(i)) parameters.emplace_back(fmt::format("{}.{}", P::names[i], p.key()), p.value());
      }
    });
    return parameters;
  }
  static std::int64_t count_of(NamedParameters const& parameters) {
    std::int64_t count = 0;
    for (auto const& [name, p] : parameters) count += p.numel();
    return count;
  }
  /// The number of epochs, or 0 where the clock decides.
  int epochs_of(FitOptions const& o) const { return state_.allotted > 0 ? 0 : o.epochs; }

  /// From its beginning, or from where the checkpoint that `run` was given stands. True: goes on.
  bool begin_part(std::size_t part) {
    best_.clear();
    if (from_ && from_->state.part == part && (state_.step > 0 || state_.position > 0)) return true;
    state_.part_began = seconds();
    state_.allotted = allot(part);
    return false;
  }
  void begin_fit(std::size_t part, torch::optim::Optimizer& optimiser, NamedParameters const& parameters) {
    if (begin_part(part)) {
      restore_optimiser_state(optimiser, parameters, from_->optimiser);
      best_ = from_->best;
    }
    from_.reset();
  }

  /// What an epoch's training says, before its validation.
  template <class F> EpochEnded epoch_figures(F const& f, std::string const& stage) const {
    EpochEnded ended{};
    ended.validation_loss = std::nan("");
    ended.stage = stage;
    ended.epoch = state_.epoch;
    ended.epochs = epochs_of(f.options);
    ended.step = state_.step;
    ended.progress = progress_of(f.options);
    ended.learning_rate = rate_of(f.options, ended.progress);
    ended.loss = state_.epoch_loss / double(state_.position);
    std::size_t t = 0;
    std::apply(
        [&](auto const&... term) {
          (ended.terms.emplace_back(std::string(std::remove_cvref_t<decltype(term.loss)>::name),
                                    state_.epoch_terms[t++] / double(state_.position)),
           ...);
        },
        f.loss.terms);
    return ended;
  }

  /// Remembers the best weights so far, where the fit may end with them, and starts the next epoch's sums, if there is to be one.
  void next_epoch(FitOptions const& o, EpochEnded const& ended, bool last) {
    if (state_.improvement.see(o, figure_of(ended, o.watch))) {
      best_.clear();
      if (o.keep_best || o.patience > 0)
        for (auto const& [name, t] : trained_.tensors()) best_[name] = t.detach().clone();
    }
    state_.loss = ended.loss;
    state_.validation_loss = ended.validation_loss;
    state_.score = figure_of(ended, settings_.checkpoint.metric);
    state_.over = last || state_.improvement.over(o);
    ++state_.epoch;
    state_.position = 0;
    state_.epoch_loss = 0;
    state_.epoch_terms.clear();
  }

  double progress_of(FitOptions const& o) const {
    if (state_.allotted > 0) return std::min(1.0, (seconds() - state_.part_began) / state_.allotted);
    return (double(state_.epoch) + double(state_.position) / double(settings_.train.size())) / o.epochs;
  }

  double rate_of(FitOptions const& o, double progress) const {
    return o.learning_rate * learning_rate_factor(o, state_.step, progress, state_.improvement.reduced);
  }
  bool is_out_of_time(FitOptions const& o) const {
    constexpr double never = std::numeric_limits<double>::infinity();
    double const limit = std::min(state_.allotted > 0 ? state_.allotted : never, o.minutes_max > 0 ? 60 * o.minutes_max : never);
    return limit < never && seconds() - state_.part_began >= limit;
  }

  /// The order of the training events in an epoch, from (seed, stage, epoch) alone.
  std::vector<std::int64_t> shuffled(std::string_view stage, int epoch) const {
    auto order = settings_.train;
    std::mt19937_64 random(mix_seed(mix_seed(trained_.seed(), stage), std::uint64_t(epoch)));
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
    return order;
  }

  Context context(std::int64_t event, int epoch, bool training) const {
    return {.training = training, .device = trained_.device(), .epoch = epoch, .event = event, .seed = trained_.seed()};
  }

  template <class... L> static auto loss_reads(Sum<L...> const*) -> UnionOf<ReadsOf<L>..., MayReadOf<L>...>;
  /// What a fit needs of an event behind the stages that are run once.
  template <class L, std::size_t first> using NeededBy =
      decltype(detail::needed_from<P, first,
                                   UnionOf<decltype(loss_reads(static_cast<L const*>(nullptr))), ReadsOf<M>..., MayReadOf<M>...>>());

  /// The record that a fit's loss sees: behind its last stage, before any later cut.
  template <std::size_t first, std::size_t end, class F, class R>
  auto forward(F const& f, R const& record, Context const& c) const {
    auto const out = trained_.template run<first, end>(record, c);
    std::apply(
        [&]<class... T>(T const&... term) {
          (void(detail::demand_loss_keys<std::remove_cvref_t<decltype(term.loss)>, typename P::template Stage<end - 1>,
                                         typename std::remove_cvref_t<decltype(out)>::KeySet>(
               ReadsOf<std::remove_cvref_t<decltype(term.loss)>>{})),
           ...);
        },
        f.loss.terms);
    auto loss_context = c;
    loss_context.seed = mix_seed(c.seed, "loss");
    return std::pair{evaluate(f.loss, out, loss_context), out};
  }

  struct StepValue {
    double loss;
    Figures terms;
    double gradient_norm;
  };
  template <std::size_t first, std::size_t end, class F, class E>
  StepValue step(F const& f, std::string const& stage, E& events, std::vector<std::int64_t> const& order,
                 torch::optim::Optimizer& optimiser, NamedParameters const& parameters, GradientSums& sums) {
    auto const begin = state_.position, size = std::int64_t(group().size());
    auto const end_of_step = std::min<std::int64_t>(begin + std::max(1, f.options.events_per_step), std::ssize(order));
    auto const n = end_of_step - begin;
    constexpr std::size_t columns = 1 + std::tuple_size_v<std::remove_cvref_t<decltype(f.loss.terms)>>;
    std::vector<double> values(std::size_t(n) * columns);  // of each event its loss and the terms
    optimiser.zero_grad();
    train_mode<F>(true);
    for (auto at = begin; at < end_of_step; ++at) {
      if (!group().has(at)) continue;
      auto const id = order[std::size_t(at)];
      auto const next = at + size < std::ssize(order) ? order[std::size_t(at + size)] : -1;
      auto const record = [&] {
        auto const timed = meter_.in(Phase::data);
        GlobalSeed const seeded(seed_of(stage, id), trained_.device());  // a frozen stage that draws leaves no trace
        return events.get(id, next).to(trained_.device());
      }();
      meter_.count_event(record);
      if (at + size >= end_of_step) sums.last_backward_follows();
      auto const value = learn_from<first, end>(f, stage, record, id, n);
      auto* row = values.data() + std::size_t(at - begin) * columns;
      *row = value.total.template item<double>();
      for (auto const& term : value.terms) *++row = term.second;
    }
    sums.start_all();
    agree(values);
    sums.finish();
    double sum = 0;
    Figures terms;
    std::apply([&](auto const&... term) { (terms.emplace_back(std::string(std::remove_cvref_t<decltype(term.loss)>::name), 0.0), ...); },
               f.loss.terms);
    state_.epoch_terms.resize(terms.size());
    for (auto const* row = values.data(); row != values.data() + values.size(); row += columns) {
      sum += row[0] / double(n);
      state_.epoch_loss += row[0];
      for (std::size_t t = 0; t < terms.size(); ++t) {
        state_.epoch_terms[t] += row[1 + t];
        terms[t].second += row[1 + t] / double(n);
      }
    }
    state_.position = end_of_step;
    auto const timed = meter_.in(Phase::optimiser);
    double const norm = clip_gradient(parameters, f.options.clip_norm);
    if (!std::isfinite(norm))  // or too large for its type, which clipping makes 0
      if (auto const found = first_not_finite(gradients_of(parameters)); !found.empty()) {
        for (auto i = begin; i < end_of_step; ++i) {
          if (!group().has(i)) continue;
          auto const id = order[std::size_t(i)];
          demand_finite_gradient<first, end>(f, stage, events.get(id).to(trained_.device()), id, parameters);
        }
        group().meet();  // where another process has the event, it ends all
        fail(ErrorKind::internal, "the gradient of {} is not finite at epoch {}, step {}, though that of each of its {} events is", stage,
             state_.epoch, state_.step, n);
      }
    optimiser.step();
    meter_.count_step();
    train_mode<F>(false);
    return {sum, terms, norm};
  }

  std::uint64_t seed_of(std::string const& stage, std::int64_t event) const {
    return mix_seed(mix_seed(mix_seed(trained_.seed(), stage), std::uint64_t(state_.epoch)), std::uint64_t(event));
  }
  /// Forward and backward pass of one event, the n-th part of a step. A loss that is not finite ends the training.
  template <std::size_t first, std::size_t end, class F, class R>
  LossValue learn_from(F const& f, std::string const& stage, R const& record, std::int64_t id, std::int64_t n) {
    auto const c = context(id, state_.epoch, true);
    GlobalSeed const seeded(seed_of(stage, id), trained_.device());
    auto const [value, out] = [&] {
      auto const timed = meter_.in(Phase::forward);
      return forward<first, end>(f, record, c);
    }();
    double const loss = value.total.template item<double>();
    if (!std::isfinite(loss))
      fail_step(stage, record, id,
                fmt::format("the loss of {} is not finite: {} at event {}, epoch {}, step {} ({}); {}", stage, number_text(loss), id,
                            state_.epoch, state_.step, terms_text(value.terms), blame(out)));
    auto const timed = meter_.in(Phase::backward);
    (value.total / double(n)).backward();
    return value;
  }
  /// The first weight, or else the first tensor behind the fit's stages, that holds something that is not finite.
  template <class R> std::string blame(R const& out) const {
    auto const weights = trained_.tensors();
    if (auto text = first_not_finite({weights.begin(), weights.end()}); !text.empty()) return "the first weight that is not: " + text;
    NamedParameters tensors;
    out.for_each([&]<class K>(K, Tensor const& t) { tensors.emplace_back(std::string(K::name), t); });
    if (auto text = first_not_finite(tensors); !text.empty()) return "the first tensor of its record that is not: " + text;
    return "all weights and all tensors of its record are finite";
  }
  static NamedParameters gradients_of(NamedParameters const& parameters) {
    NamedParameters gradients;
    for (auto const& [name, p] : parameters) gradients.emplace_back(name, p.grad());
    return gradients;
  }
  /// Ends the training when the gradient of one event alone is not finite.
  template <std::size_t first, std::size_t end, class F, class R>
  void demand_finite_gradient(F const& f, std::string const& stage, R const& record, std::int64_t id, NamedParameters const& parameters) {
    auto const gradient_of = [&](F const& fit) {
      for (auto const& [name, p] : parameters) Tensor(p).mutable_grad() = Tensor();
      (void)learn_from<first, end>(fit, stage, record, id, 1);
      return first_not_finite(gradients_of(parameters));
    };
    auto const found = gradient_of(f);
    if (found.empty()) return;
    std::vector<std::string> terms;
    auto alone = f;
    auto const for_each_term = [&](auto const& of) { std::apply([&](auto&... t) { (of(t), ...); }, alone.loss.terms); };
    std::vector<double> weights;
    for_each_term([&](auto& t) { weights.push_back(std::exchange(t.weight, 0)); });
    std::size_t i = 0;
    for_each_term([&]<class T>(T& t) {
      if (t.weight = weights[i++]; t.weight != 0 && !gradient_of(alone).empty())
        terms.emplace_back(std::remove_cvref_t<decltype(t.loss)>::name);
      t.weight = 0;
    });
    fail_step(stage, record, id,
              fmt::format("the gradient of {} is not finite at event {}, epoch {}, step {}, though the loss is; the first parameter whose "
                          "gradient is not: {}; through the terms: {}",
                          stage, id, state_.epoch, state_.step, found, detail::listed(terms)));
  }
  template <class R>
  [[noreturn]] void fail_step(std::string const& stage, R const& record, std::int64_t id, std::string const& what) {
    auto c = moment(nullptr, {}, {});
    c.callbacks = callbacks_.states();
    c.failed_event = id;
    record.for_each([&]<class K>(K, Tensor const& t) {
      if (t.defined()) c.record.emplace(K::name, t);
    });
    callbacks_.tell(StepFailed{stage, state_.epoch, state_.step, id, what, c});
    fail(ErrorKind::internal, "{}", what);
  }
  template <class S, class L> double reproduce_part(Checkpoint const& failed, Fit<S, L> const& f) {
    using F = Fit<S, L>;
    constexpr std::size_t first = detail::repeatable_stages(static_cast<P const*>(nullptr), F::template first<P>()),
                          end = F::template last<P>() + 1;
    using Needed = NeededBy<L, first>;
    using Kept = typename FrozenEvents<first, Needed, P, Source>::Kept;
    auto const stage = std::string(F::template name<P>());
    auto const record = detail::RecordLoader<Kept>::load({failed.record, {}}, "the failed step").to(trained_.device());
    auto const parameters = choose_parameters<F>();
    train_mode<F>(true);
    auto const loss = learn_from<first, end>(f, stage, record, failed.failed_event, 1).total.template item<double>();
    demand_finite_gradient<first, end>(f, stage, record, failed.failed_event, parameters);
    train_mode<F>(false);
    return loss;
  }
  template <class S, class G> double reproduce_part(Checkpoint const&, Scan<S, G> const&) {
    fail(ErrorKind::input, "the failed step is of a part of the plan that is a scan");
  }

  template <class F> void train_mode(bool on) {
    trained_.for_each_module([&]<std::size_t i>(std::integral_constant<std::size_t, i>, auto& module) {
      if (F::template trains<P>(i)) module.train(on);
    });
  }
  static std::string number_text(double value) { return std::isnan(value) ? "nan" : fmt::to_string(value); }  // no "-nan"
  static std::string terms_text(Figures const& terms) {
    std::string text;
    for (auto const& [name, value] : terms) text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", name, number_text(value));
    return text;
  }

  /// The first stage from `from` on that learns, or the end: up to there a validation can run.
  static constexpr std::size_t next_learner(std::size_t from) {
    return []<std::size_t... i>(std::size_t start, std::index_sequence<i...>) {
      std::size_t found = P::size;
      ((i >= start && i < found && Learns<typename P::template Stage<i>> ? void(found = i) : void()), ...);
      return found;
    }(from, std::make_index_sequence<P::size>{});
  }

  /// Fills in the figures of a validation; false when it was to stop in its midst.
  template <std::size_t first, std::size_t end, std::size_t until, class F, class E>
  bool validate(F const& f, E& events, EpochEnded& ended) {
    auto const timed = meter_.in(Phase::validation);
    at::NoGradGuard no_grad;
    auto ids = settings_.validate;
    if (f.options.validation_events > 0 && std::size_t(f.options.validation_events) < ids.size())
      ids.resize(std::size_t(f.options.validation_events));
    std::vector<Figures> figures(ids.size());  // the loss of each event, its terms, the metrics
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (group().alone() && settings_.stop()) return false;
      if (!group().has(std::int64_t(i))) continue;
      auto const c = context(ids[i], 0, false);
      auto const next = i + std::size_t(group().size());
      auto const record = events.get(ids[i], next < ids.size() ? ids[next] : -1).to(trained_.device());
      auto const [value, out] = forward<first, end>(f, record, c);
      Summary event;
      for (auto const& [name, term] : value.terms) event.add("loss." + name, term);
      run_and_measure_behind<end, until>(out, c, event);
      figures[i] = figures_in(event);
      figures[i].emplace(figures[i].begin(), "", value.total.template item<double>());
      if (i == 0) tell_validated(out, ids[i], ended);
    }
    share_figures(group(), figures);
    Summary summary;
    double loss = 0;
    for (auto const& event : figures) {
      loss += event.front().second / double(ids.size());
      for (auto figure = event.begin() + 1; figure != event.end(); ++figure) summary.add(figure->first, figure->second);
    }
    ended.validation_loss = loss;
    for (auto const& name : summary.names()) ended.validation.emplace_back(name, summary.mean(name));
    return true;
  }
  template <class R> void tell_validated(R const& out, std::int64_t event, EpochEnded const& epoch) const {
    std::map<std::string, Tensor, std::less<>> named;
    out.for_each([&]<class K>(K, Tensor const& t) { named.emplace(K::name, t); });
    callbacks_.tell(EventValidated{epoch.stage, epoch.epoch, epoch.step, event, named});
  }
  template <std::size_t end, std::size_t until, class R>
  void run_and_measure_behind(R const& out, Context const& c, Summary& summary) {
    // metrics whose place is before this fit's end have been seen already; run_and_measure looks at places from `end` on
    run_and_measure<end, until>(trained_, out, c, metrics_, summary);
  }

  // ---- a scan -------------------------------------------------------------------------------------------------------------------------
  template <class S, class G>
  bool run_part(Scan<S, G> const& s, std::size_t part) {
    constexpr std::size_t at = Scan<S, G>::template index<P>();
    auto const stage = std::string(Scan<S, G>::template name<P>());
    auto const candidates = s.grid.candidates();
    check(!candidates.empty(), ErrorKind::usage, "{}.scan: the grid holds no candidate", stage);
    auto const& ids = settings_.validate.empty() ? settings_.train : settings_.validate;
    using Needed = decltype(detail::needed_from<P, at, UnionOf<GridReads<G>, ReadsOf<M>..., MayReadOf<M>...>>());
    FrozenEvents<at, Needed, P, Source> events(store_, trained_, budget());
    auto& policy = std::get<at>(trained_.pipeline.stages);
    auto const before = policy.options;
    auto values = begin_scan(part, candidates.size());
    while (state_.position < std::ssize(ids)) {
      if (stop_asked()) {
        save(nullptr, {}, values.tensor());
        return false;
      }
      at::NoGradGuard no_grad;
      if (state_.position > 0 && state_.allotted > 0 && seconds() - state_.part_began > state_.allotted)
        break;  // all candidates have seen the same events
      auto const before_round = state_.number;
      auto const round = std::min<std::int64_t>(group().size(), std::ssize(ids) - state_.position);  // an event for each process
      std::vector<double> measured(std::size_t(round) * candidates.size());
      bool whole = true;  // an event counts with all candidates or with none
      auto const random = global_generator().get_state();
      if (group().rank() < round) {
        auto const e = std::size_t(state_.position + group().rank()), next = e + std::size_t(group().size());
        auto const c = context(ids[e], 0, false);
        auto const record = events.get(ids[e], next < ids.size() ? ids[next] : -1).to(trained_.device());
        auto const row = std::size_t(group().rank()) * candidates.size();
        auto const measure_one = [&](std::size_t i, auto const& behind) {
          measured[row + i] = measure_goal<at + 1>(s.goal, behind, c);
          whole = i + 1 == candidates.size() || !group().alone() || !settings_.stop();
        };
        if (auto const own = own_figures(s, record); !own.empty()) {
          std::copy(own.begin(), own.end(), measured.begin() + std::ptrdiff_t(row));
        } else if constexpr (requires { policy.run_all(record, candidates); }) {
          auto const written = policy.run_all(record, candidates);
          if (auto const all = measure_goal_in_turn(s.goal, record, written); !all.empty())
            std::copy(all.begin(), all.end(), measured.begin() + std::ptrdiff_t(row));
          else
            for (std::size_t i = 0; whole && i < candidates.size(); ++i) measure_one(i, record.merge(written[i]));
        } else
          for (std::size_t i = 0; whole && i < candidates.size(); ++i) {
            policy.options = candidates[i];
            measure_one(i, trained_.template step<at>(record, c));
          }
        policy.options = before;
      }
      if (!whole) {
        set_random(random);
        save(nullptr, {}, values.tensor());
        return false;
      }
      agree(measured);
      for (std::size_t i = 0; i < measured.size(); ++i) values.add(i % candidates.size(), measured[i]);
      state_.position += round, state_.number += round;
      if (state_.position < std::ssize(ids) && due(before_round)) save(nullptr, {}, values.tensor());
    }
    auto const events_used = std::size_t(state_.position);
    double const worst = s.goal.maximise ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    double best = worst;
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      double const value = values.mean(i);
      callbacks_.tell(ScanTried{stage, options_line(candidates[i]), value, i + 1, candidates.size()});
      if (std::isfinite(value) && (s.goal.maximise ? value > best : value < best)) best = value, chosen = i;
    }
    check(best != worst, ErrorKind::input, "{}.scan: '{}' is undefined on every event of the scan", stage, s.goal.metric);
    policy.options = candidates[chosen];
    OptionSet set;
    add_options(set, trained_.pipeline);
    for (auto const& e : set.entries())
      if (e.path.starts_with(stage + ".")) state_.tuned[e.path] = e.get();
    callbacks_.tell(
        ScanEnded{stage, s.goal.metric, options_line(candidates[chosen]), best, candidates.size(), seconds(), events_used, ids.size()});
    next_part(part);
    return true;
  }

  /// The values of a figure that the grid measures itself, for each candidate; none where the goal names another.
  template <class S, class G, class R>
  static std::vector<double> own_figures(Scan<S, G> const& s, R const& record) {
    if constexpr (MeasuresItself<G> && contains_all<typename R::KeySet, GridReads<G>>)
      if (measured_by_grid(s)) return s.grid.figures(record, std::string_view(s.goal.metric).substr(s.goal.metric.find('.') + 1));
    return {};
  }
  /// No value yet, or those of the events that the checkpoint that `run` was given has seen.
  ScanValues begin_scan(std::size_t part, std::size_t candidates) {
    auto values = begin_part(part) ? ScanValues(candidates, from_->scanned) : ScanValues(candidates);
    from_.reset();
    return values;
  }

  /// The figure that a goal names, measured on a record behind n stages: NaN where it is undefined.
  template <std::size_t n, class R>
  double measure_goal(Goal const& goal, R const& record, Context const& c) const {
    double wanted = std::nan("");
    auto const one = [&]<class One>(One const& metric) {
      if constexpr (contains_all<typename R::KeySet, ReadsOf<One>>)
        if (is_of<One>(goal)) wanted = wanted_of<One>(goal, call(metric, record, c));
    };
    std::apply([&](auto const&... m) { (one(m), ...); }, metrics_);
    return wanted;
  }
  /// The same behind each of several labellings, where the goal's metric measures them in turn; nothing where it does not.
  template <class R, class W>
  std::vector<double> measure_goal_in_turn(Goal const& goal, R const& record, std::vector<W> const& written) const {
    std::vector<double> wanted;
    if constexpr (std::same_as<typename W::KeySet, Keys<Label>>) {
      std::vector<Tensor> labels;
      for (auto const& each : written) labels.push_back(each[key::label]);
      auto const one = [&]<class One>(One const& metric) {
        if constexpr (MeasuresInTurn<One, R>)
          if (is_of<One>(goal))
            for (auto const& figures : metric.in_turn(record, labels)) wanted.push_back(wanted_of<One>(goal, figures));
      };
      std::apply([&](auto const&... m) { (one(m), ...); }, metrics_);
    }
    return wanted;
  }
  template <class One> static bool is_of(Goal const& goal) { return goal.metric.starts_with(fmt::format("{}.", One::name)); }
  template <class One> static double wanted_of(Goal const& goal, Figures const& figures) {
    for (auto const& [figure, value] : figures)
      if (fmt::format("{}.{}", One::name, figure) == goal.metric) return value;
    return std::nan("");
  }
  template <class O> static std::string options_line(O const& options) {
    std::string text;
    hana::for_each(described<O>(), [&](auto const& o) {
      text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", o.name, to_text(options.*(o.member)));
    });
    return text;
  }

  Trained<P>& trained_;
  EventStore<P, Source> store_;
  std::tuple<M...> metrics_;
  TrainerSettings settings_;
  Callbacks callbacks_;
  Saver saver_;
  std::optional<Checkpoint> from_;
  TrainingState state_;
  std::vector<double> shares_;
  std::map<std::string, Tensor> best_;
  PlanText plan_;
  WorkMeter meter_;
  double began_ = 0, saved_at_ = 0;
  bool checked_ = false;
  Agreed agreed_;
};

}  // namespace dew
