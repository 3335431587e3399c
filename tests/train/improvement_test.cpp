// SPDX-License-Identifier: BSL-1.0
// Learning-rate schedules, and what early stopping and the plateau go by.
#include "dew/train/improvement.hpp"

#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
struct Rates {
  std::vector<double>* steps;
  std::vector<double>* progress;
  void on(StepEnded const& e) { steps->push_back(e.learning_rate), progress->push_back(e.progress); }
};
struct Course {
  std::vector<double>* losses;
  std::vector<double>* rates;
  void on(EpochEnded const& e) { losses->push_back(e.validation_loss), rates->push_back(e.learning_rate); }
};
auto fresh() { return Trained(toy_pipeline(), ToySource{}.labelled(1), 7); }
TrainerSettings settings() { return {.train = {1, 2, 3, 4}, .validate = {5, 6}}; }
}  // namespace

TEST_CASE("one cycle has the rates of PyTorch's OneCycleLR") {
  // torch 2.15: OneCycleLR(SGD([p], 0.1), max_lr=1.0, total_steps=20, pct_start=0.3, div_factor=25, final_div_factor=1e4), get_last_lr() at
  // each step
  std::vector<double> const torch{0.040000000000000036,
                                  0.1316718427000253,
                                  0.3716718427000253,
                                  0.6683281572999747,
                                  0.9083281572999747,
                                  1.0,
                                  0.9874640062350873,
                                  0.9504846320134737,
                                  0.89091617757105,
                                  0.8117456539497631,
                                  0.7169430017913008,
                                  0.6112620219362893,
                                  0.500002,
                                  0.38874197806371075,
                                  0.28306099820869923,
                                  0.18825834605023697,
                                  0.10908782242895004,
                                  0.049519367986526286,
                                  0.012539993764912554,
                                  4e-06};
  REQUIRE(torch.size() == 20);
  // PyTorch's rise ends one step early, and its last step is the end: progress and rise as it counts them
  FitOptions const o{.schedule = Schedule::one_cycle, .warmup_steps = 7, .final_rate = 0.04e-4, .one_cycle_rise = (0.3 * 20 - 1) / 19};
  for (int s = 0; s < 20; ++s) {
    CAPTURE(s);
    CHECK(learning_rate_factor(o, s, s / 19.0) == doctest::Approx(torch[std::size_t(s)]).epsilon(1e-9));
  }
}

TEST_CASE("one cycle by its formula, at its ends and where there is no rise or no fall") {
  FitOptions o{.schedule = Schedule::one_cycle, .warmup_steps = 100, .final_rate = 0.1, .one_cycle_rise = 0.25, .one_cycle_start = 0.2};
  auto const at = [&](double p) { return learning_rate_factor(o, 0, p); };
  CHECK(at(0) == doctest::Approx(0.2));
  CHECK(at(0.125) == doctest::Approx(0.6));
  CHECK(at(0.25) == doctest::Approx(1));
  CHECK(at(0.625) == doctest::Approx(0.55));
  CHECK(at(1) == doctest::Approx(0.1));
  CHECK(at(2) == doctest::Approx(0.1));
  o.one_cycle_rise = 0;
  CHECK(at(0) == 1);
  CHECK(at(0.5) == doctest::Approx(0.55));
  o.one_cycle_rise = 1;
  CHECK(at(0.5) == doctest::Approx(0.6));
  CHECK(at(1) == 1);
}

TEST_CASE("one cycle goes by steps with epochs and by time with a budget") {
  FitOptions const o{.epochs = 5, .learning_rate = 0.5, .schedule = Schedule::one_cycle, .one_cycle_rise = 0.4};
  for (bool const timed : {false, true}) {
    CAPTURE(timed);
    auto trained = fresh();
    std::vector<double> rates, progress;
    auto s = settings();
    double now = 0;
    if (timed) s.minutes = 1, s.clock = [&] { return now += 0.25; };
    CHECK(Trainer(trained, ToySource{}, std::tuple{}, s, Callbacks{}.add(Rates{&rates, &progress})).run(fit<ToyModel>(ToyLoss{}, o)));
    REQUIRE(rates.size() >= 20);
    auto const top = std::max_element(rates.begin(), rates.end()) - rates.begin();
    CHECK(progress[std::size_t(top)] == doctest::Approx(0.4).epsilon(0.08));
    CHECK(rates.front() == doctest::Approx(0.5 * 0.04).epsilon(0.2));
    CHECK(rates.back() < 0.5 * 0.1);
    for (std::size_t i = 0; i < rates.size(); ++i) CHECK(rates[i] == doctest::Approx(0.5 * learning_rate_factor(o, 0, progress[i])));
    if (timed) CHECK(now > 55);
    else CHECK(progress[7] == doctest::Approx(7.0 / 20));
  }
}

