// SPDX-License-Identifier: BSL-1.0
// A training that goes on from any of its checkpoints is the one that was never interrupted: weights, options and everything that it tells.
#include "dew/train/checkpoint_files.hpp"
#include "dew/train/trainer.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {

/// The toy model with everything that an interruption could lose: numbers drawn in training, a parameter that has no gradient before the second
/// epoch and another that never has one.
struct Fickle {
  static constexpr std::string_view name = "fickle";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Beta>;
  struct Module : torch::nn::Module { Tensor weight, late, never, calls; };
  std::shared_ptr<Module> make(Widths const& widths) const {
    auto net = std::make_shared<Module>();
    net->weight = net->register_parameter("weight", at::randn({widths[key::hit_features]}));
    net->late = net->register_parameter("late", at::zeros({1}));
    net->never = net->register_parameter("never", at::ones({1}));
    net->calls = net->register_buffer("calls", at::zeros({1}));
    return net;
  }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const& context) const {
    if (context.training) net.calls += 1;
    auto x = event[key::hit_features].mv(net.weight);
    if (context.training) x = x + 0.1 * at::rand(x.sizes()) + 0.1 * at::rand(x.sizes(), context.generator());
    if (context.epoch > 0 || !context.training) x = x + net.late;
    return RecordOf<Writes>{key::beta = x.sigmoid()};
  }
  bool operator==(Fickle const&) const = default;
};
static_assert(Model<Fickle>);

/// Draws from LibTorch's global generator where nobody seeds it.
struct Drawn {
  static constexpr std::string_view name = "drawn";
  using Reads = Keys<Beta>;
  Figures operator()(RecordOf<Reads> const&) const { return {{"number", at::rand({1}, at::kDouble).item<double>()}}; }
};
/// Another value in each event, the largest for wide clusters.
struct Wide {
  static constexpr std::string_view name = "wide";
  using Reads = Keys<Label, Position>;
  Figures operator()(RecordOf<Reads> const& event) const {
    return {{"share", event[key::position].sum().item<double>() / (1 + event[key::label].max().item<double>())}};
  }
};
/// A term that is nowhere a number.
struct Undefined {
  static constexpr std::string_view name = "undefined";
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::beta].sum().detach() / 0.0; }
};

/// Everything that a training tells, but for the clock.
struct Transcript {
  std::vector<std::string>* out;
  static std::string text(Figures const& figures) {
    std::string line;
    for (auto const& [name, value] : figures) line += fmt::format(" {}={:a}", name, value);
    return line;
  }
  void on(StepEnded const& e) {
    out->push_back(fmt::format("step {} {} {} {} {:a} {:a} {:a}{}", e.stage, e.epoch, e.epochs, e.step, e.progress, e.loss, e.learning_rate,
                               text(e.terms)));
  }
  void on(EpochEnded const& e) {
    out->push_back(fmt::format("epoch {} {} {} {:a} {:a} {:a} {:a}{}{}", e.stage, e.epoch, e.step, e.progress, e.learning_rate, e.loss,
                               e.validation_loss, text(e.terms), text(e.validation)));
  }
  void on(FitEnded const& e) { out->push_back(fmt::format("fitted {} {} {:a} {:a}", e.stage, e.steps, e.loss, e.validation_loss)); }
  void on(ScanTried const& e) { out->push_back(fmt::format("tried {} {:a} {}/{}", e.options, e.value, e.tried, e.of)); }
  void on(ScanEnded const& e) { out->push_back(fmt::format("scanned {} {:a} {}/{}", e.best, e.value, e.events, e.of)); }
};

auto pipeline() { return Pipeline{Fickle{}, ToyModel{}, ToyCut{}, ToyClusterer{}}; }
auto fresh() { return Trained(pipeline(), ToySource{}.labelled(1), 7); }
/// A fit with patience, a scan, and a second fit behind the option that the scan has set.
auto plan(Optimiser optimiser) {
  auto const first = fit<Fickle>(
      ToyLoss{} + weighted(0, Undefined{}),
      {.epochs = 9, .optimiser = optimiser, .learning_rate = 5, .schedule = Schedule::constant, .warmup_steps = 2, .patience = 2});
  auto const second = fit<ToyModel>(
      ToyLoss{}, {.epochs = 3, .optimiser = optimiser, .learning_rate = 0.1, .events_per_step = 3, .keep_best = true, .validate_every = 2});
  return std::tuple(first, scan<ToyClusterer>(maximise("wide.share")), second);
}
TrainerSettings settings() { return {.train = {1, 2, 3, 4}, .validate = {5, 6}}; }

