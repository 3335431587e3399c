// SPDX-License-Identifier: BSL-1.0
// The callback's side of the conversation with the sidecar, which shell scripts called python3 stand for here; tests/loggers has the real one.
#include "dew/train/wandb.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "support/path_variable.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// A training's events for a callback, with a script as python3; what the callback printed.
struct Training {
  TempDir folder;
  std::string printed;

  explicit Training(std::string const& script, WandbOptions options = {}, bool interrupted = false) {
    auto const python = folder / "python3";
    std::ofstream(python) << "#!/bin/sh\n" << script << '\n';
    ::chmod(python.c_str(), 0755);
    run(folder.path().string() + ":/usr/bin:/bin", std::move(options), interrupted);
  }
  Training() { run(folder.path().string(), {}, false); }
  std::string file(std::string const& name) const { return read_file(folder.path() / "run" / "wandb" / name); }

 private:
  void run(std::string const& path, WandbOptions options, bool interrupted) {
    PathVariable const in(path);
    auto* out = std::fopen((folder / "printed").c_str(), "w");
    {
      WandbLog log(folder / "run", std::move(options), {{"a.b", 1.5}}, out);
      log.on(TrainingStarted{1, 2, 3, "cpu", 1});
      log.on(EpochEnded{});
      log.on(TrainingEnded{1, interrupted});
    }
    std::fclose(out);
    printed = read_file(folder / "printed");
  }
};
}  // namespace

TEST_CASE("the sidecar gets the run and the options, and says its sentences on the terminal of the training") {
  Training const t("echo \"$@\" > \"$2/wandb/arguments\"; echo first >&0; echo output; echo second >&0; cat > \"$2/wandb/heard\"",
                   {.wandb = WandbMode::offline, .wandb_project = "p q", .wandb_osh = "/farm", .wandb_osh_delay_s = 0.5});
  auto const run = (t.folder / "run").string();
  CHECK(t.file("arguments") == fmt::format("{0}/wandb/sidecar.py {0} --offline --project p q --osh /farm --osh-delay 0.5\n", run));
  CHECK(t.printed == "first\nsecond\n");
  CHECK(t.file("heard") == "trained\n");  // cat has ended: the socket was closed
  CHECK(t.file("sidecar.log") == "output\n");
  CHECK(t.file("sidecar.py") == wandb_sidecar);
  CHECK(nlohmann::json::parse(t.file("config.json")) == nlohmann::json{{"a.b", 1.5}});
}

TEST_CASE("the sidecar gets a name and a team where there are some, and no flag without a value") {
  auto const arguments = [](WandbOptions options) {
    Training const t("echo \"$@\" > \"$2/wandb/arguments\"; cat > /dev/null", std::move(options));
    auto const said = t.file("arguments");
    return said.substr(said.find("/run ") == std::string::npos ? said.size() : said.find("/run ") + 5);
  };
  CHECK(arguments({.wandb = WandbMode::online, .wandb_entity = "team", .wandb_name = "n"}) == "--entity team --name n\n");
  CHECK(arguments({.wandb = WandbMode::online}).empty());
  CHECK(!WandbOptions{}.on());
  CHECK(WandbOptions{.wandb = WandbMode::offline}.on());
  CHECK(WandbOptions{.wandb_osh = "/farm"}.on());
}

TEST_CASE("the wait at the end is longer by the delay before wandb-osh is asked once more") {
  Training const t("cat > /dev/null; sleep 0.2", {.wandb_osh = "/farm", .wandb_osh_delay_s = 20, .wandb_wait_s = 0.01});
  CHECK(t.printed.empty());
}

TEST_CASE("a training that was stopped says so") { CHECK(Training("cat > \"$2/wandb/heard\"", {}, true).file("heard") == "stopped\n"); }

TEST_CASE("without python3 there is one sentence") {
  Training const t;
  CHECK(t.printed ==
        "wandb: python3 cannot be started (No such file or directory): nothing goes to Weights & Biases, the training goes on.\n");
}

TEST_CASE("a sidecar that ends with an error is told once, one that ends by itself is not") {
  Training const t("echo trouble >&2; exit 3");
  CHECK(t.printed == fmt::format("wandb: the sidecar has ended with an error, which is in {}; the training goes on.\n",
                                 (t.folder / "run" / "wandb" / "sidecar.log").string()));
  CHECK(t.file("sidecar.log") == "trouble\n");
  CHECK(Training("exit 0").printed.empty());
}

TEST_CASE("a sidecar that ends with an error in the midst of a training is told at once, and no second time") {
  TempDir const folder;
  auto const python = folder / "python3";
  std::ofstream(python) << "#!/bin/sh\nexit 3\n";
  ::chmod(python.c_str(), 0755);
  PathVariable const in(folder.path().string() + ":/usr/bin:/bin");
  auto* out = std::fopen((folder / "printed").c_str(), "w");
  auto const printed = [&] { return read_file(folder / "printed"); };
  {
    WandbLog log(folder / "run", {}, {}, out);
    log.on(TrainingStarted{1, 2, 3, "cpu", 1});
    for (int i = 0; i < 2000 && printed().empty(); ++i) {
      log.on(EpochEnded{});
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(printed().find("has ended with an error") != std::string::npos);
    log.on(EpochEnded{});
  }
  std::fclose(out);
  auto const all = printed();
  CHECK(std::count(all.begin(), all.end(), '\n') == 1);
}

TEST_CASE("a sidecar that neither reads nor ends holds the training up no longer than it may") {
  Training const t("exec sleep 5", {.wandb_wait_s = 0.05});
  CHECK(t.printed == fmt::format("wandb: still at work, goes on by itself; its output is in {}\n",
                                 (t.folder / "run" / "wandb" / "sidecar.log").string()));
}

TEST_CASE("a run folder that cannot be written is a sentence") {
  TempDir const folder;
  std::ofstream(folder / "run") << "a file";
  auto* out = std::fopen((folder / "printed").c_str(), "w");
  WandbLog(folder / "run", {}, {}, out).on(TrainingStarted{1, 2, 3, "cpu", 1});
  std::fclose(out);
  CHECK(read_file(folder / "printed").ends_with(": nothing goes to Weights & Biases, the training goes on.\n"));
}