TEST_CASE("the plateau is PyTorch's ReduceLROnPlateau with an absolute threshold") {
  // torch 2.15: ReduceLROnPlateau(SGD([p], 1.0), factor=0.5, patience=1, threshold=0.05, threshold_mode="abs", min_lr=0.2), the rate after
  // each figure
  std::vector<double> const figures{1.0, 0.9, 0.88, 0.86, 0.87, 0.87, 0.5, 0.6, 0.6, 0.6, 0.6, 0.47, 0.44, 0.44, 0.44};
  std::vector<double> const torch{1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2};
  REQUIRE(torch.size() == figures.size());
  // PyTorch's patience counts the validations that are borne, ours that with which the rate falls
  FitOptions const o{.schedule = Schedule::plateau,
                     .warmup_steps = 0,
                     .final_rate = 0.2,
                     .plateau_factor = 0.5,
                     .plateau_patience = 2,
                     .least_improvement = 0.05};
  FitOptions negative = o;
  negative.watch = "some.figure";
  Improvement falling, rising;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    CAPTURE(i);
    (void)falling.see(o, figures[i]), (void)rising.see(negative, -figures[i]);
    CHECK(learning_rate_factor(o, 9, 0.5, falling.reduced) == doctest::Approx(torch[i]));
    CHECK(rising == falling);
  }
  CHECK(falling.reduced == 0.2);
}

TEST_CASE("a plateau halves the learning rate in a fit that does not get better, and nothing else does") {
  for (auto const schedule : {Schedule::plateau, Schedule::constant}) {
    FitOptions const o{.epochs = 12, .learning_rate = 50, .schedule = schedule, .warmup_steps = 0, .plateau_patience = 2};
    auto trained = fresh();
    std::vector<double> losses, rates;
    Trainer(trained, ToySource{}, std::tuple{}, settings(), Callbacks{}.add(Course{&losses, &rates})).run(fit<ToyModel>(ToyLoss{}, o));
    Improvement expected;
    REQUIRE(rates.size() == 12);
    for (std::size_t i = 0; i < rates.size(); ++i) {  // an epoch's rate is that before its own validation
      CHECK(rates[i] == (schedule == Schedule::plateau ? 50 * expected.reduced : 50));
      (void)expected.see(o, losses[i]);
    }
    CHECK((schedule == Schedule::constant || rates.back() < 50));
  }
}

TEST_CASE("what improves by too little counts for the best weights, not for patience") {
  FitOptions const o{.patience = 2, .least_improvement = 0.1};
  Improvement i;
  CHECK(i.see(o, 1.0));
  CHECK(i.see(o, 0.95));
  CHECK(!i.over(o));
  CHECK(!i.see(o, std::nan("")));
  CHECK(!i.see(o, inf));
  CHECK(i.validations_since == 1);
  CHECK(i.see(o, 0.89));  // better than 1.0 by enough, though slowly
  CHECK(i.validations_since == 0);
  CHECK(!i.see(o, 0.9));
  CHECK(i.see(o, 0.88));
  CHECK(i.over(o));
  CHECK(i.best == 0.88);
  CHECK(i.reference == 0.89);
  CHECK(Improvement::from(nlohmann::json::parse(i.json().dump())) == i);
  CHECK(Improvement::from(nlohmann::json::parse(Improvement{}.json().dump())) == Improvement{});
}

