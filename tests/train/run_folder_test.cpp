// SPDX-License-Identifier: BSL-1.0
#include "dew/train/run_folder.hpp"

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
struct Warnings {
  std::vector<std::string> all;
  Warn warn = [this](std::string const& text) { all.push_back(text); };
};
}  // namespace

TEST_CASE("logs are cut back to a checkpoint, and one that has lost lines is warned of") {
  TempDir const folder;
  RunFolder const run(folder.path());
  Warnings w;
  run.cut_logs(std::nullopt, w.warn);
  write_file_atomically(run.log(), "one\ntwo\n");
  run.save(Checkpoint{});
  auto const saved = run.checkpoints().newest(w.warn);
  REQUIRE(saved);
  CHECK(saved->logs == std::map<std::string, std::uintmax_t>{{"log.jsonl", 8}});
  write_file_atomically(run.log(), "one\ntwo\nthree\nfo");
  write_file_atomically(run.csv_log(), "heading\n");
  run.cut_logs(saved, w.warn);
  CHECK(read_file(run.log()) == "one\ntwo\n");
  CHECK(read_file(run.csv_log()).empty());
  CHECK(w.all.empty());
  write_file_atomically(run.log(), "one\n");
  run.cut_logs(saved, w.warn);
  REQUIRE(w.all.size() == 1);
  CHECK(w.all[0] == run.log().string() + ": has 4 bytes and had 8 when the checkpoint was saved: lines are missing in it");
  run.cut_logs(std::nullopt, w.warn);  // a training that starts over
  CHECK(read_file(run.log()).empty());
}

TEST_CASE("what a killed process was writing is removed, and nothing else") {
  TempDir const folder;
  RunFolder const run(folder.path());
  CHECK(run.vacant());
  write_file_atomically(folder / "config.toml.123-0.part", "half");
  write_file_atomically(folder / "lock", "process 123 on a machine");
  CHECK(run.vacant());
  for (auto const* sub : {"checkpoints", "graphs"}) {
    fs::create_directories(folder.path() / sub);
    write_file_atomically(folder.path() / sub / "x.safetensors.99-12.part", "half");
    write_file_atomically(folder.path() / sub / "x.safetensors", "whole");
  }
  for (auto const* mine : {"song.part", "a.1.part", "a.1-x.part", "a.12-.part", "12-1.part"})
    write_file_atomically(folder.path() / mine, "mine");
  CHECK(!run.vacant());
  run.remove_leftovers();
  std::vector<std::string> left;
  for (auto const& entry : fs::recursive_directory_iterator(folder.path()))
    if (entry.is_regular_file()) left.push_back(fs::relative(entry.path(), folder.path()).string());
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"12-1.part", "a.1-x.part", "a.1.part", "a.12-.part", "checkpoints/x.safetensors",
                                         "graphs/x.safetensors", "lock", "song.part"});
  write_file_atomically(folder / "checkpoints" / "step-000000003.safetensors", "ours");
  run.clear();
  CHECK(fs::exists(folder / "checkpoints" / "x.safetensors"));  // no checkpoint of ours
  CHECK(!fs::exists(folder / "checkpoints" / "step-000000003.safetensors"));
}

TEST_CASE("both logs are saved with a checkpoint, and both are cut back to it") {
  TempDir const folder;
  RunFolder const run(folder.path());
  Warnings w;
  write_file_atomically(run.log(), "one\n");
  write_file_atomically(run.csv_log(), "heading\none\n");
  run.save(Checkpoint{});
  write_file_atomically(run.csv_log(), "heading\none\ntwo\n");
  run.cut_logs(run.checkpoints().newest(w.warn), w.warn);
  CHECK(read_file(run.log()) == "one\n");
  CHECK(read_file(run.csv_log()) == "heading\none\n");
  CHECK(w.all.empty());
}

TEST_CASE("a run is there with its configuration, and finished with its weights and its score") {
  TempDir const folder;
  RunFolder const run(folder.path());
  CHECK(!run.exists());
  write_file_atomically(run.config(), "");
  CHECK(run.exists());
  write_file_atomically(run.model(), "");
  CHECK(!run.finished());
  write_file_atomically(run.metrics(), "");
  CHECK(run.finished());
  fs::remove(run.model());
  CHECK(!run.finished());
  CHECK(!RunFolder(run.metrics()).vacant());  // a file is no folder for a run
  CHECK(RunFolder(folder / "new").vacant());
}

TEST_CASE("a run is removed whole, and what is not of a run stays") {
  TempDir const folder;
  RunFolder const run(folder.path());
  for (auto const& file : {run.config(), run.model(), run.log(), run.csv_log(), run.metrics(), run.record(), folder / "mine"})
    write_file_atomically(file, "x");
  for (auto const& sub : {run.graphs(), run.tensorboard(), run.wandb(), run.profile(), run.failed()}) {
    fs::create_directories(sub);
    write_file_atomically(sub / "file", "x");
  }
  run.save(Checkpoint{});
  for (auto const* left : {"step-000000001.safetensors.12-0.part", "step-000000002.safetensors.broken"})
    write_file_atomically(folder / "checkpoints" / left, "x");
  run.clear();
  std::vector<std::string> left;
  for (auto const& entry : fs::directory_iterator(folder.path())) left.push_back(entry.path().filename().string());
  CHECK(left == std::vector<std::string>{"mine"});
}
