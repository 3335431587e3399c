// SPDX-License-Identifier: BSL-1.0
#include "dew/train/launch.hpp"

#include <map>

using namespace dew;

namespace {
Launch launch(std::map<std::string, std::string> const& variables) {
  return launch_from([&](std::string const& name) {
    auto const at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
}
}  // namespace

TEST_CASE("a process of its own is the only one") {
  CHECK((launch({}) == Launch{}));
  CHECK(!launch({}).several());
}

TEST_CASE("mpirun, torchrun and srun say who a process is") {
  auto const open_mpi = launch({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}});
  CHECK((open_mpi == Launch{3, 8, 1, "mpirun", "OMPI_COMM_WORLD_SIZE"}));
  CHECK(open_mpi.text() == "process 4 of 8 that mpirun has started (OMPI_COMM_WORLD_SIZE)");
  std::map<std::string, std::string> torch{{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"}};
  CHECK(!launch(torch).several());  // names that others use too
  torch["MASTER_ADDR"] = "node1";
  CHECK((launch(torch) == Launch{1, 2, 1, "torchrun", "WORLD_SIZE"}));
  CHECK((launch({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "6"}, {"SLURM_LOCALID", "2"}}) ==
         Launch{5, 6, 2, "srun", "SLURM_STEP_NUM_TASKS"}));
  CHECK((launch({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}) == Launch{0, 2, 0, "mpirun", "PMI_SIZE"}));
}

TEST_CASE("a batch script is one process, and the innermost of several starters counts") {
  CHECK(!launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}}).several());
  std::map<std::string, std::string> both{
      {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
  CHECK(launch(both).by == "mpirun");
  CHECK(launch(both).rank == 1);
}

TEST_CASE("a variable that is no number in its range is named") {
  CHECK_THROWS_WITH_AS(launch({{"OMPI_COMM_WORLD_RANK", "x"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
                       "OMPI_COMM_WORLD_RANK: expected a number from 0 to 1, got 'x'", Error);
  CHECK_THROWS_WITH_AS(launch({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
                       "OMPI_COMM_WORLD_RANK: expected a number from 0 to 1, got '2'", Error);
  CHECK_THROWS_AS(launch({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "0"}}), Error);
}