struct Outcome {
  std::map<std::string, Tensor> weights;
  std::vector<std::string> told;
  double width;
  bool operator==(Outcome const& other) const {
    return told == other.told && width == other.width &&
           std::equal(weights.begin(), weights.end(), other.weights.begin(), other.weights.end(),
                      [](auto const& a, auto const& b) { return a.first == b.first && at::equal(a.second, b.second); });
  }
};
/// Trains; `from` is the bytes of a checkpoint or nothing. Each checkpoint is given to `saved` with the number of lines told before it.
template <class Plan>
Outcome train(Plan const& plan, TrainerSettings const& s, std::optional<Checkpoint> from,
              std::function<void(Checkpoint const&, std::size_t)> const& saved, bool to_its_end = true) {
  Outcome out;
  auto trained = fresh();
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}, Drawn{}, Wide{}}, s, Callbacks{}.add(Transcript{&out.told}));
  trainer.on_checkpoint([&](Checkpoint const& c) { saved(c, out.told.size()); });
  if (from) trainer.resume(std::move(*from));
  bool const finished = std::apply([&](auto const&... part) { return trainer.run(part...); }, plan);
  CHECK(finished == to_its_end);
  for (auto const& [name, t] : trained.tensors()) out.weights[name] = t.detach().clone();
  out.width = trained.pipeline.template get<ToyClusterer>().options.width;
  return out;
}
}  // namespace

TEST_CASE("a training that goes on from any of its checkpoints ends like one that was never interrupted") {
  TempDir const folder;
  auto const file = folder / "checkpoint";
  for (auto optimiser : {Optimiser::adamw, Optimiser::adam, Optimiser::sgd}) {
    CAPTURE(int(optimiser));
    auto s = settings();
    s.checkpoint.every_steps = 1;
    std::vector<std::pair<std::string, std::size_t>> saved;
    std::vector<TrainingState> states;
    auto const whole = train(plan(optimiser), s, {}, [&](Checkpoint const& c, std::size_t told) {
      saved.emplace_back(checkpoint_bytes(c), told);
      states.push_back(c.state);
    });
    // the plan does what it is for: it stops early, and there is a checkpoint in every place
    CHECK(std::count_if(whole.told.begin(), whole.told.end(), [](auto const& line) { return line.starts_with("epoch fickle"); }) < 9);
    auto const any = [&](auto&& f) { return std::any_of(states.begin(), states.end(), f); };
    CHECK(any([](auto const& state) { return state.part == 0 && state.step > 0 && state.position > 0; }));
    CHECK(any([](auto const& state) { return state.part == 0 && state.over; }));
    CHECK(any([](auto const& state) { return state.part == 0 && state.improvement.validations_since == 1 && state.position == 0; }));
    CHECK(any([](auto const& state) { return state.part == 1 && state.position == 1; }));
    CHECK(any([](auto const& state) { return state.part == 2 && state.position > 0; }));
    CHECK(any([](auto const& state) { return state.part == 3; }));
    CHECK(whole.width == 3);  // another than at the beginning

    for (std::size_t i = 0; i < saved.size(); ++i) {
      CAPTURE(i);
      write_file_atomically(file, saved[i].first);
      auto resumed = train(plan(optimiser), s, read_checkpoint(file), [](auto const&, auto) {});
      resumed.told.insert(resumed.told.begin(), whole.told.begin(), whole.told.begin() + std::ptrdiff_t(saved[i].second));
      CHECK(resumed.told == whole.told);
      CHECK((resumed == whole));
    }
  }
}

