// SPDX-License-Identifier: BSL-1.0
// Exploding gradients, steps that fail, and what repeats them.
#include "dew/train/gradient_watch.hpp"

#include "dew/train/trainer.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// NaN on one event, from its second epoch on; off where a test says so.
struct NotANumber {
  static constexpr std::string_view name = "not_a_number";
  static inline bool on = true;
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event, Context const& c) const {
    auto const sum = event[key::beta].sum();
    return on && c.event == 3 && c.epoch == 1 ? sum * std::nan("") : sum * 0;
  }
};
/// A finite loss whose gradient is NaN on one event: the root of 0.
struct RootOfZero {
  static constexpr std::string_view name = "root_of_zero";
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event, Context const& c) const {
    auto const sum = event[key::beta].sum();
    return c.event == 2 && c.epoch == 1 ? (sum * 0).sqrt() : sum * 0;
  }
};
/// Writes infinite features for one hit of one event, in training.
struct Spoiled {
  static constexpr std::string_view name = "spoiled";
  static constexpr bool cacheable = false;
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<HitFeatures>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Context const& c) const {
    auto x = event[key::hit_features].clone();
    if (c.training && c.event == 4) x[5][0] = std::numeric_limits<float>::infinity();
    return RecordOf<Writes>{key::hit_features = x};
  }
};

struct Square {
  static constexpr std::string_view name = "square";
  using Reads = Keys<Beta, HitFeatures>;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::hit_features].square().mean() + 0 * event[key::beta].sum(); }
};

struct Failure {
  std::string what;
  std::vector<std::string> warnings;
  std::filesystem::path file;  ///< the reproducer
};
template <class P, class Part>
Failure failure_of(TempDir const& folder, P const& pipeline, Part const& part, std::vector<std::int64_t> const& events = {1, 2, 3, 4}) {
  Failure out;
  Trained trained(pipeline, ToySource{}.labelled(1), 7);
  GradientWatch watch(
      folder / "failed", {}, [&](std::string const& text) { out.warnings.push_back(text); },
      [](std::string const& file) { return "again " + file; });
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, {.train = events, .validate = {5, 6}}, Callbacks{}.add(std::move(watch)));
  try {
    trainer.run(part);
    FAIL("no error");
  } catch (Error const& e) { out.what = e.what(); }
  for (auto const& entry : std::filesystem::directory_iterator(folder / "failed")) out.file = entry.path();
  return out;
}
/// What repeating the failed step says: the error, or "loss".
template <class P, class Part>
std::string again(std::filesystem::path const& file, P const& pipeline, Part const& part,
                  std::vector<std::int64_t> const& events = {1, 2, 3, 4}) {
  Trained trained(pipeline, ToySource{}.labelled(1), 99);  // other weights: those of the file count
  auto const failed = read_checkpoint(file);
  Trained saved = load(pipeline, file);
  Trainer trainer(saved, ToySource{}, std::tuple{ToyMetric{}}, {.train = events, .validate = {5, 6}});
  try {
    return std::isfinite(trainer.reproduce(failed, part)) ? "loss" : "no error";
  } catch (Error const& e) { return e.what(); }
}
StepEnded step(std::string const& stage, int epoch, std::int64_t number, double norm) {
  static Figures const terms;
  return {stage, epoch, 3, number, 0.1, 0.5, 1e-3, terms, norm};
}
}  // namespace

TEST_CASE("a loss that becomes NaN on one event leaves what fails again in the same way") {
  TempDir const folder;
  auto const plan = fit<ToyModel>(ToyLoss{} + NotANumber{}, {.epochs = 3, .events_per_step = 2});
  auto const f = failure_of(folder, toy_pipeline(), plan);
  CHECK(f.what.starts_with("the loss of toy_model is not finite: nan at event 3, epoch 1, step "));
  CHECK(f.what.find("(toy_loss = 0.") != std::string::npos);
  CHECK(f.what.find("not_a_number = nan); all weights and all tensors of its record are finite") != std::string::npos);
  CHECK(f.file.filename().string().starts_with("toy_model-step"));
  CHECK(f.file.filename().string().ends_with("-event3.safetensors"));
  CHECK(f.warnings == std::vector{fmt::format("what repeats the failed step is in {0}; repeat it with: again {0}", f.file.string())});

  CHECK(again(f.file, toy_pipeline(), plan) == f.what);
  NotANumber::on = false;
  CHECK(again(f.file, toy_pipeline(), plan) == "loss");
  NotANumber::on = true;
  auto const other = fit<ToyModel>(ToyLoss{} + NotANumber{}, {.epochs = 4, .events_per_step = 2});
  CHECK(again(f.file, toy_pipeline(), other) == "the failed step: is of another training:\n  toy_model.fit.epochs: 3 there, 4 here");

  // it holds the event as the step saw it, and no more than is needed
  auto const saved = read_checkpoint(f.file);
  CHECK(saved.failed_event == 3);
  CHECK(saved.record.at("hit_features").sizes() == at::IntArrayRef{13, 1});
  CHECK(saved.optimiser.empty());
}

