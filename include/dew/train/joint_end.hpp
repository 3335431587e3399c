// SPDX-License-Identifier: BSL-1.0
// How processes end that were started together and exchange no messages: the last of them knows of all.
#pragma once
#include <fcntl.h>

#include <cctype>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "dew/core/environment.hpp"
#include "dew/core/file.hpp"
#include "dew/train/interruption.hpp"
#include "dew/train/launch.hpp"

namespace dew {

/// What all processes of one start have in common and other starts have not, as part of a file's name: of Open MPI's mpirun its namespace, of srun
/// its step, with SLURM's job and restart where there is one. Empty where the starter gives no such name.
inline std::string start_name(Launch const& launch, Environment const& environment) {
  auto const said = [&](char const* variable) { return environment(variable).value_or(""); };
  auto const job = said("SLURM_JOB_ID"), restart = said("SLURM_RESTART_COUNT");
  std::string name;
  if (launch.by == "srun" && !job.empty()) name = said("SLURM_STEP_ID");
  if (launch.said_by == "OMPI_COMM_WORLD_SIZE") name = said("PMIX_NAMESPACE");
  if (name.empty()) return name;
  if (!job.empty()) name = fmt::format("{}.{}.{}", job, restart.empty() ? "0" : restart, name);
  for (auto& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  return name;
}

/// How one of several processes has ended.
struct ProcessEnd {
  StopReason why = StopReason::none;
  bool progressed = false;  ///< it has done something that need not be done again
  bool operator==(ProcessEnd const&) const = default;
};

/// Leaves a word in `folder`, which all processes of a start see, how this one ends. The last is given the ends of all, in the order of their ranks, and
/// nothing stays in the folder; the others are given nothing, and so are all where one of them dies without a word. `start` is their `start_name`. To
/// be called once by each. Throws `Error` (input) or `std::filesystem::filesystem_error` when the folder cannot be written. O(processes).
inline std::optional<std::vector<ProcessEnd>> all_ends_if_last(std::filesystem::path const& folder, std::string const& start,
                                                               Launch const& launch, ProcessEnd const& mine) {
  namespace fs = std::filesystem;
  auto const words = folder / (".ends-" + start);
  fs::create_directories(words);
  // a word is an empty file's name: it is there or not, and never half
  auto const file = words / fmt::format("{} {} {}", launch.rank, int(mine.why), int(mine.progressed));
  detail::Descriptor const made(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  check(made.number() >= 0, ErrorKind::input, "{}: cannot be written: {}", file.string(), detail::system_words());
  std::vector<ProcessEnd> all(std::size_t(launch.size));
  std::set<int> there;
  std::error_code another;  // the last may take the folder away meanwhile
  for (fs::directory_iterator at(words, another), end; !another && at != end; at.increment(another)) {
    std::istringstream word(at->path().filename().string());
    int rank = -1, why = 0, progressed = 0;
    if (!(word >> rank >> why >> progressed) || rank < 0 || rank >= launch.size) continue;
    all[std::size_t(rank)] = {StopReason(why), progressed != 0};
    there.insert(rank);
  }
  if (another || std::ssize(there) < launch.size) return std::nullopt;
  auto const taken = folder / (".ends-" + start + ".all");
  fs::rename(words, taken, another);  // of several that see all, one alone can do this
  if (another) return std::nullopt;
  fs::remove_all(taken);
  return all;
}

}  // namespace dew
