// SPDX-License-Identifier: BSL-1.0
#include "dew/train/tensorboard.hpp"

#include <sstream>

#include "dew/train/loggers.hpp"
#include "dew/train/trainer.hpp"
#include "event_records.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
TrainerSettings settings() { return {.train = {1, 2, 3, 4}, .validate = {5, 6}}; }
TensorBoardOptions every_step() { return {.scalar_steps = 1}; }
std::vector<nlohmann::json> lines(std::filesystem::path const& file) {
  std::istringstream in(read_file(file));
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}
/// The scalars that lines of a JsonlLog stand for, as `tag step value`.
std::vector<std::string> scalars(std::vector<nlohmann::json> const& log, std::string const& stage) {
  std::vector<std::string> out;
  for (auto const& line : log) {
    if (line["stage"] != stage || (line["kind"] != "step" && line["kind"] != "epoch")) continue;
    for (auto const& [name, value] : line.items())
      if (value.is_number_float() && !name.starts_with("time_"))
        out.push_back(fmt::format(
            "{} {} {}", name.starts_with("validation.") ? "validation/" + name.substr(11) : line["kind"].get<std::string>() + "/" + name,
            line["step"].get<int>(), value.get<float>()));
  }
  std::sort(out.begin(), out.end());
  return out;
}
std::vector<std::string> scalars(std::vector<Entry> const& entries) {
  std::vector<std::string> out;
  for (auto const& e : entries)
    if (e.value.numbers.contains(2)) out.push_back(fmt::format("{} {} {}", e.tag, e.step, e.value.single(2)));
  std::sort(out.begin(), out.end());
  return out;
}
}  // namespace

TEST_CASE("TensorBoard's figures are those of the JSON lines, each stage in a folder") {
  TempDir const folder;
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  Callbacks callbacks;
  callbacks.add(JsonlLog{folder / "log.jsonl", 1}).add(TensorBoardLog{folder / "tensorboard", every_step()});
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, settings(), callbacks);
  CHECK(trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 3}), scan<ToyClusterer>(maximise("toy_metric.right"))));

  auto const log = lines(folder / "log.jsonl");
  auto const model = entries(folder / "tensorboard" / "toy_model");
  auto const expected = scalars(log, "toy_model");
  CHECK(expected.size() > 3 * (4 * 2 + 4));
  CHECK(scalars(model) == expected);
  int rates = 0;
  for (auto const& e : model) rates += e.tag == "step/learning_rate" ? 1 : 0;
  CHECK(rates == 12);
  auto const clusterer = entries(folder / "tensorboard" / "toy_clusterer");
  REQUIRE(clusterer.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(clusterer[i].tag == "scan/value");
    CHECK(clusterer[i].step == std::int64_t(i + 1));
  }
}

TEST_CASE("a training that goes on shows every step once, as one that was not stopped") {
  TempDir const folder;
  auto const train = [&](std::string const& name, std::optional<Checkpoint> from, int stop_at) {
    Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
    auto s = settings();
    int steps = 0;
    s.stop = [&] { return steps++ == stop_at; };
    Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, Callbacks{}.add(TensorBoardLog{folder / name, every_step()}));
    std::vector<Checkpoint> saved;
    trainer.on_checkpoint([&](Checkpoint const& c) {
      saved.push_back(c);
      for (auto* map : {&saved.back().weights, &saved.back().optimiser, &saved.back().best})
        for (auto& [tensor_name, t] : *map) t = t.detach().clone();
    });
    if (from) trainer.resume(std::move(*from));
    trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 4}));
    return saved;
  };
  train("whole", {}, -1);
  auto const stopped = train("parts", {}, 14);  // in the third epoch: each of four steps asks, and each of two validated events
  auto const after_epoch = std::find_if(stopped.begin(), stopped.end(), [](auto const& c) { return c.state.epoch == 2; });
  REQUIRE(after_epoch != stopped.end());
  train("parts", *after_epoch, -1);  // as if it had been killed there: steps 9 and 10 are repeated
  auto const whole = scalars(entries(folder / "whole" / "toy_model")), parts = scalars(entries(folder / "parts" / "toy_model"));
  CHECK(whole == parts);
  CHECK(std::adjacent_find(parts.begin(), parts.end()) == parts.end());
}

