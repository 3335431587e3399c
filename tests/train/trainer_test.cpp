// SPDX-License-Identifier: BSL-1.0
#include "dew/train/trainer.hpp"

#include "dew/train/loggers.hpp"
#include "dew/train/run_folder.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {

TrainerSettings settings() { return {.train = {1, 2, 3, 4}, .validate = {5, 6}}; }
FitOptions options(int epochs) { return {.epochs = epochs, .learning_rate = 0.1, .warmup_steps = 2}; }
auto fresh() { return Trained(toy_pipeline(), ToySource{}.labelled(1), 7); }
using Weights = std::map<std::string, Tensor>;
bool same(Weights const& a, Weights const& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto const& x, auto const& y) {
           return x.first == y.first && at::equal(x.second, y.second);
         });
}
struct Recorder {
  std::vector<std::string>* out;
  void on(TrainingStarted const&) { out->push_back("started"); }
  void on(FitStarted const& e) { out->push_back("fit " + e.stage); }
  void on(EpochEnded const& e) { out->push_back(fmt::format("epoch {}", e.epoch)); }
  void on(FitEnded const&) { out->push_back("fitted"); }
  void on(ScanEnded const& e) { out->push_back("scanned " + e.best); }
  void on(TrainingEnded const& e) { out->push_back(e.interrupted ? "interrupted" : "ended"); }
};
struct Losses {
  std::vector<double>* out;
  void on(EpochEnded const& e) { out->push_back(e.validation_loss); }
};
struct Broken {
  static constexpr std::string_view name = "broken";
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::beta].sum() / 0.0 - event[key::beta].sum() / 0.0; }
};
/// Shifts the features by a number of its own in training, another one for each epoch and event, and counts its calls.
struct Shaken {
  static constexpr std::string_view name = "shaken";
  static constexpr bool cacheable = false;
  static inline std::atomic<int> in_training = 0, outside = 0;
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<HitFeatures>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Context const& context) const {
    ++(context.training ? in_training : outside);
    auto const& x = event[key::hit_features];
    return RecordOf<Writes>{key::hit_features = context.training ? x + at::randn({1}, context.generator()) : x};
  }
};
}  // namespace

static_assert(Callback<Recorder> && !Callback<int>);

TEST_CASE("a fit learns: the validation loss falls") {
  auto trained = fresh();
  std::vector<double> losses;
  Trainer trainer(trained, ToySource{}, std::tuple{}, settings(), Callbacks{}.add(Losses{&losses}));
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, options(30))));
  REQUIRE(losses.size() == 30);
  CHECK(losses.back() < 0.5 * losses.front());
}

TEST_CASE("callbacks hear every event in order") {
  auto trained = fresh();
  std::vector<std::string> heard;
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings(), Callbacks{}.add(Recorder{&heard}));
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, options(2)), scan<ToyClusterer>(maximise("toy_metric.right"))));
  CHECK(heard == std::vector<std::string>{"started", "fit toy_model", "epoch 0", "epoch 1", "fitted", "scanned width = 1.0", "ended"});
}

TEST_CASE("equal seeds give equal weights, another seed others") {
  auto const train = [](std::uint64_t seed) {
    Trained trained(toy_pipeline(), ToySource{}.labelled(1), seed);
    Trainer(trained, ToySource{}, std::tuple{}, settings()).run(fit<ToyModel>(ToyLoss{}, options(3)));
    return trained.clone();
  };
  auto const a = train(1), b = train(1), c = train(2);
  CHECK(same(a.tensors(), b.tensors()));
  CHECK(!same(a.tensors(), c.tensors()));
}

TEST_CASE("a training stopped anywhere and resumed gives the weights of one that was not") {
  for (auto optimiser : {Optimiser::adamw, Optimiser::adam, Optimiser::sgd}) {
    CAPTURE(int(optimiser));
    auto o = options(3);
    o.optimiser = optimiser;
    auto straight = fresh();
    CHECK(Trainer(straight, ToySource{}, std::tuple{ToyMetric{}}, settings())
              .run(fit<ToyModel>(ToyLoss{}, o), scan<ToyClusterer>(maximise("toy_metric.right"))));
    for (int stop_at : {1, 4, 7, 12}) {
      CAPTURE(stop_at);
      TempDir const folder;
      RunFolder const run(folder.path());
      int asked = 0;
      auto first = fresh();
      auto s = settings();
      s.stop = [&] { return ++asked > stop_at; };
      Trainer one(first, ToySource{}, std::tuple{ToyMetric{}}, s);
      one.on_checkpoint([&](Checkpoint const& c) { run.save(c); });
      CHECK(!one.run(fit<ToyModel>(ToyLoss{}, o), scan<ToyClusterer>(maximise("toy_metric.right"))));
      auto second = fresh();
      Trainer two(second, ToySource{}, std::tuple{ToyMetric{}}, settings());
      two.resume(*run.checkpoints().newest([](std::string const& text) { FAIL(text); }));
      CHECK(two.run(fit<ToyModel>(ToyLoss{}, o), scan<ToyClusterer>(maximise("toy_metric.right"))));
      CHECK(same(straight.tensors(), second.tensors()));
      CHECK(straight.pipeline == second.pipeline);
    }
  }
}

