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
#include "dew/train/measure.hpp"
#include "dew/train/optimiser.hpp"

namespace dew {

/// How a plan is carried out.
struct TrainerSettings {
  std::vector<std::int64_t> train{}, validate{};  ///< event numbers
  double minutes = 0;                             ///< budget of the whole plan, shared between its parts; 0: epochs decide
  double cache_gb = 4;                            ///< memory for events behind frozen stages
  std::filesystem::path graph_cache{};            ///< folder for built graphs; empty: none
  Clock clock = steady_clock();
  std::function<bool()> stop = [] { return false; };  ///< asked at each step; true: save and return
  int threads = 1;                                    ///< told to callbacks
};

/// Carries out a plan: each part in turn, the earlier stages frozen.
///
///     Trainer trainer{trained, source, std::tuple{TrackingMetrics{}}, settings, callbacks};
///     trainer.run(fit<EdgeClassifier>(FocalLoss{}), fit<Condenser>(Attraction{} + Repulsion{}), scan<Dbscan>(maximise("tracking.pt0.9.double_majority")));
///
/// Equal seeds, options, events and thread count give equal weights on the CPU (by epochs; a time budget lets the clock decide the number of steps).
/// A loss that is not finite stops the training with an `Error` that names event, stage and terms.
template <class P, class Source, class... M>
class Trainer {
 public:
  using Saver = std::function<void(Checkpoint const&)>;

  Trainer(Trained<P>& trained, Source const& source, std::tuple<M...> metrics, TrainerSettings settings, Callbacks callbacks = {})
      : trained_(trained),
        store_(source, settings.graph_cache),
        metrics_(std::move(metrics)),
        settings_(std::move(settings)),
        callbacks_(std::move(callbacks)) {
    check(!settings_.train.empty(), ErrorKind::usage, "a training needs at least one event to train on");
  }

  /// Called with every checkpoint; without one nothing is saved.
  void on_checkpoint(Saver saver) { saver_ = std::move(saver); }
  /// Goes on from a checkpoint: `run` must be given the same plan.
  void resume(Checkpoint checkpoint) { from_ = std::move(checkpoint); }

