// SPDX-License-Identifier: BSL-1.0
#include "dew/train/checkpoint_files.hpp"

#include <sys/resource.h>

#include <csignal>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
Checkpoint moment(std::int64_t number, double score = std::nan(""), std::size_t part = 0) {
  Checkpoint c;
  c.weights = {{"model.weight", at::full({4}, double(number))}};
  c.state.number = number, c.state.score = score, c.state.part = part;
  c.plan.types = {{"number", fmt::to_string(number)}};
  return c;
}
std::vector<std::string> names(fs::path const& folder) {
  std::vector<std::string> out;
  for (auto const& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}
std::string step(int n) { return fmt::format("step-{:09}.safetensors", n); }
void flip(fs::path const& file, std::size_t at) {
  auto bytes = read_file(file);
  bytes[at] = char(bytes[at] ^ 1);
  write_file_atomically(file, bytes);
}
}  // namespace

TEST_CASE("the newest checkpoints and each fit's best ones stay") {
  TempDir const folder;
  auto const path = folder / "checkpoints";
  CheckpointFiles const files(path, {.keep_last = 2, .keep_best = 1});
  std::vector<std::pair<std::size_t, double>> const scores{{0, 0.5}, {0, 0.2}, {0, 0.2}, {0, 0.9}, {0, std::nan("")},
                                                           {1, 3},   {1, 2},   {1, 4},   {1, 5}};
  for (int i = 0; i < 9; ++i) files.save(moment(i, scores[std::size_t(i)].second, scores[std::size_t(i)].first));
  CHECK(names(path) == std::vector{step(1), step(6), step(7), step(8)});
  files.keep_best_alone();
  CHECK(names(path) == std::vector{step(1), step(6)});

  CheckpointFiles const largest(folder / "largest", {.keep_last = 1, .keep_best = 2, .metric = "m.x", .maximise = true});
  for (int i = 0; i < 9; ++i) largest.save(moment(i, scores[std::size_t(i)].second));
  CHECK(names(folder / "largest") == std::vector{step(7), step(8)});
  CheckpointFiles const smallest(folder / "smallest", {.keep_last = 1, .keep_best = 2, .metric = "m.x", .maximise = false});
  for (int i = 0; i < 9; ++i) smallest.save(moment(i, scores[std::size_t(i)].second));
  CHECK(names(folder / "smallest") == std::vector{step(1), step(2), step(8)});
  CheckpointFiles const last(folder / "last", {.keep_last = 3, .keep_best = 0});
  for (int i = 0; i < 9; ++i) last.save(moment(i, scores[std::size_t(i)].second));
  CHECK(names(folder / "last") == std::vector{step(6), step(7), step(8)});
  last.save(moment(8));  // the same again
  CHECK(names(folder / "last") == std::vector{step(6), step(7), step(8)});
  CHECK_THROWS_AS(CheckpointFiles(path, {.keep_last = 0}), Error);
}

TEST_CASE("a broken newest checkpoint is set aside with a warning, and the one before is used") {
  TempDir const folder;
  CheckpointFiles const files(folder.path(), {.keep_last = 3});
  std::vector<std::string> warnings;
  auto const newest = [&] { return files.newest([&](std::string const& text) { warnings.push_back(text); }); };
  CHECK(!newest());
  for (int i : {5, 10, 1000000000}) files.save(moment(i));
  CHECK(newest()->state.number == 1000000000);
  CHECK(warnings.empty());
  flip(files.path(1000000000), fs::file_size(files.path(1000000000)) - 3);
  CHECK(files.newest_plan()->types.front().second == "1000000000");  // its header is whole
  CHECK(newest()->state.number == 10);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == files.path(1000000000).string() + ": is broken: its checksum differs; the one before it is used");
  CHECK(newest()->state.number == 10);
  CHECK(warnings.size() == 1);  // said once
  CHECK(files.newest_plan()->types.front().second == "10");
  auto const tenth = read_file(files.path(10));
  for (std::size_t const at : {std::size_t(20), tenth.find("dew.plan")}) {  // a header that is none, and one without a plan
    flip(files.path(10), at);
    CHECK(files.newest_plan()->types.front().second == "5");
    write_file_atomically(files.path(10), tenth);
  }
  // what is set aside counts no more: the next ones are not taken for older than it
  files.save(moment(11)), files.save(moment(12)), files.save(moment(13));
  CHECK(names(folder.path()) == std::vector{step(11), step(12), step(13), step(1000000000) + ".broken"});

  for (int i : {11, 12, 13}) fs::resize_file(files.path(i), 100);
  CHECK(!files.newest_plan());
  CHECK(!newest());
  CHECK(warnings.size() == 4);
  CHECK(warnings.back().ends_with("; there is none before it"));
  std::vector<std::string> const mine{"step-", "step-5.safetensors", "step-x.safetensors"};
  for (auto const& name : mine) write_file_atomically(folder / name, "mine");
  CHECK(!newest());
  CHECK(warnings.size() == 4);
  files.clear();
  CHECK(names(folder.path()) == mine);
}

TEST_CASE("a checkpoint that cannot be written leaves the earlier ones, and the error says so") {
  TempDir const folder;
  CheckpointFiles const files(folder / "checkpoints", {.keep_last = 1});
  files.save(moment(1));
  auto const before = read_file(files.path(1));
  // a file may have so many bytes and no more: what a full disk does
  struct rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto small = limit;
  small.rlim_cur = 64;
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string said;
  for (int number : {1, 2}) {
    try {
      files.save(moment(number, 0.5));
    } catch (Error const& e) { said = e.what(); }
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK(said == files.path(2).string() + ": cannot be written: File too large (earlier checkpoints stay as they are)");
  CHECK(names(folder / "checkpoints") == std::vector{step(1)});
  CHECK(read_file(files.path(1)) == before);
}

TEST_CASE("each fit has its best checkpoints, whatever the others' scores") {
  TempDir const folder;
  CheckpointFiles const files(folder.path(), {.keep_last = 1, .keep_best = 1});
  std::vector<std::pair<std::size_t, double>> const scores{{0, 0.5}, {0, 3}, {1, 1}, {1, 4}};
  for (int i = 0; i < 4; ++i) files.save(moment(i, scores[std::size_t(i)].second, scores[std::size_t(i)].first));
  files.keep_best_alone();
  CHECK(names(folder.path()) == std::vector{step(0), step(2)});
}
