// SPDX-License-Identifier: BSL-1.0
#include "dew/train/joint_end.hpp"

#include <atomic>
#include <map>
#include <thread>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
std::string name_of(Launch const& launch, std::map<std::string, std::string> const& variables) {
  return start_name(launch, [&](std::string const& name) {
    auto const at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
}
Launch by_mpirun() { return {.by = "mpirun", .said_by = "OMPI_COMM_WORLD_SIZE"}; }
Launch by_srun() { return {.by = "srun", .said_by = "SLURM_STEP_NUM_TASKS"}; }
using Ends = std::vector<ProcessEnd>;
}  // namespace

TEST_CASE("a start has a name where its starter gives one, another in each allocation") {
  CHECK(name_of({}, {{"PMIX_NAMESPACE", "x"}}) == "");
  CHECK(name_of(by_mpirun(), {}) == "");
  CHECK(name_of(by_mpirun(), {{"PMIX_NAMESPACE", "prterun-node/7@1"}}) == "prterun-node_7_1");
  CHECK(name_of(by_mpirun(), {{"PMIX_NAMESPACE", "n"}, {"SLURM_JOB_ID", "17"}, {"SLURM_STEP_ID", "4"}}) == "17.0.n");
  CHECK(name_of(by_srun(), {{"SLURM_JOB_ID", "17"}, {"SLURM_STEP_ID", "4"}, {"SLURM_RESTART_COUNT", "2"}}) == "17.2.4");
  CHECK(name_of(by_srun(), {{"SLURM_STEP_ID", "4"}}) == "");
  CHECK(name_of({.by = "torchrun", .said_by = "WORLD_SIZE"}, {{"SLURM_JOB_ID", "17"}, {"PMIX_NAMESPACE", "n"}}) == "");
}

TEST_CASE("the last of several processes knows how all have ended, and leaves nothing behind") {
  TempDir const folder;
  auto const end = [&](std::string const& start, int rank, ProcessEnd const& mine) {
    return all_ends_if_last(folder.path(), start, {.rank = rank, .size = 3}, mine);
  };
  CHECK(!end("a", 2, {StopReason::time, false}));
  CHECK(!end("b", 0, {}));  // another start in the same folder
  CHECK(!end("a", 0, {StopReason::requeue, true}));
  auto const all = end("a", 1, {StopReason::interrupt, true});
  REQUIRE(all.has_value());
  CHECK(*all == Ends{{StopReason::requeue, true}, {StopReason::interrupt, true}, {StopReason::time, false}});
  CHECK(!end("b", 1, {}));
  CHECK(end("b", 2, {}) == Ends(3));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("of processes that end at the same moment one alone is the last") {
  TempDir const folder;
  constexpr int size = 6;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> last = 0, stopped = 0;
    std::vector<std::thread> processes;
    for (int rank = 0; rank < size; ++rank)
      processes.emplace_back([&, rank] {
        auto const all = all_ends_if_last(folder.path(), fmt::to_string(round), {.rank = rank, .size = size},
                                          {rank == 3 ? StopReason::requeue : StopReason::none, true});
        if (!all) return;
        ++last;
        for (auto const& end : *all) stopped += end.why == StopReason::requeue ? 1 : 0;
      });
    for (auto& process : processes) process.join();
    CHECK(last == 1);
    CHECK(stopped == 1);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}