TEST_CASE("a scan keeps the best candidate in the trained pipeline") {
  auto trained = fresh();
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings());
  trainer.run(scan<ToyClusterer>(minimise("toy_metric.right"), {.widths = {1, 3}}));
  CHECK(trained.pipeline.get<ToyClusterer>().options.width == 3);
  trainer.run(scan<"toy_clusterer">(maximise("toy_metric.right"), ToyClusterer::Scan{}));
  CHECK(trained.pipeline.get<ToyClusterer>().options.width == 1);
}

TEST_CASE("a scan's metric that nobody measures is refused by name, before anything is trained") {
  auto trained = fresh();
  std::vector<std::string> heard;
  auto const refusal = [&](auto const& scanned, auto... metric) {
    Trainer trainer(trained, ToySource{}, std::tuple{metric...}, settings(), Callbacks{}.add(Recorder{&heard}));
    trainer.on_checkpoint([](Checkpoint const&) { FAIL("a checkpoint"); });
    try {
      trainer.run(fit<ToyModel>(ToyLoss{}, options(1)), scanned);
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      CHECK(heard.empty());
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(refusal(scan<ToyClusterer>(maximise("tracking.x")), ToyMetric{}) ==
        "toy_clusterer.scan.metric: 'tracking.x' is no figure of toy_metric.");
  CHECK(refusal(scan<ToyClusterer>(maximise("tracking.x"))) ==
        "toy_clusterer.scan.metric: 'tracking.x' is no figure of anything that is measured there");
  CHECK(refusal(scan<ToyClusterer>(maximise("")), ToyMetric{}) == "toy_clusterer.scan.metric: says no figure that the scan is to go by");
  CHECK(refusal(scan<ToyClusterer>(maximise("toy_metric.write")), ToyMetric{}) ==
        "toy_clusterer.scan.metric: there is no figure 'toy_metric.write'; the nearest is 'toy_metric.right'; there are toy_metric.right");
}

TEST_CASE("a fit leaves the other stages alone") {
  ToySource const source;
  Trained trained(Pipeline{named<"first">(ToyModel{}), ToyModel{}}, source.labelled(1), 7);
  auto const before = trained.clone();
  Trainer(trained, source, std::tuple{}, settings()).run(fit<ToyModel>(ToyLoss{}, options(2)));
  CHECK(at::equal(before.tensors().at("first.weight"), trained.tensors().at("first.weight")));
  CHECK(!at::equal(before.tensors().at("toy_model.weight"), trained.tensors().at("toy_model.weight")));
  Trainer(trained, source, std::tuple{}, settings()).run(fit<"first", "toy_model">(ToyLoss{}, options(1)));
  CHECK(!at::equal(before.tensors().at("toy_model.weight"), trained.tensors().at("toy_model.weight")));
}

TEST_CASE("a time budget decides the number of steps and is shared") {
  auto trained = fresh();
  double now = 0;
  auto s = settings();
  s.minutes = 1;
  s.clock = [&] { return now += 0.5; };
  std::vector<std::string> heard;
  std::vector<double> seconds;
  struct Watch {
    std::vector<double>* out;
    void on(FitStarted const& e) { out->push_back(e.seconds_allotted); }
    void on(TrainingEnded const& e) { out->push_back(e.seconds); }
  };
  Trainer trainer(trained, ToySource{}, std::tuple{}, s, Callbacks{}.add(Watch{&seconds}));
  auto o = options(1);
  o.share = 1;
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, o)));
  REQUIRE(seconds.size() == 2);
  CHECK(seconds[0] == doctest::Approx(60).epsilon(0.05));
  CHECK(seconds[1] > 50);
  CHECK(seconds[1] < 75);
}

TEST_CASE("a budget below one step still makes one") {
  auto trained = fresh();
  double now = 0;
  auto s = settings();
  s.minutes = 1e-6;
  s.clock = [&] { return now += 100; };
  std::int64_t steps = 0;
  struct Count {
    std::int64_t* steps;
    void on(StepEnded const&) { ++*steps; }
  };
  Trainer trainer(trained, ToySource{}, std::tuple{}, s, Callbacks{}.add(Count{&steps}));
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, options(1))));
  CHECK(steps == 1);
}

TEST_CASE("a loss that is not finite stops with event and term") {
  auto trained = fresh();
  Trainer trainer(trained, ToySource{}, std::tuple{}, settings());
  try {
    trainer.run(fit<ToyModel>(ToyLoss{} + 2.0 * Broken{}, options(1)));
    FAIL("no error");
  } catch (Error const& e) {
    std::string const what = e.what();
    CHECK(what.find("the loss of toy_model is not finite: nan at event ") != std::string::npos);
    CHECK(what.find("broken = nan") != std::string::npos);
  }
}