TEST_CASE("the plateau's and early stopping's counters survive, by a figure that is another at every validation") {
  auto const watching = std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 12,
                                                             .learning_rate = 0.5,
                                                             .schedule = Schedule::plateau,
                                                             .warmup_steps = 1,
                                                             .final_rate = 0.1,
                                                             .patience = 5,
                                                             .plateau_factor = 0.7,
                                                             .plateau_patience = 2,
                                                             .watch = "drawn.number",
                                                             .least_improvement = 0.01}));
  TempDir const folder;
  auto const file = folder / "checkpoint";
  auto s = settings();
  s.checkpoint.every_steps = 1;
  std::vector<std::pair<std::string, std::size_t>> saved;
  std::vector<TrainingState> states;
  auto const whole = train(watching, s, {}, [&](Checkpoint const& c, std::size_t told) {
    saved.emplace_back(checkpoint_bytes(c), told);
    states.push_back(c.state);
  });
  auto const any = [&](auto&& f) { return std::any_of(states.begin(), states.end(), f); };
  CHECK(any([](auto const& state) { return state.improvement.reduced < 1 && state.improvement.waited == 1 && state.position > 0; }));
  CHECK(any([](auto const& state) { return state.improvement.validations_since == 3 && state.position == 0; }));
  for (std::size_t i = 0; i < saved.size(); ++i) {
    CAPTURE(i);
    write_file_atomically(file, saved[i].first);
    auto resumed = train(watching, s, read_checkpoint(file), [](auto const&, auto) {});
    resumed.told.insert(resumed.told.begin(), whole.told.begin(), whole.told.begin() + std::ptrdiff_t(saved[i].second));
    CHECK(resumed.told == whole.told);
    CHECK((resumed == whole));
  }
}

TEST_CASE("a training that is stopped wherever it asks goes on like one that was never interrupted") {
  TempDir const folder;
  auto const file = folder / "checkpoint";
  auto s = settings();
  int questions = 0;
  s.stop = [&] {
    ++questions;
    return false;
  };
  auto const seed = [] { at::manual_seed(3); };  // a metric draws from it
  seed();
  auto const whole = train(plan(Optimiser::adamw), s, {}, [](auto const&, auto) {});
  int const all = questions;
  int in_steps = 0, in_validations = 0, in_scans = 0;
  for (int at = 1; at <= all; ++at) {
    CAPTURE(at);
    questions = 0;
    s.stop = [&] { return ++questions >= at; };
    std::string bytes;
    TrainingState state;
    seed();
    auto const stopped = train(
        plan(Optimiser::adamw), s, {},
        [&](Checkpoint const& c, std::size_t) {
          bytes = checkpoint_bytes(c);
          state = c.state;
        },
        false);
    in_steps += state.part != 1 && state.position < 4;
    in_validations += state.part != 1 && state.position == 4;
    in_scans += state.part == 1;
    write_file_atomically(file, bytes);
    auto resumed = train(plan(Optimiser::adamw), settings(), read_checkpoint(file), [](auto const&, auto) {});
    resumed.told.insert(resumed.told.begin(), stopped.told.begin(), stopped.told.end());
    CHECK(resumed.told == whole.told);
    CHECK((resumed == whole));
  }
  CHECK(in_steps > 20);
  CHECK(in_validations > 10);
  CHECK(in_scans == 6);  // two events of three candidates; the last candidate of one asks nothing, the next event does
}

TEST_CASE("numbers of checkpoints rise, and one is saved as often as is asked for") {
  auto const saved = [](CheckpointOptions const& options) {
    auto s = settings();
    s.checkpoint = options;
    double now = 0;
    s.clock = [&] { return now += 1; };
    std::vector<TrainingState> states;
    train(plan(Optimiser::sgd), s, {}, [&](Checkpoint const& c, std::size_t) { states.push_back(c.state); });
    for (std::size_t i = 1; i < states.size(); ++i) CHECK(states[i - 1].number < states[i].number);
    return states;
  };
  CheckpointOptions const none{.every_epochs = 0, .every_steps = 0, .every_minutes = 0, .keep_best = 0};
  CHECK(saved(none).size() == 4);  // at the beginning and after each part
  auto epochs = none, steps = none, minutes = none, best = none;
  epochs.every_epochs = 1, steps.every_steps = 2, minutes.every_minutes = 0.2, best.keep_best = 1;
  auto const every_epoch = saved(epochs);
  CHECK(every_epoch.size() > 6);
  for (auto const& state : every_epoch) CHECK(state.position == 0);
  for (auto const& state : saved(steps)) CHECK((state.position == 0 || state.number % 2 == 0));
  auto const every_minute = saved(minutes);
  CHECK(every_minute.size() > 4);
  CHECK(every_minute.size() < saved(steps).size());
  auto const scored = saved(best);
  CHECK(std::count_if(scored.begin(), scored.end(), [](auto const& state) { return !std::isnan(state.score); }) > 4);
  CHECK(std::none_of(scored.begin(), scored.end(), [](auto const& state) { return state.part == 1 && !std::isnan(state.score); }));
}

