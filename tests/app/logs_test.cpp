// SPDX-License-Identifier: BSL-1.0
#include "dew/app/logs.hpp"

#include <fstream>

#include "support/path_variable.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// The loggers' options after a command line.
Logs after(std::vector<std::string> words) {
  Logs logs;
  OptionSet options;
  logs.add_to(options);
  CLI::App cli;
  add_log_flags(&cli, [&](std::string const& path, std::string const& word) { options.at(path).set({word}); });
  std::reverse(words.begin(), words.end());
  cli.parse(words);
  return logs;
}
}  // namespace

TEST_CASE("each flag of the loggers sets its option") {
  auto const none = after({});
  CHECK(!none.options.tensorboard);
  CHECK(!none.wandb.on());
  CHECK(after({"--tensorboard"}).options.tensorboard);
  CHECK(after({"--wandb"}).wandb == WandbOptions{.wandb = WandbMode::online});
  CHECK(after({"--wandb-offline", "--wandb-project", "p", "--wandb-entity", "e", "--wandb-name", "n"}).wandb ==
        WandbOptions{.wandb = WandbMode::offline, .wandb_project = "p", .wandb_entity = "e", .wandb_name = "n"});
  auto const osh = after({"--wandb-osh", "~/farm", "--wandb-osh-delay", "2.5"}).wandb;
  CHECK(osh == WandbOptions{.wandb_osh = "~/farm", .wandb_osh_delay_s = 2.5});
  CHECK(osh.on());
  auto const some = after({"--profile", "100-110", "--throughput"});
  CHECK(some.options.profile == "100-110");
  CHECK(some.options.throughput);
}

TEST_CASE("steps to profile that are none are refused, and chosen ones are recorded in the run folder") {
  TempDir const folder;
  RunFolder const run(folder / "run");
  OptionSet const options;
  Callbacks refused;
  CHECK_THROWS_AS(after({"--profile", "3-2"}).add_to(refused, run, "program", options), Error);
  Callbacks callbacks;
  after({"--profile", "1"}).add_to(callbacks, run, "program", options);
  callbacks.tell(FitStarted{"stage", 1, 1, 0});
  Figures const terms;
  std::string const stage = "stage";
  callbacks.tell(StepEnded{stage, 0, 1, 1, 0.1, 0.5, 1e-3, terms});
  CHECK(std::filesystem::exists(run.profile() / "stage-steps1-1.json"));
  run.clear();
  CHECK(!std::filesystem::exists(run.profile()));
}

TEST_CASE("only what is on is written, and a run folder that is cleared holds nothing of it") {
  TempDir const folder;
  RunFolder const run(folder / "run");
  auto const start = [&](Logs const& logs) {
    OptionSet options;
    TensorBoardOptions some{.scalar_steps = 3};
    options.add("some", some);
    Callbacks callbacks;
    logs.add_to(callbacks, run, "program", options);
    callbacks.tell(TrainingStarted{1, 2, 3, "cpu", 1});
    callbacks.tell(EpochEnded{"stage", 0, 3, 10, 0.5, 1e-3, 0.25, {}, 0.5, {}, 12.5});
  };
  start(Logs{});
  CHECK(!std::filesystem::exists(run.path()));

  PathVariable const path(folder.path().string());
  std::ofstream(folder / "python3") << "#!/bin/sh\necho \"$@\" > \"$2/wandb/arguments\"\n";
  std::filesystem::permissions(folder / "python3", std::filesystem::perms::owner_all);
  start(after({"--tensorboard", "--wandb-osh", "farm"}));
  CHECK(std::filesystem::exists(run.tensorboard() / "stage"));
  auto const said = read_file(run.wandb() / "arguments");
  CHECK(said.find(" --project program --osh farm\n") != std::string::npos);
  auto const config = nlohmann::json::parse(read_file(run.wandb() / "config.json"));
  CHECK(config["some.scalar_steps"] == 3);

  std::ofstream(run.path() / "kept") << "x";
  run.clear();
  CHECK(std::filesystem::exists(run.path() / "kept"));
  CHECK(!std::filesystem::exists(run.tensorboard()));
  CHECK(!std::filesystem::exists(run.wandb()));
}