TEST_CASE("early stopping ends with the best weights") {
  auto trained = fresh();
  std::vector<double> losses;
  auto o = options(50);
  o.patience = 2;
  o.learning_rate = 50;  // overshoots
  o.schedule = Schedule::constant;
  Trainer trainer(trained, ToySource{}, std::tuple{}, settings(), Callbacks{}.add(Losses{&losses}));
  trainer.run(fit<ToyModel>(ToyLoss{}, o));
  REQUIRE(losses.size() < 50);
  Context const c;
  double loss = 0;
  for (auto id : {5, 6}) loss += call(ToyLoss{}, trained.run<0, 1>(ToySource{}.labelled(id), c), c).item<double>() / 2;
  CHECK(loss == doctest::Approx(*std::min_element(losses.begin(), losses.end())));
}

TEST_CASE("gradients are averaged over the events of a step") {
  auto a = fresh(), b = fresh();
  auto o = options(1);
  o.events_per_step = 3;
  std::int64_t steps = 0;
  struct Count {
    std::int64_t* steps;
    void on(StepEnded const&) { ++*steps; }
  };
  Trainer(a, ToySource{}, std::tuple{}, settings(), Callbacks{}.add(Count{&steps})).run(fit<ToyModel>(ToyLoss{}, o));
  CHECK(steps == 2);  // 3 events and the last one
}

TEST_CASE("no training events are refused") {
  auto trained = fresh();
  CHECK_THROWS_AS((Trainer{trained, ToySource{}, std::tuple{}, TrainerSettings{}}), Error);
}

TEST_CASE("the learning rate rises, falls and stays in bounds") {
  FitOptions o{.schedule = Schedule::cosine, .warmup_steps = 10, .final_rate = 0.1};
  CHECK(learning_rate_factor(o, 0, 0) == doctest::Approx(0.1));
  CHECK(learning_rate_factor(o, 9, 0) == doctest::Approx(1));
  CHECK(learning_rate_factor(o, 100, 0.5) == doctest::Approx(0.55));
  CHECK(learning_rate_factor(o, 100, 1) == doctest::Approx(0.1));
  CHECK(learning_rate_factor(o, 100, 7) == doctest::Approx(0.1));
  o.schedule = Schedule::linear;
  CHECK(learning_rate_factor(o, 100, 0.5) == doctest::Approx(0.55));
  o.schedule = Schedule::constant;
  CHECK(learning_rate_factor(o, 100, 0.9) == 1);
}

TEST_CASE("plan options stand under stage, fit and loss") {
  auto f = fit<ToyModel>(ToyLoss{}, options(3));
  auto s = scan<ToyClusterer>(maximise("toy_metric.right"));
  OptionSet set;
  add_plan_options<decltype(toy_pipeline())>(set, f);
  add_plan_options<decltype(toy_pipeline())>(set, s);
  set.at("toy_model.fit.epochs").set({"9"});
  set.at("toy_model.loss.toy_loss.weight").set({"0.5"});
  set.at("toy_clusterer.scan.widths").set({"1", "2"});
  CHECK(f.options.epochs == 9);
  CHECK(std::get<0>(f.loss.terms).weight == 0.5);
  CHECK(s.grid.widths == std::vector<double>{1, 2});
}

TEST_CASE("a stage that says cacheable = false runs at every step, as in training - the stages before it once an event") {
  Trained trained(Pipeline{Shaken{}, ToyModel{}, ToyCut{}, ToyClusterer{}}, ToySource{}.labelled(1), 7);
  Shaken::in_training = Shaken::outside = 0;
  Trainer trainer(trained, ToySource{}, std::tuple{}, settings());
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, options(3))));
  CHECK((Shaken::in_training.load()) == 3 * 4);  // epochs, training events
  CHECK((Shaken::outside.load()) == 3 * 2);      // epochs, validation events
}

TEST_CASE("a stage that is not cacheable is as ever for the fits of later models") {
  Trained trained(Pipeline{Shaken{}, ToyModel{}, named<"second">(ToyModel{}), ToyCut{}, ToyClusterer{}}, ToySource{}.labelled(1), 7);
  Trainer trainer(trained, ToySource{}, std::tuple{}, settings());
  Shaken::in_training = Shaken::outside = 0;
  CHECK(trainer.run(fit<"toy_model">(ToyLoss{}, options(1)), fit<"second">(ToyLoss{}, options(3))));
  CHECK((Shaken::in_training.load()) == 4);        // the first fit's training events
  CHECK((Shaken::outside.load()) == 2 + (4 + 2));  // its validation events; all events of the second fit, once
}

TEST_CASE("a scan stops when its share of the budget ends, at the same event for every candidate") {
  struct Used {
    std::vector<std::size_t>* out;
    void on(ScanEnded const& e) { out->push_back(e.events), out->push_back(e.of); }
  };
  for (bool slow : {false, true}) {
    auto trained = fresh();
    std::vector<std::size_t> used;
    auto s = settings();
    s.minutes = 1;
    double now = 0;
    s.clock = [&] { return now += slow ? 100 : 1e-3; };
    Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, Callbacks{}.add(Used{&used}));
    CHECK(trainer.run(scan<ToyClusterer>(maximise("toy_metric.right"))));
    CHECK(used == std::vector<std::size_t>{slow ? 1u : 2u, 2u});
    CHECK(std::get<2>(trained.pipeline.stages).options.width == 1);
  }
}
