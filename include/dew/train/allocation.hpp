// SPDX-License-Identifier: BSL-1.0
// One start of a program that may be asked to leave: signals, time that runs out, and the batch system that starts it again.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/options.hpp"
#include "dew/train/array_share.hpp"
#include "dew/train/clock.hpp"
#include "dew/train/interruption.hpp"
#include "dew/train/slurm.hpp"
#include "dew/train/time_guard.hpp"

namespace dew {

/// How a start of a program ends before its work does. These options say nothing of the work: they may differ from one start to the next.
struct BatchOptions {
  std::string stop_after = {};
  double reserve_s = 15;
  RequeueSignal requeue_signal = RequeueSignal::usr1;
  std::string requeue_command = {};
  int requeue_status = 75;
  ArraySplit array = ArraySplit::none;
  std::string array_tasks = {};
  double ask_every_s = 600;

  using Options = BatchOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(stop_after, "",
                   "save and stop in time before so much time has passed: minutes, H:MM:SS or D-HH:MM:SS; empty: SLURM's limit alone"),
        DEW_OPTION(reserve_s, "s", "time kept for the end beside twice the longest step and twice the longest checkpoint"),
        DEW_OPTION(requeue_signal, "", "signal to save and requeue; SIGTERM (unless it is that) saves and stops"),
        DEW_OPTION(requeue_command, "", "shell command that requeues the job; empty: scontrol requeue, in SLURM; none: no command"),
        DEW_OPTION(requeue_status, "", "exit status when stopped to be gone on with in another allocation"),
        DEW_OPTION(array, "", "what the tasks of a job array divide: seeds or folds (train), events (run, export)"),
        DEW_OPTION(array_tasks, "", "all tasks of the array, such as 0-9, where only some are submitted; empty: as SLURM says"),
        DEW_OPTION(ask_every_s, "s", "SLURM is asked so often whether the job's end has moved, and once before time is up; 0: never"));
  }
  bool operator==(BatchOptions const&) const = default;

  static constexpr std::string_view section = "batch";
};

/// What surrounds a program; tests replace it.
struct Surroundings {
  Environment environment = process_environment();
  Clock clock = steady_clock(), date = system_clock();
  RunCommand command = run_command;
  std::function<void(std::string const&)> warn = [](std::string const& text) { fmt::print(stderr, "{}\n", text); };
  std::function<void(std::string const&)> say = [](std::string const& text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
  };
};

/// One start of a program: handles signals while it lives, knows SLURM's job and how much time is left, and says at the end how to go on. A time limit
/// that is raised or lowered while the job runs is noticed: see `BatchOptions::ask_every_s`.
///
///     Allocation allocation(options);
///     settings.stop = [&] { return allocation.stop(); };
///     trainer.on_checkpoint([&](Checkpoint const& c) { allocation.save([&] { files.save(c); }); });
///     if (!trainer.run(…)) { … close everything …; return allocation.leave("tracking train --resume RUN"); }
class Allocation {
 public:
  /// `more_reserve_s` is added to the options' reserve, for ends that are known to be long. `guarded` false: only signals count, because another process
  /// that works with this one looks at the time. Throws `Error` for bad options or a bad environment. Where SLURM cannot be asked for the time that
  /// is left, there is a warning: its signal has to come, unless SLURM answers later.
  explicit Allocation(BatchOptions options, Surroundings around = {}, double more_reserve_s = 0, bool guarded = true)
      : options_(std::move(options)), around_(std::move(around)), signals_(options_.requeue_signal), job_(slurm_job(around_.environment)) {
    check(options_.reserve_s >= 0, ErrorKind::usage, "batch.reserve_s: expected at least 0, got {}", options_.reserve_s);
    check(options_.requeue_status >= 0 && options_.requeue_status < 256, ErrorKind::usage,
          "batch.requeue_status: expected 0 to 255, got {}", options_.requeue_status);
    check(options_.ask_every_s >= 0, ErrorKind::usage, "batch.ask_every_s: expected at least 0, got {}", options_.ask_every_s);
    auto const wanted = options_.stop_after.empty() ? no_end : parse_slurm_time(options_.stop_after, "--stop-after");
    if (!guarded || (!job_ && options_.stop_after.empty())) return;
    double const left = job_ ? slurms_seconds_left() : no_end;
    guard_.emplace(left, options_.reserve_s + more_reserve_s, around_.clock);
    guard_->not_after(wanted);
    slurms_end_ = around_.clock() + left;
    if (job_ && options_.ask_every_s > 0) guard_->ask_again([this] { return ask_again(); }, options_.ask_every_s);
  }

  std::optional<SlurmJob> const& job() const { return job_; }
  /// Whether the batch system has started this before.
  bool restarted() const { return job_ && job_->restarts > 0; }
  /// One line for whoever reads the output: `SLURM job 17, requeued 2 times before, 0:59:41 left`. Empty outside SLURM without a time to stop.
  std::string text() const {
    std::string text;
    auto const add = [&](std::string const& more) { text += (text.empty() ? "" : ", ") + more; };
    if (job_) add("SLURM job " + job_->id);
    if (restarted())
      add(job_->restarts == 1 ? std::string("requeued once before") : fmt::format("requeued {} times before", job_->restarts));
    if (guard_ && std::isfinite(guard_->left())) add(slurm_time_text(guard_->left()) + " left");
    return text;
  }

