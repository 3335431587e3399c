// SPDX-License-Identifier: BSL-1.0
// How this process was started: alone, or as one of several by mpirun, srun or torchrun.
#pragma once
#include <array>
#include <charconv>
#include <string>

#include "dew/core/environment.hpp"
#include "dew/core/error.hpp"

namespace dew {

/// What the environment says of the processes that were started together.
struct Launch {
  int rank = 0, size = 1;    ///< this process's number, from 0, and how many there are
  int local_rank = 0;        ///< its number among those on the same machine
  std::string by = {};       ///< what started them: mpirun, torchrun, srun; empty for a process of its own
  std::string said_by = {};  ///< the variable that said how many there are

  bool several() const { return size > 1; }
  /// `process 2 of 4 that mpirun has started (OMPI_COMM_WORLD_SIZE)`
  std::string text() const { return fmt::format("process {} of {} that {} has started ({})", rank + 1, size, by, said_by); }
  bool operator==(Launch const&) const = default;
};

/// Reads it from an environment. Of several starters the innermost counts: Open MPI's
/// mpirun (OMPI_COMM_WORLD_…), torchrun (RANK, WORLD_SIZE, with MASTER_ADDR), srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS; a batch script has a
/// SLURM_NTASKS too, and is one process), another mpirun (PMI_RANK, PMI_SIZE). Throws `Error` (input) that names a variable which is no number in
/// its range.
inline Launch launch_from(Environment const& environment) {
  struct Names { char const *by, *rank, *size, *local_rank, *with; };
  constexpr std::array starters{
      Names{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_RANK"},
      Names{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"},
      Names{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_PROCID"},
      Names{"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "PMI_RANK"}};
  auto const number = [](char const* name, std::string const& text, int least, int end) {
    int value = -1;
    auto const [last, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    check(error == std::errc() && last == text.data() + text.size() && value >= least && value < end, ErrorKind::input,
          "{}: expected a number from {} to {}, got '{}'", name, least, end - 1, text);
    return value;
  };
  for (auto const& names : starters) {
    auto const rank = environment(names.rank), size = environment(names.size);
    if (!rank || !size || !environment(names.with)) continue;
    Launch launch{.by = names.by, .said_by = names.size};
    launch.size = number(names.size, *size, 1, 1 << 24);
    launch.rank = number(names.rank, *rank, 0, launch.size);
    if (auto const local = environment(names.local_rank)) launch.local_rank = number(names.local_rank, *local, 0, launch.size);
    return launch;
  }
  return {};
}

/// The same of this process's environment.
inline Launch launch_of_this_process() { return launch_from(process_environment()); }

}  // namespace dew