  /// The whole plan. Returns false when it was stopped before its end (a checkpoint was then saved).
  template <class... Part>
  bool run(Part const&... parts) {
    state_ = from_ ? from_->state : TrainingState{};
    began_ = settings_.clock() - state_.seconds;
    if (from_) {
      trained_.load_tensors(from_->weights, "checkpoint");
      OptionSet set;
      add_options(set, trained_.pipeline);
      for (auto const& [path, value] : state_.tuned) set.at(path).set(toml_words(value));
    }
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

 private:
  double seconds() const { return settings_.clock() - began_; }
  template <class S, class L> static double share_of(Fit<S, L> const& f) { return f.options.epochs > 0 ? f.options.share : 0; }
  template <class S, class G> static double share_of(Scan<S, G> const& s) { return s.goal.share; }
  /// The part's share of what is left of the budget.
  double allot(std::size_t part) const {
    if (settings_.minutes <= 0) return 0;
    double const rest = std::accumulate(shares_.begin() + std::ptrdiff_t(part), shares_.end(), 0.0);
    return std::max(1e-9, (settings_.minutes * 60 - seconds()) * (rest > 0 ? shares_[part] / rest : 0));
  }
  std::size_t budget() const { return std::size_t(settings_.cache_gb * 1e9); }
  void next_part(std::size_t part) {
    auto tuned = std::move(state_.tuned);
    best_.clear();
    state_ = {};
    state_.part = part + 1;
    state_.tuned = std::move(tuned);
    save(nullptr, {});
    from_.reset();
  }
  void save(torch::optim::Optimizer* optimiser, NamedParameters const& parameters) {
    if (!saver_) return;
    state_.seconds = seconds();
    Checkpoint c;
    c.weights = trained_.tensors();
    if (optimiser) c.optimiser = optimiser_state(*optimiser, parameters);
    c.best = best_;
    c.state = state_;
    saver_(c);
  }

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
    using Needed =
        decltype(detail::needed_from<P, first,
                                     UnionOf<decltype(loss_reads(static_cast<L const*>(nullptr))), ReadsOf<M>..., MayReadOf<M>...>>());
    FrozenEvents<first, Needed, P, Source> events(store_, trained_, budget());
    auto const parameters = choose_parameters<F>();
    auto const optimiser = make_optimiser(f.options, parameters);
    begin_fit(part, *optimiser, parameters);
    callbacks_.tell(FitStarted{stage, count_of(parameters), epochs_of(f.options), state_.allotted});

    while (true) {
      bool out_of_time = false;
      auto const order = shuffled(stage, state_.epoch);
      while (state_.position < std::ssize(order) && !out_of_time) {
        if (settings_.stop()) {
          save(optimiser.get(), parameters);
          return false;
        }
        double const progress = progress_of(f.options);
        double const rate = f.options.learning_rate * learning_rate_factor(f.options, state_.step, progress);
        set_learning_rate(*optimiser, rate);
        auto const [loss, terms] = step<first, end>(f, stage, events, order, *optimiser, parameters);
        ++state_.step;
        callbacks_.tell(StepEnded{stage, state_.epoch, epochs_of(f.options), state_.step, progress, loss, rate, terms});
        out_of_time = state_.allotted > 0 && seconds() - state_.fit_began >= state_.allotted;
      }
      bool const last = out_of_time || (state_.allotted <= 0 && state_.epoch + 1 >= f.options.epochs);
      auto ended = epoch_figures(f, stage);
      if (!settings_.validate.empty() && f.options.validate_every > 0 && (last || (state_.epoch + 1) % f.options.validate_every == 0))
        validate<first, end, until>(f, events, ended);
      ended.seconds = seconds();
      callbacks_.tell(ended);
      next_epoch(ended);
      if (last || (f.options.patience > 0 && state_.epochs_since_best >= f.options.patience)) {
        if ((f.options.keep_best || f.options.patience > 0) && !best_.empty()) trained_.load_tensors(best_, "best weights");
        callbacks_.tell(FitEnded{stage, state_.step, ended.loss, ended.validation_loss, seconds()});
        next_part(part);
        return true;
      }
      save(optimiser.get(), parameters);
    }
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

  /// From its beginning, or from where the checkpoint that `run` was given stands.
  void begin_fit(std::size_t part, torch::optim::Optimizer& optimiser, NamedParameters const& parameters) {
    if (from_ && from_->state.part == part && from_->state.step > 0) {
      restore_optimiser_state(optimiser, parameters, from_->optimiser);
      best_ = from_->best;
    } else {
      best_.clear();
      state_.fit_began = seconds();
      state_.allotted = allot(part);
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
    ended.learning_rate = f.options.learning_rate * learning_rate_factor(f.options, state_.step, ended.progress);
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

  /// Remembers the best weights so far and starts the next epoch's sums.
  void next_epoch(EpochEnded const& ended) {
    if (ended.validation_loss < state_.best) {
      state_.best = ended.validation_loss;
      state_.epochs_since_best = 0;
      best_.clear();
      for (auto const& [name, t] : trained_.tensors()) best_[name] = t.detach().clone();
    } else if (std::isfinite(ended.validation_loss)) ++state_.epochs_since_best;
    ++state_.epoch;
    state_.position = 0;
    state_.epoch_loss = 0;
    state_.epoch_terms.clear();
  }

  double progress_of(FitOptions const& o) const {
    if (state_.allotted > 0) return std::min(1.0, (seconds() - state_.fit_began) / state_.allotted);
    return (double(state_.epoch) + double(state_.position) / double(settings_.train.size())) / o.epochs;
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

  template <std::size_t first, std::size_t end, class F, class E>
  std::pair<double, Figures> step(F const& f, std::string const& stage, E& events, std::vector<std::int64_t> const& order,
                                  torch::optim::Optimizer& optimiser, NamedParameters const& parameters) {
    auto const n = std::min<std::int64_t>(std::max(1, f.options.events_per_step), std::int64_t(order.size()) - state_.position);
    optimiser.zero_grad();
    train_mode<F>(true);
    double sum = 0;
    Figures terms;
    for (std::int64_t i = 0; i < n; ++i) {
      auto const id = order[std::size_t(state_.position)];
      auto const next = state_.position + 1 < std::int64_t(order.size()) ? order[std::size_t(state_.position) + 1] : -1;
      auto const c = context(id, state_.epoch, true);
      GlobalSeed seeded(mix_seed(mix_seed(mix_seed(trained_.seed(), stage), std::uint64_t(state_.epoch)), std::uint64_t(id)),
                        trained_.device());
      auto const record = events.get(id, next).to(trained_.device());
      auto const value = forward<first, end>(f, record, c).first;
      double const loss = value.total.template item<double>();
      if (!std::isfinite(loss))
        fail(ErrorKind::internal, "the loss of {} is not finite: {} at event {}, epoch {}, step {} ({})", stage, number_text(loss), id,
             state_.epoch, state_.step, terms_text(value.terms));
      (value.total / double(n)).backward();
      sum += loss / double(n);
      state_.epoch_loss += loss;
      state_.epoch_terms.resize(value.terms.size());
      terms.resize(value.terms.size());
      for (std::size_t t = 0; t < value.terms.size(); ++t) {
        state_.epoch_terms[t] += value.terms[t].second;
        terms[t] = {value.terms[t].first, terms[t].second + value.terms[t].second / double(n)};
      }
      ++state_.position;
    }
    if (f.options.clip_norm > 0) {
      std::vector<Tensor> with_gradient;
      for (auto const& [name, p] : parameters)
        if (p.grad().defined()) with_gradient.push_back(p);
      if (!with_gradient.empty()) torch::nn::utils::clip_grad_norm_(with_gradient, f.options.clip_norm);
    }
    optimiser.step();
    train_mode<F>(false);
    return {sum, terms};
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

  template <std::size_t first, std::size_t end, std::size_t until, class F, class E>
  void validate(F const& f, E& events, EpochEnded& ended) {
    at::NoGradGuard no_grad;
    Summary summary;
    double loss = 0;
    auto ids = settings_.validate;
    if (f.options.validation_events > 0 && std::size_t(f.options.validation_events) < ids.size())
      ids.resize(std::size_t(f.options.validation_events));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto const c = context(ids[i], 0, false);
      auto const record = events.get(ids[i], i + 1 < ids.size() ? ids[i + 1] : -1).to(trained_.device());
      auto const [value, out] = forward<first, end>(f, record, c);
      loss += value.total.template item<double>() / double(ids.size());
      for (std::size_t t = 0; t < value.terms.size(); ++t) summary.add("loss." + value.terms[t].first, value.terms[t].second);
      run_and_measure_behind<end, until>(out, c, summary);
    }
    ended.validation_loss = loss;
    for (auto const& name : summary.names()) ended.validation.emplace_back(name, summary.mean(name));
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
    using Needed = decltype(detail::needed_from<P, at, UnionOf<ReadsOf<M>..., MayReadOf<M>...>>());
    FrozenEvents<at, Needed, P, Source> events(store_, trained_, budget());
    std::vector<Summary> summaries(candidates.size());
    auto& policy = std::get<at>(trained_.pipeline.stages);
    auto const before = policy.options;
    double const deadline = settings_.minutes > 0 ? seconds() + allot(part) : 0;
    std::size_t events_used = 0;
    for (std::size_t e = 0; e < ids.size(); ++e) {
      if (settings_.stop()) {
        save(nullptr, {});
        return false;
      }
      at::NoGradGuard no_grad;
      if (e > 0 && deadline > 0 && seconds() > deadline) break;  // all candidates have seen the same events
      ++events_used;
      auto const c = context(ids[e], 0, false);
      auto const record = events.get(ids[e], e + 1 < ids.size() ? ids[e + 1] : -1).to(trained_.device());
      auto const measure_one = [&](std::size_t i, auto const& behind) { measure_goal<at + 1>(s.goal, behind, c, summaries[i]); };
      if constexpr (requires { policy.run_all(record, candidates); }) {
        auto const written = policy.run_all(record, candidates);
        for (std::size_t i = 0; i < candidates.size(); ++i) measure_one(i, record.merge(written[i]));
      } else
        for (std::size_t i = 0; i < candidates.size(); ++i) {
          policy.options = candidates[i];
          measure_one(i, trained_.template step<at>(record, c));
        }
    }
    policy.options = before;
    double const worst = s.goal.maximise ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    double best = worst;
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      double const value = summaries[i].mean(s.goal.metric);
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

  /// The metric that a goal names, measured on a record behind n stages.
  template <std::size_t n, class R>
  void measure_goal(Goal const& goal, R const& record, Context const& c, Summary& summary) const {
    bool found = false;
    std::string names;
    auto const one = [&]<class One>(One const& metric) {
      names += (names.empty() ? "" : ", ") + std::string(One::name);
      if constexpr (contains_all<typename R::KeySet, ReadsOf<One>>) {
        if (!goal.metric.starts_with(std::string(One::name) + ".")) return;
        found = true;
        for (auto const& [figure, value] : call(metric, record, c)) summary.add(fmt::format("{}.{}", One::name, figure), value);
      }
    };
    std::apply([&](auto const&... m) { (one(m), ...); }, metrics_);
    check(found, ErrorKind::usage, "the scan's metric '{}' belongs to none of the metrics that can be measured there ({})", goal.metric,
          names);
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
  double began_ = 0;
};

}  // namespace dew
