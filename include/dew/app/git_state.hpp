// SPDX-License-Identifier: BSL-1.0
// Which commit of a git repository a folder is at, and whether its files are those of the commit; asked of git.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "dew/core/command.hpp"

namespace dew {

/// The state of a working tree.
struct GitState {
  std::string commit;  ///< hexadecimal; empty before the first one, and where there is a problem
  std::string branch;  ///< empty where none is checked out
  std::optional<bool>
      dirty;  ///< a tracked file differs, or something is staged; nothing where git cannot tell. Untracked files do not count
  std::string problem = {};  ///< why git says nothing: it is not there, does not trust the folder, or gave no answer in time
};

/// The state of the repository that a folder is in, if it is in one. Runs `git` three times at most, without locks, and waits for each at
/// most so many seconds: `git status` looks at each tracked file. Throws nothing.
inline std::optional<GitState> git_state(std::filesystem::path const& folder, RunCommand const& command = run_command,
                                         double patience_s = 5) {
  std::error_code none;
  auto at = std::filesystem::absolute(folder, none).lexically_normal();
  while (!std::filesystem::exists(at / ".git", none)) {
    if (!at.has_relative_path()) return std::nullopt;
    at = at.parent_path();
  }
  auto const git = [&](std::vector<std::string> const& arguments) {
    std::vector<std::string> words{"git", "--no-optional-locks", "-C", folder.string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto result = command(words, patience_s);
    result.output = result.output.substr(0, result.output.find_last_not_of('\n') + 1);
    return result;
  };
  auto const commit = git({"rev-parse", "--quiet", "--verify", "HEAD"});  // 1: there is none yet
  if (!commit.ok() && commit.status != 1) return GitState{.commit = "", .branch = "", .dirty = {}, .problem = commit.words()};
  GitState state{.commit = commit.output, .branch = git({"symbolic-ref", "--quiet", "--short", "HEAD"}).output, .dirty = {}};
  if (auto const changes = git({"status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"}); changes.ok())
    state.dirty = !changes.output.empty();
  return state;
}

}  // namespace dew
