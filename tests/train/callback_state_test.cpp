// SPDX-License-Identifier: BSL-1.0
// Callbacks whose state survives an interruption, and which `on` is taken for one.
#include "dew/train/callback_state.hpp"

#include "dew/train/trainer.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// A running mean of the loss, with the number of steps and the last weights that it has seen.
struct RunningMean {
  static constexpr std::string_view name = "running_mean";
  std::vector<std::string>* out;
  double mean = 0;
  std::int64_t steps = 0;
  Tensor seen = at::zeros({1});
  void on(StepEnded const& e) { mean = 0.9 * mean + 0.1 * e.loss, ++steps; }
  void on(EpochTrained const& e) { seen = e.parameters.front().second.detach().clone(); }
  void on(EpochEnded const& e) { out->push_back(fmt::format("{} {} {:a} {:a}", e.epoch, steps, mean, seen.sum().item<double>())); }
  CallbackState state() const { return {.values = {{"mean", mean}, {"steps", steps}}, .tensors = {{"seen", seen}}}; }
  void restore(CallbackState const& kept) {
    kept.values.at("mean").get_to(mean), kept.values.at("steps").get_to(steps);
    seen = kept.tensors.at("seen").clone();
  }
};
struct Plain {
  void on(EpochEnded const&) {}
};
static_assert(KeepsState<RunningMean> && !KeepsState<Plain>);

auto fresh() { return Trained(toy_pipeline(), ToySource{}.labelled(1), 7); }
struct Saved {
  std::string bytes;
  std::size_t told;
};
/// Trains with a checkpoint after every step; `from` is a checkpoint's bytes or nothing.
std::vector<std::string> train(std::string const& from, std::vector<Saved>* saved, Callbacks const& more, std::vector<std::string>& told,
                               std::vector<std::string>* warnings = nullptr) {
  TempDir const folder;
  TrainerSettings s{.train = {1, 2, 3, 4}, .validate = {5, 6}};
  s.checkpoint.every_steps = 1;
  s.warn = [&](std::string const& text) {
    if (warnings) warnings->push_back(text);
    else FAIL(text);
  };
  auto trained = fresh();
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, more);
  trainer.on_checkpoint([&](Checkpoint const& c) {
    if (saved) saved->push_back({checkpoint_bytes(c), told.size()});
  });
  if (!from.empty()) {
    write_file_atomically(folder / "c", from);
    trainer.resume(read_checkpoint(folder / "c"));
  }
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 3, .schedule = Schedule::plateau, .plateau_patience = 1})));
  return told;
}
/// Counts what is told of an epoch.
struct Epochs {
  static constexpr std::string_view name = "epochs";
  std::array<int, 3>* out;
  std::array<int, 3> count{};
  void on(EpochTrained const&) { ++count[0]; }
  void on(EventValidated const&) { ++count[1]; }
  void on(EpochEnded const&) { ++count[2]; }
  void on(TrainingEnded const&) { *out = count; }
  CallbackState state() const { return {.values = {{"count", count}}}; }
  void restore(CallbackState const& kept) { kept.values.at("count").get_to(count); }
};
struct Everything {
  int* heard;
  void on(auto const&) { ++*heard; }
};
struct TwoEvents {
  void on(StepEnded const&) {}
  void on(EpochEnded) const {}
};
struct Misspelt;
struct OneWrong {
  void on(StepEnded const&) {}
  void on(Misspelt const&) {}
};
struct TwoWrong {
  void on(StepEnded const&) {}
  void on(Misspelt const&) {}
  void on(Plain&) {}
};
struct WrongByValue {
  void on(StepEnded const&) {}
  void on(int) {}
};
struct Inherits : TwoEvents {
  using TwoEvents::on;
  void on(ScanEnded const&) {}
};
struct Final final {
  void on(StepEnded const&) {}
};
struct NotConst {
  void on(StepEnded const&) {}
  void on(EpochEnded&) {}
};
}  // namespace