TEST_CASE("a time budget counts across interruptions") {
  struct Ended {
    double* seconds;
    void on(TrainingEnded const& e) { *seconds = e.seconds; }
  };
  auto const part = fit<ToyModel>(ToyLoss{}, {.epochs = 1});
  auto s = settings();
  s.minutes = 1;
  double now = 0, first = 0, whole = 0;
  s.clock = [&] { return now += 0.25; };
  std::optional<std::string> saved;
  auto one = fresh(), two = fresh();
  s.stop = [&] { return now > 40; };
  Trainer before(one, ToySource{}, std::tuple{}, s, Callbacks{}.add(Ended{&first}));
  before.on_checkpoint([&](Checkpoint const& c) { saved = checkpoint_bytes(c); });
  CHECK(!before.run(part));
  CHECK(first > 35);
  TempDir const folder;
  REQUIRE(saved);
  write_file_atomically(folder / "c", *saved);
  now = 1000;  // another process's clock
  s.stop = [] { return false; };
  Trainer after(two, ToySource{}, std::tuple{}, s, Callbacks{}.add(Ended{&whole}));
  after.resume(read_checkpoint(folder / "c"));
  CHECK(after.run(part));
  CHECK(whole > 55);
  CHECK(whole < 75);
  CHECK(now < 1040);
}

TEST_CASE("a checkpoint's score is the figure that is asked for, and a misspelt one is refused") {
  auto const scores = [](std::string const& metric) {
    auto s = settings();
    s.checkpoint.metric = metric;
    std::vector<double> out;
    train(std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 2})), s, {}, [&](Checkpoint const& c, std::size_t) {
      if (!std::isnan(c.state.score)) out.push_back(c.state.score);
    });
    return out;
  };
  CHECK(scores("").size() == 2);
  CHECK(scores("loss.toy_loss") == scores(""));
  auto const right = scores("toy_metric.right");
  REQUIRE(right.size() == 2);
  CHECK(right[0] > 0.5);
  CHECK_THROWS_WITH_AS(scores("toy_metric.write"),
                       "checkpoint.metric: there is no figure 'toy_metric.write'; the nearest is 'toy_metric.right'; there are "
                       "toy_metric.right",
                       Error);
  CHECK_THROWS_WITH_AS(scores("toi_metric.right"),
                       "checkpoint.metric: 'toi_metric.right' is no figure of toy_metric., drawn., wide., loss.toy_loss", Error);
}

TEST_CASE("to look for the figures that are asked for changes nothing that follows") {
  auto const one = std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 3}));  // behind it `drawn` is measured
  auto const training = [&](std::string const& metric) {
    GlobalSeed const seeded(5);  // the metric `drawn` tells where it stands
    auto s = settings();
    s.checkpoint.metric = metric;
    return train(one, s, {}, [](auto const&, auto) {});
  };
  auto const plain = training("");
  CHECK(plain.told.size() > 12);
  CHECK(training("toy_metric.right") == plain);
  CHECK(training("drawn.number") == plain);
}

TEST_CASE("another training's checkpoint is refused with every difference") {
  std::optional<Checkpoint> first;
  std::string bytes;
  TempDir const folder;
  auto const keep = [&](Checkpoint const& c, std::size_t) { bytes = checkpoint_bytes(c); };
  train(std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 1})), settings(), {}, keep);
  write_file_atomically(folder / "c", bytes);
  auto const refusal = [&](auto const& plan, TrainerSettings const& s) {
    try {
      train(plan, s, read_checkpoint(folder / "c"), [](auto const&, auto) {});
    } catch (Error const& e) { return std::string(e.what()); }
    return std::string("none");
  };
  CHECK(refusal(std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 1})), settings()) == "none");
  auto other = settings();
  other.train = {1, 2};
  CHECK(refusal(std::tuple(fit<ToyModel>(ToyLoss{}, {.epochs = 2})), other) ==
        "the checkpoint: is of another training:\n  toy_model.fit.epochs: 1 there, 2 here\n  train: 1-4 there, 1-2 here");
  CHECK(refusal(std::tuple(fit<Fickle>(ToyLoss{}, {.epochs = 1})), settings()) ==
        "the checkpoint: is of another training:\n  plan: fit toy_model to toy_loss there, fit fickle to toy_loss here");
}
