// SPDX-License-Identifier: BSL-1.0
// Short flags for the options under `batch.`.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "dew/train/allocation.hpp"

namespace dew {

/// Adds `--stop-after` and `--array` to a command. `set` takes an option's path and its word.
inline void add_batch_flags(CLI::App* command, std::function<void(std::string const& path, std::string const& word)> const& set) {
  auto const flag = [&](char const* name, char const* option, char const* type, char const* help) {
    command
        ->add_option_function<std::string>(
            name, [set, path = fmt::format("{}.{}", BatchOptions::section, option)](std::string const& word) { set(path, word); }, help)
        ->type_name(type)
        ->group("Batch system");
  };
  flag("--stop-after", "stop_after", "TIME",
       "save and stop before so much time has passed: minutes, H:MM:SS or D-HH:MM:SS; SLURM's own limit is heeded without it");
  flag("--array", "array", "WHAT", "what the tasks of a job array divide among them: seeds or folds (train), events (run, export)");
}

}  // namespace dew
