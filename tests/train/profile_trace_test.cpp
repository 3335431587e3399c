// SPDX-License-Identifier: BSL-1.0
#include "dew/train/profile_trace.hpp"

#include "dew/train/trainer.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// How often each name stands in a trace as a range.
std::map<std::string, int> ranges(std::filesystem::path const& file) {
  auto const json = nlohmann::json::parse(read_file(file));
  std::map<std::string, int> out;
  for (auto const& event : json.at("traceEvents"))
    if (event.value("ph", "") == "X") {
      CHECK(event.at("dur").get<double>() >= 0);
      ++out[event.at("name").get<std::string>()];
    }
  return out;
}
std::vector<std::string> traces(std::filesystem::path const& folder) {
  std::vector<std::string> out;
  if (std::filesystem::exists(folder))
    for (auto const& entry : std::filesystem::directory_iterator(folder)) out.push_back(entry.path().filename().string());
  return out;
}
void train(std::filesystem::path const& folder, std::int64_t first, std::int64_t last, int stop_at = -1,
           std::optional<Checkpoint> from = {}, std::vector<Checkpoint>* saved = nullptr) {
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  TrainerSettings s{.train = {1, 2, 3, 4}, .validate = {5, 6}};
  int steps = 0;
  s.stop = [&] { return steps++ == stop_at; };
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, Callbacks{}.add(ProfileTrace{folder, first, last}));
  trainer.on_checkpoint([&](Checkpoint const& c) {
    if (saved) saved->push_back(c);
  });
  if (from) trainer.resume(std::move(*from));
  trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 2}));
}
}  // namespace

TEST_CASE("a trace of chosen steps names operations, phases and stages") {
  TempDir const folder;
  train(folder / "p", 2, 4);
  REQUIRE(traces(folder / "p") == std::vector<std::string>{"toy_model-steps2-4.json"});
  auto const found = ranges(folder / "p" / "toy_model-steps2-4.json");
  auto const times = [&](std::string const& name) { return found.contains(name) ? found.at(name) : 0; };
  CHECK(times("data") == 3);
  CHECK(times("forward") == 3);
  CHECK(times("backward") == 3);
  CHECK(times("optimiser") == 3);
  CHECK(times("toy_model") == 3);
  CHECK(times("validation") == 0);  // the epoch's is after step 4
  CHECK(times("aten::mv") >= 3);
  CHECK(times("MvBackward0") == 3);
}

TEST_CASE("steps across epochs, from the first one on, and behind the end of a fit") {
  TempDir const folder;
  train(folder / "p", 1, 100);
  auto const found = ranges(folder / "p" / "toy_model-steps1-100.json");
  CHECK(found.at("optimiser") == 8);
  CHECK(found.at("validation") == 2);
  CHECK(found.at("toy_clusterer") == 4);
  train(folder / "q", 10, 11);
  CHECK(traces(folder / "q").empty());
}

TEST_CASE("a training that goes on among the chosen steps records the rest of them") {
  TempDir const folder;
  std::vector<Checkpoint> saved;
  train(folder / "p", 2, 6, 3, {}, &saved);
  CHECK(ranges(folder / "p" / "toy_model-steps2-6.json").at("optimiser") == 2);  // steps 2 and 3
  train(folder / "p", 2, 6, -1, saved.back());
  CHECK(ranges(folder / "p" / "toy_model-steps2-6.json").at("optimiser") == 3);  // steps 4 to 6
}

TEST_CASE("steps as people write them") {
  CHECK(parse_steps("100-110") == std::pair<std::int64_t, std::int64_t>{100, 110});
  CHECK(parse_steps("7") == std::pair<std::int64_t, std::int64_t>{7, 7});
  for (auto const* wrong : {"", "x", "0", "3-2", "1-", "1-2-3", "-3", "1,2", "1 - 2"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_steps(wrong), Error);
  }
  CHECK_THROWS_AS((ProfileTrace{"x", 3, 2}), Error);
}