TEST_CASE("a gradient that is not finite is found by event, parameter and term, though the loss is") {
  for (double const clip : {1.0, 0.0}) {
    TempDir const folder;
    auto const plan = fit<ToyModel>(ToyLoss{} + RootOfZero{}, {.epochs = 3, .events_per_step = 4, .clip_norm = clip});
    auto const f = failure_of(folder, toy_pipeline(), plan);
    CHECK(f.what ==
          "the gradient of toy_model is not finite at event 2, epoch 1, step 1, though the loss is; the first parameter whose gradient is "
          "not: "
          "toy_model.weight [1]: 1 of 1 numbers, the first at [0] nan; through the terms: root_of_zero");
    CHECK(f.file.filename() == "toy_model-step1-event2.safetensors");
    CHECK(again(f.file, toy_pipeline(), plan) == f.what);
  }
}

TEST_CASE("the first tensor of the record that is not finite is named") {
  TempDir const folder;
  auto const pipeline = Pipeline{Spoiled{}, ToyModel{}, ToyCut{}, ToyClusterer{}};
  auto const plan = fit<ToyModel>(Square{}, {.epochs = 3});
  auto const f = failure_of(folder, pipeline, plan);
  CHECK(f.what.starts_with("the loss of toy_model is not finite: "));
  CHECK(f.what.ends_with("; the first tensor of its record that is not: hit_features [13, 1]: 1 of 13 numbers, the first at [5, 0] inf"));
  CHECK(again(f.file, pipeline, plan) == f.what);
}

TEST_CASE("the first number that is none is found in any tensor") {
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(first_not_finite({}).empty());
  CHECK(first_not_finite({{"a", at::ones({2})}, {"b", Tensor()}, {"c", at::zeros({0, 3})}, {"d", at::ones({2}, at::kLong)}}).empty());
  auto x = at::zeros({2, 3, 4});
  x[1][0][2] = -std::numeric_limits<float>::infinity();
  x[1][2][0] = nan;
  CHECK(first_not_finite({{"a", at::ones({2})}, {"x", x}}) == "x [2, 3, 4]: 2 of 24 numbers, the first at [1, 0, 2] -inf");
  CHECK(first_not_finite({{"t", x.transpose(0, 2)}}) == "t [4, 3, 2]: 2 of 24 numbers, the first at [0, 2, 1] nan");
  CHECK(first_not_finite({{"s", at::full({}, nan)}}) == "s []: 1 of 1 numbers, the first at [] nan");
}

TEST_CASE("a checkpoint of no failed step is refused") {
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  Trainer trainer(trained, ToySource{}, std::tuple{}, {.train = {1}});
  CHECK_THROWS_WITH_AS(trainer.reproduce(Checkpoint{}, fit<ToyModel>(ToyLoss{})),
                       "this checkpoint is of no failed step: there is nothing to reproduce", Error);
}

TEST_CASE("exploding gradients are warned of once an epoch, against the median of the steps before") {
  std::vector<std::string> warnings;
  GradientWatch watch("none", {.gradient_factor = 10, .gradient_window = 12}, [&](std::string const& text) { warnings.push_back(text); });
  std::string const stage = "model", other = "other";
  std::int64_t n = 0;
  watch.on(step(stage, 0, ++n, 100));  // no median yet
  for (int i = 0; i < 10; ++i) watch.on(step(stage, 0, ++n, 1 + 0.1 * i));
  CHECK(warnings.empty());
  watch.on(step(stage, 0, ++n, 14));  // ten times 1.5, the median of 11, is not passed
  CHECK(warnings.empty());
  watch.on(step(stage, 0, ++n, std::numeric_limits<double>::infinity()));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == "model: the gradient's norm at step 13 is inf, inf times the median of the 12 steps before");
  watch.on(step(stage, 0, ++n, 1e6));
  CHECK(warnings.size() == 1);

  GradientWatch resumed("none", {.gradient_factor = 10, .gradient_window = 12}, [&](std::string const& text) { warnings.push_back(text); });
  auto const kept = watch.state();
  resumed.restore({.values = nlohmann::json::parse(kept.values.dump())});
  CHECK(resumed.state().values == kept.values);
  CHECK(kept.values["norms"].size() == 12);
  resumed.on(step(stage, 0, ++n, 1e6));  // the epoch has had its warning
  CHECK(warnings.size() == 1);
  resumed.on(step(stage, 1, ++n, 30));
  CHECK(warnings.size() == 2);
  resumed.on(step(other, 0, ++n, 1e9));  // another fit has a median of its own
  CHECK(warnings.size() == 2);
}

TEST_CASE("the norm told is that before clipping") {
  struct Norms {
    std::vector<double>* out;
    void on(StepEnded const& e) { out->push_back(e.gradient_norm); }
  };
  auto const first = [](double clip) {
    std::vector<double> norms;
    Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
    Trainer(trained, ToySource{}, std::tuple{}, {.train = {1, 2}}, Callbacks{}.add(Norms{&norms}))
        .run(fit<ToyModel>(1000 * ToyLoss{}, {.epochs = 1, .clip_norm = clip}));
    REQUIRE(norms.size() == 2);
    return norms.front();
  };
  CHECK(first(1) > 1);
  CHECK(first(0) == doctest::Approx(first(1)));
  CHECK(first(1e9) == doctest::Approx(first(1)));
}
