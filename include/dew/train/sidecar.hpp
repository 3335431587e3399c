// SPDX-License-Identifier: BSL-1.0
// A process beside the training, and the lines that both exchange. It can neither hold the training up nor bring it down.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dew/core/file.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace dew {

/// A process of a session of its own, so that Ctrl-C does not reach it, with one end of a socket as standard input and its output in a file.
/// What it writes to the socket comes back as lines; the socket's end tells it that the training is over, whichever way.
class Sidecar {
 public:
  /// `arguments[0]` is looked for in PATH. When the process cannot be started, `problem()` says why, and all else does nothing.
  Sidecar(std::vector<std::string> arguments, std::filesystem::path const& output) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      problem_ = detail::system_words();
      return;
    }
    ours_.emplace(ends[0]);
    detail::Descriptor const theirs(ends[1]);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.number(), 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    int const failed = ::posix_spawnp(&process_, argv[0], &actions, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      problem_ = std::generic_category().message(failed);
      process_ = -1;
      ours_.reset();
    }
  }

  /// Why it could not be started; empty when it was.
  std::string const& problem() const { return problem_; }
  /// Whether it is still at the other end, as far as `hear` has seen.
  bool there() const { return ours_.has_value(); }
  /// Whether it ended by itself with a status other than 0, once it is not there.
  bool failed() const { return failed_; }

  /// Sends a line; where the other end reads nothing, it is lost.
  void say(std::string_view line) const {
    if (!ours_) return;
    auto const text = std::string(line) + "\n";
    (void)::send(ours_->number(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  /// The whole lines that have come since the last call; does not wait.
  std::vector<std::string> hear() {
    std::vector<std::string> lines;
    char bytes[1024];
    while (ours_) {
      auto const got = ::recv(ours_->number(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0) {
        heard_.append(bytes, std::size_t(got));
        continue;
      }
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      ours_.reset();
      reap();
    }
    for (auto end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n')) {
      lines.push_back(heard_.substr(0, end));
      heard_.erase(0, end + 1);
    }
    return lines;
  }
  /// Ends the conversation and waits for the process, at most so many seconds; false when it is still at work then, which it goes on with.
  /// Each line that comes meanwhile is handed to `tell`.
  bool finish(double seconds, std::function<void(std::string const&)> const& tell) {
    if (ours_) ::shutdown(ours_->number(), SHUT_WR);
    auto const until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (ours_) {
      auto const left = std::chrono::duration<double>(until - std::chrono::steady_clock::now()).count();
      if (left <= 0) return false;
      ::pollfd wait{ours_->number(), POLLIN, 0};
      ::poll(&wait, 1, std::max(1, int(std::min(left, 1000.0) * 1000)));
      for (auto const& line : hear()) tell(line);
    }
    return true;
  }

 private:
  /// The process has closed its end: it is about to end, or gone.
  void reap() {
    int status = 0;
    for (int i = 0; i < 200 && process_ > 0; ++i) {
      auto const ended = ::waitpid(process_, &status, WNOHANG);
      if (ended == process_) failed_ = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
      if (ended != 0) process_ = -1;
      else std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  ::pid_t process_ = -1;
  std::optional<detail::Descriptor> ours_;  // end of the socket
  bool failed_ = false;
  std::string problem_, heard_;
};

}  // namespace dew
