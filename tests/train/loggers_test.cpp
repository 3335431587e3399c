// SPDX-License-Identifier: BSL-1.0
#include "dew/train/loggers.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
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

TEST_CASE("progress tells every part of a training, and a step every ten seconds") {
  TempDir const folder;
  auto const file = folder.path() / "out.txt";
  auto* out = std::fopen(file.c_str(), "w");
  double now = 100;
  Progress progress(out, [&] { return now; });
  Figures const terms;
  std::string const stage = "condenser";
  progress.on(TrainingStarted{2, 30, 4, "cpu", 3});
  progress.on(FitStarted{stage, 10, 0, 90});  // by the clock
  std::int64_t step = 0;
  for (double const at : {109.0, 110.0, 119.0, 121.0}) {
    now = at;
    progress.on(StepEnded{stage, 0, 0, ++step, 0.25, 0.5, 1e-3, terms});
  }
  auto ended = epoch(0);
  ended.epochs = 0, ended.validation_loss = std::nan("");
  ended.validation = {{"edges.auc", 0.5}, {"edges.mcc", 0.6}, {"tracking.pt0.9.double_majority", 0.7}, {"tracking.pt0.9.perfect", 0.8}};
  progress.on(ended);
  progress.on(ScanEnded{"dbscan", "m", "eps = 1", 0.5, 3, 1.5, 2, 2});
  progress.on(ScanEnded{"dbscan", "m", "eps = 1", 0.5, 3, 1.5, 2, 7});
  progress.on(TrainingEnded{61, false});
  progress.on(TrainingEnded{61, true});
  std::fclose(out);
  CHECK(lines(file) == std::vector<std::string>{
                           "training on 30 events, validating on 4 (cpu, 3 threads)", "condenser: 10 parameters, 1.5 minutes",
                           "condenser [#####...............]  25 %  epoch 1  step 2  loss 0.5000",
                           "condenser [#####...............]  25 %  epoch 1  step 4  loss 0.5000",
                           "stage epoch 1: loss 0.2500, edges.auc 0.5000, tracking.pt0.9.double_majority 0.7000, tracking.pt0.9.perfect "
                           "0.8000 (12 s)",
                           "dbscan: 3 candidates, best eps = 1 with m 0.5000 (2 s)",
                           "dbscan: 3 candidates on 2 of 7 events, best eps = 1 with m 0.5000 (2 s)", "trained after 61 s",
                           "stopped after 61 s"});
}

TEST_CASE("on a terminal the line of a step is written over") {
  int const terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) {
    std::cout << "[skipped] no terminals here\n";
    return;
  }
  auto* out = ::fdopen(::open(::ptsname(terminal), O_RDWR | O_NOCTTY), "w");
  REQUIRE(out != nullptr);
  double now = 0;
  Progress progress(out, [&] { return now; });
  Figures const terms;
  std::string const stage = "s";
  for (double const at : {0.3, 0.4, 0.6}) {  // at most five a second
    now = at;
    progress.on(StepEnded{stage, 0, 2, std::int64_t(10 * at), 1, 0.5, 1e-3, terms});
  }
  progress.on(TrainingEnded{1, false});
  progress.on(TrainingEnded{2, false});
  std::fclose(out);
  std::string said;
  std::array<char, 512> bytes{};
  for (ssize_t count = 0; (count = ::read(terminal, bytes.data(), bytes.size())) > 0;) said.append(bytes.data(), std::size_t(count));
  ::close(terminal);
  std::string const bar = "\rs [####################] 100 %  epoch 1/2  step ";
  CHECK(said == bar + "3  loss 0.5000\033[K" + bar + "6  loss 0.5000\033[K\r\033[Ktrained after 1 s\r\ntrained after 2 s\r\n");
}

TEST_CASE("an epoch, a candidate and a scan as JSON, an epoch without validation as CSV") {
  TempDir const folder;
  auto const file = folder.path() / "log.jsonl";
  JsonlLog log{file};
  log.on(epoch(2));
  CHECK(lines(file).size() == 1);  // a line is in the file as soon as it is told
  log.on(ScanTried{"dbscan", "eps = 1", std::nan(""), 1, 3});
  log.on(ScanEnded{"dbscan", "m", "eps = 1", 0.5, 3, 1.5, 2, 7});
  auto const all = lines(file);
  REQUIRE(all.size() == 3);
  CHECK(all[0].starts_with(R"({"kind":"epoch","stage":"stage","epoch":2,"step":30,"loss":0.25,"loss.focal":0.25,"validation.loss":0.5,)"
                           R"("validation.edges.auc":null,"learning_rate":0.001,"time_s":12.5)"));
  CHECK(all[1] == R"({"kind":"scan","stage":"dbscan","options":"eps = 1","value":null})");
  CHECK(all[2] == R"({"kind":"scanned","stage":"dbscan","metric":"m","best":"eps = 1","value":0.5,"events":2,"time_s":1.5})");
  auto unvalidated = epoch(0);
  unvalidated.validation_loss = std::nan("");
  CsvLog csv{folder / "log.csv"};
  csv.on(unvalidated);
  CHECK(lines(folder / "log.csv").back() == "stage,0,10,0.25,,0.001,12.5");
  csv.on(epoch(1));
  CHECK(lines(folder / "log.csv").size() == 3);  // one heading
}

TEST_CASE("a log that cannot be written is an error that names it") {
  TempDir const folder;
  CHECK_THROWS_AS(JsonlLog{folder.path() / "no" / "log.jsonl"}, Error);
}

TEST_CASE("a log that cannot grow is an error at once") {
  CHECK_THROWS_WITH_AS(JsonlLog{"/dev/full"}.on(epoch(0)), "/dev/full: cannot be written (is the disk full?)", Error);
}
