// SPDX-License-Identifier: BSL-1.0
#include "dew/train/loggers.hpp"

#include <sstream>

#include "dew/core/file.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
EpochEnded epoch(int n) {
  return {"stage", n, 3, 10 * (n + 1), 0.5, 1e-3, 0.25, {{"focal", 0.25}}, 0.5, {{"edges.auc", std::nan("")}}, 12.5};
}
std::vector<std::string> lines(std::filesystem::path const& file) {
  std::istringstream in(read_file(file));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
}  // namespace

TEST_CASE("JSON lines parse, hold null for what is not a number, and clock values in time_ keys alone") {
  TempDir const folder;
  auto const file = folder.path() / "log.jsonl";
  {
    Callbacks callbacks;
    callbacks.add(JsonlLog{file, 2});
    Figures const terms{{"focal", 0.5}};
    std::string const stage = "stage";
    for (std::int64_t s = 1; s <= 4; ++s) callbacks.tell(StepEnded{stage, 0, 3, s, 0.1, 0.5, 1e-3, terms, 0.75});
    auto worked = epoch(0);
    worked.work = {.steps = 2, .events = 4, .hits = 8, .edges = 16, .seconds = {1, 2, 3, 2, 2}, .elapsed = 10};
    callbacks.tell(worked);
    callbacks.tell(ScanEnded{"dbscan", "m", "eps = 1", 0.5, 3, 1.5, 2, 2});
  }
  auto const all = lines(file);
  REQUIRE(all.size() == 4);  // every second step, an epoch, a scan
  auto const e = nlohmann::json::parse(all[2]);
  CHECK(e["loss.focal"] == 0.25);
  CHECK(e["validation.edges.auc"].is_null());
  CHECK(e["learning_rate"] == 1e-3);
  CHECK(e["time_s"] == 12.5);
  CHECK(e["time_events_per_s"] == 0.5);
  CHECK(e["time_share_validation"] == 0.2);
  CHECK(all[0] ==
        R"({"kind":"step","stage":"stage","epoch":0,"step":2,"loss":0.5,"loss.focal":0.5,"learning_rate":0.001,"gradient_norm":0.75})");
}

TEST_CASE("the CSV has one heading, also when a run goes on") {
  TempDir const folder;
  auto const file = folder.path() / "log.csv";
  CsvLog{file}.on(epoch(0));
  CsvLog{file}.on(epoch(1));
  auto const all = lines(file);
  REQUIRE(all.size() == 3);
  CHECK(all[0] == "stage,epoch,step,loss,validation_loss,learning_rate,time_s");
  CHECK(all[2] == "stage,1,20,0.25,0.5,0.001,12.5");
}

TEST_CASE("progress shows stage, epoch and loss where there is no terminal") {
  TempDir const folder;
  auto const file = folder.path() / "out.txt";
  auto* out = std::fopen(file.c_str(), "w");
  double now = 0;
  Progress progress(out, [&] { return now; });
  Figures const terms;
  std::string const stage = "condenser";
  progress.on(FitStarted{stage, 1234, 3, 0});
  progress.on(StepEnded{stage, 0, 3, 1, 0.1, 0.5, 1e-3, terms});
  now = 11;
  progress.on(StepEnded{stage, 0, 3, 2, 0.5, 0.5, 1e-3, terms});
  progress.on(epoch(0));
  std::fclose(out);
  auto const all = lines(file);
  REQUIRE(all.size() == 3);
  CHECK(all[0] == "condenser: 1234 parameters, 3 epochs");
  CHECK(all[1].find("50 %  epoch 1/3  step 2  loss 0.5000") != std::string::npos);
  CHECK(all[2].find("loss 0.2500, validation 0.5000") != std::string::npos);
}

TEST_CASE("a log that cannot be written is an error that names it") {
  TempDir const folder;
  CHECK_THROWS_AS(JsonlLog{folder.path() / "no" / "log.jsonl"}, Error);
}