TEST_CASE("a fit stops, and keeps the weights, by the figure that it watches") {
  // the share of right labels does not depend on the model: it never gets better after the first validation
  auto o = FitOptions{.epochs = 50, .learning_rate = 0.1, .warmup_steps = 0, .patience = 3};
  auto const epochs = [&](FitOptions const& options) {
    auto trained = fresh();
    std::vector<double> losses, rates;
    Trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings(), Callbacks{}.add(Course{&losses, &rates}))
        .run(fit<ToyModel>(ToyLoss{}, options));
    return losses.size();
  };
  auto const by_loss = epochs(o);
  CHECK(by_loss > 10);
  o.watch = "toy_metric.right";
  CHECK(epochs(o) == 4);
  o.watch = "loss.toy_loss";  // falls, and the largest is asked for
  CHECK(epochs(o) < 8);
  o.maximise = false;
  CHECK(epochs(o) == by_loss);
  o.least_improvement = 1;
  CHECK(epochs(o) == 4);
}

TEST_CASE("a watched figure that is not measured behind the fit is refused before the first step") {
  int steps = 0;
  struct Count {
    int* steps;
    void on(StepEnded const&) { ++*steps; }
  };
  auto const refusal = [&](std::string const& watch, FitOptions o = {.epochs = 2}) {
    o.watch = watch;
    steps = 0;
    auto trained = Trained(Pipeline{ToyModel{}, named<"second">(ToyModel{}), ToyCut{}, ToyClusterer{}}, ToySource{}.labelled(1), 7);
    try {
      Trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings(), Callbacks{}.add(Count{&steps}))
          .run(fit<"toy_model">(ToyLoss{}, o));
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(refusal("loss.toy_loss") == "none");
  CHECK(refusal("toy_metric.right") ==
        "toy_model.fit.watch: 'toy_metric.right' is no figure of loss.toy_loss");  // another stage learns before it
  CHECK(steps == 0);
  CHECK(refusal("los.toy_loss") == "toy_model.fit.watch: 'los.toy_loss' is no figure of loss.toy_loss");
  CHECK(refusal("", {.one_cycle_rise = 1.5}) == "toy_model.fit.one_cycle_rise: expected a share from 0 to 1, got 1.5");
  CHECK(refusal("", {.one_cycle_start = 0}) == "toy_model.fit.one_cycle_start: expected a share above 0 and at most 1, got 0");
  CHECK(refusal("", {.plateau_factor = 1}) == "toy_model.fit.plateau_factor: expected a factor between 0 and 1, got 1");
  CHECK(refusal("", {.plateau_patience = 0}) == "toy_model.fit.plateau_patience: expected at least 1, got 0");
  CHECK(refusal("", {.least_improvement = -1}) == "toy_model.fit.least_improvement: expected 0 or more, got -1");
  CHECK(refusal("", {.minutes_max = -1}) == "toy_model.fit.minutes_max: expected 0 or more, got -1");
  CHECK(steps == 0);

  auto trained = fresh();
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings(), Callbacks{}.add(Count{&steps}));
  CHECK_THROWS_WITH_AS(
      trainer.run(fit<ToyModel>(ToyLoss{}, {.watch = "toy_metric.write"})),
      "toy_model.fit.watch: there is no figure 'toy_metric.write'; the nearest is 'toy_metric.right'; there are toy_metric.right", Error);
  CHECK(steps == 0);
}

TEST_CASE("a fit ends at its first step after its time limit, which counts across interruptions") {
  auto s = settings();
  double now = 0;
  s.clock = [&] { return now += 1; };
  std::vector<double> losses, rates;
  std::optional<Checkpoint> saved;
  auto const plan = fit<ToyModel>(ToyLoss{}, {.epochs = 1000, .minutes_max = 1});
  auto one = fresh();
  s.stop = [&] { return now > 30; };
  Trainer before(one, ToySource{}, std::tuple{}, s, Callbacks{}.add(Course{&losses, &rates}));
  before.on_checkpoint([&](Checkpoint const& c) { saved = c; });
  CHECK(!before.run(plan));
  REQUIRE(saved);
  double const spent = saved->state.seconds;
  CHECK(spent > 25);
  now = 5000, s.stop = [] { return false; };
  auto two = fresh();
  Trainer after(two, ToySource{}, std::tuple{}, s, Callbacks{}.add(Course{&losses, &rates}));
  after.resume(*saved);
  CHECK(after.run(plan));
  CHECK(now - 5000 == doctest::Approx(60 - spent).epsilon(0.25));
  CHECK(losses.size() < 30);
  CHECK(std::isfinite(losses.back()));  // validated where it ended
}
