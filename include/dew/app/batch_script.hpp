// SPDX-License-Identifier: BSL-1.0
// A batch script for SLURM that runs one command of a program, and goes on with it after a requeue.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/command.hpp"
#include "dew/core/error.hpp"
#include "dew/train/slurm.hpp"
#include "dew/version.hpp"

namespace dew {

/// What a batch script says. Empty texts and zeros leave a line out: the site's default holds.
struct BatchScript {
  std::string program = {};                 ///< file of the program
  std::vector<std::string> arguments = {};  ///< its command line: `train --out RUN …`
  std::string name = {};                    ///< of the job, its output and its script
  std::string time = "1:00:00";             ///< of one allocation, not of the whole work
  std::string partition = {}, account = {}, mem = {}, gpus = {};
  std::string array = {};                            ///< tasks, as SLURM's `--array` takes them
  int cpus = 4;                                      ///< cores
  std::int64_t signal_before = 90;                   ///< seconds before an allocation's end at which the signal comes; 0: none
  std::string signal = "USR1";                       ///< its name; empty: none
  std::string folder = {};                           ///< where it runs; empty: where it is submitted
  std::vector<std::string> sbatch = {}, setup = {};  ///< more options of sbatch; lines of shell before the program

  /// The file of the output, as SLURM fills it in: one for all allocations of a job.
  std::string output() const { return name + (array.empty() ? "-%j.out" : "-%A_%a.out"); }
  std::string text() const;

 private:
  /// A value in a #SBATCH line, in quotes where it has blanks. Throws `Error` (usage) for what such a line cannot hold.
  static std::string value(std::string const& text, char const* what) {
    bool const plain = text.find_first_of("\"'\\`$#") == std::string::npos;
    check(plain && text.find_first_of("\n\r") == std::string::npos, ErrorKind::usage,
          "{}: a line of SLURM's cannot hold quotes, backslashes, '$', '#' or line ends, got '{}'", what, text);
    return text.find_first_of(" \t;&|<>()*?") == std::string::npos ? text : "\"" + text + "\"";
  }
  void check_values() const;
};

inline void BatchScript::check_values() const {
  double const seconds = parse_slurm_time(time, "--time");
  check(seconds > 0, ErrorKind::usage, "--time: an allocation needs some time, got '{}'", time);
  check(cpus >= 1, ErrorKind::usage, "--cpus: expected at least 1, got {}", cpus);
  check(signal_before >= 0 && signal_before <= 65535, ErrorKind::usage, "--signal-before: expected 0 to 65535 seconds, got {}",
        signal_before);
  check(double(signal_before) < seconds, ErrorKind::usage, "--signal-before: {} s are not less than the allocation's time, {}",
        signal_before, slurm_time_text(seconds));
  check(!name.empty() && name.find('/') == std::string::npos && name.find('%') == std::string::npos, ErrorKind::usage,
        "--job-name: expected a name without '/' and '%', got '{}'", name);
  if (!array.empty()) (void)array_ids(array);
  for (auto const& option : sbatch)
    check(option.starts_with('-'), ErrorKind::usage, "--sbatch: expected an option such as --qos=long, got '{}'", option);
  for (auto const& line : setup)
    check(line.find_first_of("\n\r") == std::string::npos, ErrorKind::usage, "--setup: expected one line, got '{}'", line);
}

/// The script. The same line starts the work and goes on with it: what an allocation has saved is found by the next. Throws `Error` (usage) for a
/// value that SLURM's lines cannot hold.
inline std::string BatchScript::text() const {
  check_values();
  std::string out = "#!/bin/bash\n";
  auto const comment = [&](std::string const& words) { out += "# " + words + "\n"; };
  auto const option = [&](char const* which, std::string const& says) {
    if (!says.empty()) out += fmt::format("#SBATCH --{}={}\n", which, value(says, which));
  };
  comment(fmt::format(
      "A batch script for SLURM, written by submit (dew {}). Submit it with sbatch, as often as you like, until it has finished.",
      version));
  option("job-name", name);
  option("chdir", folder);
  option("partition", partition);
  option("account", account);
  comment("The time of one allocation. Work that needs more is put back into the queue and goes on where it was.");
  option("time", time);
  option("cpus-per-task", fmt::to_string(cpus));
  option("mem", mem);
  option("gpus", gpus);
  if (!array.empty()) {
    comment("A job array: each task does its share of the work.");
    option("array", array);
  }
  comment("One file of output for all allocations of a job.");
  option("output", output());
  out += "#SBATCH --open-mode=append\n";
  comment("The program puts the job back into the queue when its time is nearly up, and SLURM does so when a node fails.");
  out += "#SBATCH --requeue\n";
  if (signal_before > 0 && !signal.empty()) {
    comment("So many seconds before the end (SLURM may be up to 60 s early) the program is told to save and stop.");
    option("signal", fmt::format("{}@{}", signal, signal_before));
  }
  for (auto const& more : sbatch) {
    auto const behind = more.find('=') + 1;  // 0 without a value
    out += "#SBATCH " + more.substr(0, behind) + value(more.substr(behind), "--sbatch") + "\n";
  }
  out += '\n';
  if (!setup.empty()) {
    out += "set -e\n";
    for (auto const& line : setup) out += line + "\n";
    out += '\n';
  }
  comment("srun hands the signal on to the program. This line starts the work, and goes on with it in each later allocation.");
  std::vector<std::string> words{"exec", "srun", fmt::format("--cpus-per-task={}", cpus), program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return out + shell_line(words) + "\n";
}

}  // namespace dew