TEST_CASE("histograms of trained parameters and of their gradients, every n-th epoch") {
  TempDir const folder;
  auto const weight = at::tensor({1.0F, 2.0F, 2.0F}).requires_grad_(true), without = at::zeros({2}).requires_grad_(true);
  weight.mutable_grad() = at::tensor({-1.0F, std::numeric_limits<float>::quiet_NaN(), 0.5F});
  std::vector<std::pair<std::string, Tensor>> const parameters{{"model.weight", weight}, {"model.other", without}};
  std::string const stage = "model";
  {
    TensorBoardLog log{folder.path(), {.histogram_epochs = 2}};
    for (int epoch = 0; epoch < 4; ++epoch) log.on(EpochTrained{stage, epoch, 10 * (epoch + 1), parameters});
  }
  auto const all = entries(folder / "model");
  REQUIRE(all.size() == 6);
  CHECK(all[0].tag == "weights/model.weight");
  CHECK(all[0].step == 20);
  CHECK(all[0].value.message(5).real(3) == 3);
  CHECK(all[0].value.message(5).real(4) == 5);
  CHECK(all[1].tag == "gradients/model.weight");
  CHECK(all[1].value.message(5).real(1) == -1);
  CHECK(all[1].value.message(5).real(3) == 2);
  CHECK(all[2].tag == "weights/model.other");
  CHECK(all[3].step == 40);
}

TEST_CASE("the trainer tells trained parameters with their gradients and the first validated event") {
  struct Heard {
    std::vector<std::string>* out;
    void on(EpochTrained const& e) {
      for (auto const& [name, p] : e.parameters)
        out->push_back(fmt::format("{} {} {} {} {}", e.stage, e.epoch, e.step, name, p.grad().defined()));
    }
    void on(EventValidated const& e) {
      out->push_back(fmt::format("event {} {} {} {}", e.event, e.epoch, e.step, e.record.contains("beta") && !e.record.contains("label")));
    }
    void on(EpochEnded const& e) { out->push_back(fmt::format("ended {}", e.epoch)); }
  };
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  std::vector<std::string> heard;
  Trainer(trained, ToySource{}, std::tuple{}, settings(), Callbacks{}.add(Heard{&heard})).run(fit<ToyModel>(ToyLoss{}, {.epochs = 1}));
  CHECK(heard == std::vector<std::string>{"toy_model 0 4 toy_model.weight true", "toy_model 0 4 toy_model.bias true", "event 5 0 4 true",
                                          "ended 0"});
}

TEST_CASE("pictures of the validated event") {
  TempDir const folder;
  std::map<std::string, Tensor, std::less<>> const record{{"beta", at::tensor({0.5, 0.75})}, {"reconstructable", at::ones({2}, at::kBool)}};
  std::string const stage = "condenser";
  {
    TensorBoardLog log{folder.path(), {.picture_epochs = 2}};
    for (int epoch = 0; epoch < 2; ++epoch) log.on(EventValidated{stage, epoch, epoch + 1, 77, record});
  }
  auto const all = entries(folder / "condenser");
  REQUIRE(all.size() == 1);
  CHECK(all[0].tag == "event/beta");
  CHECK(all[0].step == 2);
  CHECK(all[0].value.message(4).text(4) == pictures_of(record).at(0).picture.png());
  CHECK(all[0].value.message(9).text(3).starts_with("Event 77. "));
}

TEST_CASE("what is not a number is left out, times are the clock's") {
  TempDir const folder;
  {
    TensorBoardLog log{folder.path(), {}, [] { return 1234.5; }};
    log.on(EpochEnded{"stage", 0, 3, 10, 0.5, 1e-3, 0.25, {}, std::nan(""), {{"edges.auc", std::nan("")}}, 12.5});
  }
  auto const all = entries(folder / "stage");
  REQUIRE(all.size() == 2);
  CHECK(all[0].tag == "epoch/loss");
  CHECK(all[1].tag == "epoch/learning_rate");
  std::filesystem::path const file = std::filesystem::directory_iterator(folder / "stage")->path();
  for (auto const& record : records(read_file(file))) CHECK(Fields(record).real(1) == 1234.5);
  CHECK_THROWS_AS((TensorBoardLog{folder.path(), {.scalar_steps = 0}}), Error);
}
