// SPDX-License-Identifier: BSL-1.0
// Other programs: run to their end within a time, with what they print; and words as a shell reads them.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "dew/core/file.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace dew {

/// How a program ended, and what it printed.
struct CommandResult {
  int status = -1;             ///< exit status, 128 + signal where one ended it; −1 where there is a problem
  std::string output, errors;  ///< standard output and standard error
  std::string problem = {};    ///< why it could not be started or did not end in time
  bool ok() const { return status == 0; }
  /// In words what went wrong: the problem, else what it said, else its status.
  std::string words() const {
    if (!problem.empty()) return problem;
    auto const last = errors.find_last_not_of(" \t\r\n");
    return last == std::string::npos ? fmt::format("exit status {}", status) : errors.substr(0, last + 1);
  }
};

/// Runs a program and waits for its end; a function of this type stands in for it in tests.
using RunCommand = std::function<CommandResult(std::vector<std::string> const& arguments, double patience_s)>;

namespace detail {
/// A pipe whose ends no other program inherits.
struct Pipe {
  std::array<int, 2> ends = opened();
  Descriptor from{ends[0]}, to{ends[1]};

 private:
  static std::array<int, 2> opened() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
    return ends;
  }
};

/// Adds what comes from a pipe to the text until its end or `until`, for two pipes at once; false when the time ended first.
inline bool read_pipes(std::array<int, 2> const& pipes, std::array<std::string*, 2> const& texts,
                       std::chrono::steady_clock::time_point until) {
  std::array<::pollfd, 2> wait{{{pipes[0], POLLIN, 0}, {pipes[1], POLLIN, 0}}};
  std::array<char, 4096> bytes{};
  while (wait[0].fd >= 0 || wait[1].fd >= 0) {
    auto const left = std::chrono::duration<double>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    if (::poll(wait.data(), wait.size(), std::max(1, int(std::min(left, 1000.0) * 1000))) < 0 && errno != EINTR) return false;
    for (std::size_t i = 0; i < wait.size(); ++i) {
      if (wait[i].fd < 0 || std::exchange(wait[i].revents, short(0)) == 0) continue;
      auto const got = ::read(wait[i].fd, bytes.data(), bytes.size());
      if (got > 0) texts[i]->append(bytes.data(), std::size_t(got));
      else if (got == 0 || errno != EINTR) wait[i].fd = -1;
    }
  }
  return true;
}

/// Waits for a process, at most until then; false when it still runs.
inline bool wait_until(::pid_t process, int& status, std::chrono::steady_clock::time_point until) {
  for (;;) {
    auto const ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process) return true;
    if ((ended < 0 && errno != EINTR) || std::chrono::steady_clock::now() >= until) return false;
    ::poll(nullptr, 0, 2);
  }
}
}  // namespace detail

/// Runs a program, looked for in PATH, with no input, and waits for its end at most so many seconds; then it is killed. Its arguments go through
/// no shell. Throws nothing.
inline CommandResult run_command(std::vector<std::string> const& arguments, double patience_s) {
  CommandResult result;
  auto const until = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(patience_s));
  detail::Pipe out, err;
  if (out.to.number() < 0 || err.to.number() < 0) {
    result.problem = detail::system_words();
    return result;
  }
  auto words = arguments;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.to.number(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, err.to.number(), 2);
  ::pid_t process = -1;
  int const failed = ::posix_spawnp(&process, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    result.problem = fmt::format("{}: {}", arguments.front(), std::generic_category().message(failed));
    return result;
  }
  out.to.close(), err.to.close();
  int status = 0;
  bool const read = detail::read_pipes({out.from.number(), err.from.number()}, {&result.output, &result.errors}, until);
  if (read && detail::wait_until(process, status, until)) result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  else {
    ::kill(process, SIGKILL);
    ::waitpid(process, &status, 0);
    result.problem = fmt::format("{}: no answer in {:.0f} s", arguments.front(), patience_s);
  }
  return result;
}

/// A word that a POSIX shell reads back as it is: in single quotes where it has to be.
inline std::string shell_quoted(std::string_view word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (char const c : word) {
    if (c == '\'') out += R"('\'')";
    else out += c;
  }
  return out + "'";
}

/// Words as one line of a shell.
inline std::string shell_line(std::vector<std::string> const& words) {
  std::string line;
  for (auto const& word : words) line += (line.empty() ? "" : " ") + shell_quoted(word);
  return line;
}

}  // namespace dew