TEST_CASE("a callback that counts epochs counts right, wherever the training is stopped") {
  TempDir const folder;
  auto const train = [&](int stop_at, std::optional<Checkpoint> from, std::array<int, 3>& counted) {
    auto trained = fresh();
    TrainerSettings s{.train = {1, 2}, .validate = {5, 6}};
    int asked = 0;
    s.stop = [&] { return asked++ >= stop_at; };
    Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, Callbacks{}.add(Epochs{.out = &counted}));
    std::string last;
    trainer.on_checkpoint([&](Checkpoint const& c) { last = checkpoint_bytes(c); });
    if (from) trainer.resume(std::move(*from));
    bool const finished = trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 3}));
    write_file_atomically(folder / "c", last);
    return finished;
  };
  int stopped = 0;
  for (int stop_at = 0;; ++stop_at) {
    CAPTURE(stop_at);
    std::array<int, 3> counted{};
    if (train(stop_at, {}, counted)) break;
    ++stopped;
    CHECK(train(1000, read_checkpoint(folder / "c"), counted));
    CHECK(counted == std::array{3, 3, 3});
  }
  CHECK(stopped == 3 * (2 + 2));
}

TEST_CASE("an on for something that is no event is told from those that are") {
  using dew::detail::every_on_is_for_an_event;
  static_assert(every_on_is_for_an_event<TwoEvents>() && every_on_is_for_an_event<Inherits>() && every_on_is_for_an_event<Final>() &&
                every_on_is_for_an_event<Everything>() && every_on_is_for_an_event<RunningMean>() && every_on_is_for_an_event<Plain>());
  static_assert(!every_on_is_for_an_event<OneWrong>() && !every_on_is_for_an_event<TwoWrong>() &&
                !every_on_is_for_an_event<WrongByValue>());
  static_assert(dew::detail::TrainingEvents::changed_by<NotConst> && !dew::detail::TrainingEvents::changed_by<TwoEvents>);
  int heard = 0;
  Callbacks callbacks;
  callbacks.add(Everything{&heard}).add(Inherits{}).add(Final{});
  callbacks.tell(TrainingEnded{1, false});
  callbacks.tell(TrainingStarted{1, 1, 1, "cpu", 1});
  CHECK(heard == 2);
}

TEST_CASE("a callback's state comes back at every checkpoint, as if nothing had been") {
  std::vector<std::string> whole;
  std::vector<Saved> saved;
  train("", &saved, Callbacks{}.add(RunningMean{&whole}), whole);
  REQUIRE(whole.size() == 3);
  REQUIRE(saved.size() > 12);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    CAPTURE(i);
    std::vector<std::string> resumed(whole.begin(), whole.begin() + std::ptrdiff_t(saved[i].told));
    train(saved[i].bytes, nullptr, Callbacks{}.add(RunningMean{&resumed}), resumed);
    CHECK(resumed == whole);
  }
}

TEST_CASE("a checkpoint with other callbacks is gone on with, with a warning for each") {
  std::vector<std::string> told, warnings;
  std::vector<Saved> saved;
  train("", &saved, Callbacks{}.add(RunningMean{&told}).add(RunningMean{&told}), told);
  auto const middle = saved[6].bytes;
  train(middle, nullptr, Callbacks{}.add(Plain{}), told, &warnings);
  CHECK(warnings ==
        std::vector<std::string>{"the checkpoint has a state of a callback 'running_mean', which is not here: it is dropped",
                                 "the checkpoint has a state of a callback 'running_mean (2)', which is not here: it is dropped"});
  warnings.clear();
  train("", &(saved = {}), Callbacks{}, told);
  train(saved[6].bytes, nullptr, Callbacks{}.add(RunningMean{&told}), told, &warnings);
  CHECK(warnings == std::vector<std::string>{"the checkpoint has no state of the callback 'running_mean': it starts afresh"});
}
