// SPDX-License-Identifier: BSL-1.0
// The processes that train together: what a back end has to do, and the one that is a single process.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dew/core/host_name.hpp"
#include "dew/core/options.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// How processes train together.
struct ProcessOptions {
  double timeout_s = 600;
  double bucket_mb = 2;

  using Options = ProcessOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(timeout_s, "s", "when one process has kept the others waiting for so long, all end with its name"),
        DEW_OPTION(bucket_mb, "MB",
                   "gradients are summed over the processes in pieces of about this size, while the backward pass goes on"));
  }
  bool operator==(ProcessOptions const&) const = default;

  static constexpr std::string_view section = "processes";
};

/// A group of processes, numbered from 0. Every process calls the same functions of its group in the same order, from one thread at a time; where
/// one does not come, the others end after `ProcessOptions::timeout_s`, and one of them says its name.
///
/// Equal calls give equal bits on every process. A back end is a class derived from this: `OneProcess`, `MpiProcesses` (processors), `NcclProcesses`
/// (GPUs). The calls are few a step; that they are virtual costs nothing beside what they do.
class Processes {
 public:
  /// A sum on its way.
  class Sum {
   public:
    Sum() = default;
    virtual ~Sum() = default;
    Sum(Sum const&) = delete;
    Sum& operator=(Sum const&) = delete;
    /// Returns when the tensor holds the sum.
    virtual void wait() = 0;
  };

  explicit Processes(ProcessOptions options = {}) : options_(options) {
    check(options_.timeout_s > 0 && options_.bucket_mb > 0, ErrorKind::usage,
          "processes: timeout_s and bucket_mb are more than 0, got {} and {}", options_.timeout_s, options_.bucket_mb);
  }
  virtual ~Processes() = default;
  Processes(Processes const&) = delete;
  Processes& operator=(Processes const&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Starts the sum over all processes of a contiguous tensor of floats or doubles, in place. The tensor is not to be touched before `wait`.
  virtual std::unique_ptr<Sum> start_sum(Tensor const& t) = 0;
  /// Lets sums that are on their way come further, where that takes calls.
  virtual void progress() {}
  /// Copies process 0's tensor into that of all others.
  virtual void broadcast(Tensor const& t) = 0;
  /// What each process gives, in the order of their ranks, on every process.
  virtual std::vector<std::string> gather(std::string const& mine) = 0;
  /// Ends all processes of the group at once. For errors that only one of them has seen: without it the others would wait.
  [[noreturn]] virtual void end_all(int status) = 0;

  /// Whether nothing is ever to be exchanged.
  virtual bool alone() const { return false; }
  bool first() const { return rank() == 0; }
  /// Whether item i of a list that is shared is this process's: each has every size-th.
  bool has(std::int64_t i) const { return i % size() == rank(); }
  void sum(Tensor const& t) { start_sum(t)->wait(); }
  /// Process 0's text, on every process.
  std::string of_first(std::string const& text) { return gather(first() ? text : std::string()).front(); }
  /// Process 0's answer, on every process.
  bool first_says(bool yes) { return of_first(yes ? "yes" : "no") == "yes"; }
  /// Returns when all have come here.
  void meet() { gather({}); }

  ProcessOptions const& options() const { return options_; }
  /// Seconds spent in waiting for others and for messages.
  double seconds_waited() const { return seconds_waited_; }

 protected:
  void add_waited(double seconds) { seconds_waited_ += seconds; }

 private:
  ProcessOptions options_;
  double seconds_waited_ = 0;
};

/// A group of one: nothing is exchanged.
class OneProcess final : public Processes {
 public:
  using Processes::Processes;
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Sum> start_sum(Tensor const&) override { return std::make_unique<Done>(); }
  void broadcast(Tensor const&) override {}
  std::vector<std::string> gather(std::string const& mine) override { return {mine}; }
  [[noreturn]] void end_all(int status) override { std::exit(status); }
  bool alone() const override { return true; }

 private:
  struct Done final : Sum {
    void wait() override {}
  };
};

namespace detail {
/// This process's name for messages: `rank 2 (process 4711 on node7)`.
inline std::string process_text(int rank) { return fmt::format("rank {} (process {} on {})", rank, ::getpid(), host_name()); }

/// One wait for others: how long it has lasted, and pauses that grow from nothing to 0.2 ms. Time in which this process was itself stopped (a
/// suspended job) counts as a second at most.
class Wait {
 public:
  double seconds() const { return seconds_; }
  void pause() {
    if (++turns_ > 2000) std::this_thread::sleep_for(std::chrono::microseconds(200));
    else if (turns_ > 20) std::this_thread::yield();
    auto const now = std::chrono::steady_clock::now();
    seconds_ += std::min(1.0, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  double seconds_ = 0;
  std::int64_t turns_ = 0;
};

/// What is said of processes that did not answer a roll call; `silent` are their names.
inline std::string lost_text(std::vector<std::string> const& silent, std::string_view what, double timeout_s) {
  if (silent.empty()) return fmt::format("{} did not end within {:g} s though every process answers; all processes end", what, timeout_s);
  return fmt::format("{} {} lost, or busy for longer than {:g} s (--processes.timeout_s), while the others wait for {}; all processes end",
                     fmt::join(silent, ", "), silent.size() == 1 ? "is" : "are", timeout_s, what);
}
}  // namespace detail

}  // namespace dew