  /// Whether the program has to stop here: asked at each place where it can. Once true it stays so.
  bool stop() {
    if (reason_ == StopReason::none) reason_ = signals_.reason();
    if (reason_ == StopReason::none && guard_ && guard_->up()) {
      reason_ = StopReason::time;
      left_ = guard_->left();
    }
    return stopped();
  }
  bool stopped() const { return reason_ != StopReason::none; }
  StopReason reason() const { return reason_; }
  bool stopped_by_person() const { return reason_ == StopReason::interrupt || reason_ == StopReason::terminate; }

  /// Another process of the same work stops, and so does this one; of two reasons, a person's word counts.
  void stopped_too(StopReason why) {
    if (why == StopReason::none || (reason_ != StopReason::none && reason_ <= why)) return;
    reason_ = why;
  }

  /// Why it stops, in words: `stopped in time, with 0:00:42 left`.
  std::string why_text() const {
    switch (reason_) {
      case StopReason::interrupt: return "stopped";
      case StopReason::terminate: return "stopped by SIGTERM";
      case StopReason::requeue: return "stopped by the signal to requeue";
      case StopReason::time:
        return std::isfinite(left_) ? fmt::format("stopped in time, with {} left", slurm_time_text(left_)) : "stopped in time";
      case StopReason::none: break;
    }
    return "not stopped";
  }
  /// The exit status of a start that was stopped and came further: 130 for Ctrl-C, 143 for SIGTERM, else `requeue_status`.
  int status() const { return reason_ == StopReason::interrupt ? 130 : reason_ == StopReason::terminate ? 143 : options_.requeue_status; }

  /// Calls what saves, and measures how long it takes.
  template <class F> void save(F&& f) {
    double const began = around_.clock();
    f();
    if (guard_) guard_->saved(around_.clock() - began);
  }
  /// Something was done since this start that the next one need not do again. Without that a job is not requeued, nor is its status that of one to be
  /// started again: it would go round for ever.
  void progressed() { progressed_ = true; }
  bool came_further() const { return progressed_; }

  /// Says why the program has stopped, requeues the job where that was asked for, and returns the exit status: 130 for Ctrl-C, 143 for SIGTERM,
  /// `requeue_status` where another allocation is to go on, 1 where none would come further. To be called when all files are closed: SLURM ends the
  /// job at once. `go_on` is the command line that goes on.
  int leave(std::string const& go_on) {
    auto const by_hand = go_on.empty() ? std::string() : "; go on with: " + go_on;
    auto const& say = around_.say;
    if (stopped_by_person()) {
      say(why_text() + by_hand);
      return status();
    }
    auto const why = why_text();
    if (!progressed_) {
      say(why + "; not requeued, for this allocation was too short to come any further" + by_hand);
      return 1;
    }
    auto const command = requeue_words();
    if (command.empty()) {
      say(why + by_hand);
      return options_.requeue_status;
    }
    say(why);  // before the command: it may end this process
    auto const requeued = around_.command(command, 60);
    if (requeued.ok()) {
      signals_.ignore_termination();  // SLURM sends it now
      say(job_ ? fmt::format("requeued: job {} goes on by itself", job_->id) : "requeued: goes on by itself");
    } else say(fmt::format("could not be requeued: {}{}", requeued.words(), by_hand));
    return options_.requeue_status;
  }

 private:
  static constexpr double no_end = std::numeric_limits<double>::infinity();
  double slurms_seconds_left() const {
    try {
      return seconds_left(*job_, around_.date(), around_.command).value_or(no_end);
    } catch (Error const& e) {
      around_.warn(fmt::format("{}; only a signal can stop it in time", e.what()));
      return no_end;
    }
  }
  /// What SLURM says now, and a word where that is another end than before. No answer: nothing, and nothing is said.
  std::optional<double> ask_again() {
    try {
      auto const left = seconds_left_by_squeue(*job_, around_.command, 5).value_or(no_end);  // the reserve has to outlast the question
      auto const end = around_.clock() + left;
      if (std::abs(end - slurms_end_) > 30)
        around_.warn(fmt::format("SLURM has moved the end of job {}: {}", job_->id,
                                 std::isfinite(left) ? slurm_time_text(left) + " left" : std::string("no limit any more")));
      slurms_end_ = end;
      return left;
    } catch (Error const&) { return std::nullopt; }
  }
  /// What requeues the job; empty where it is not to be.
  std::vector<std::string> requeue_words() const {
    if (options_.requeue_command == "none") return {};
    if (!options_.requeue_command.empty()) return {"sh", "-c", options_.requeue_command};
    return job_ ? std::vector<std::string>{"scontrol", "requeue", job_->id} : std::vector<std::string>{};
  }

  BatchOptions options_;
  Surroundings around_;
  Interruption signals_;
  std::optional<SlurmJob> job_;
  std::optional<TimeGuard> guard_;
  double slurms_end_ = no_end;  // by the clock
  StopReason reason_ = StopReason::none;
  double left_ = no_end;
  bool progressed_ = false;
};

}  // namespace dew
