// SPDX-License-Identifier: BSL-1.0
// SLURM as a program sees it: its job and its task of a job array by the environment, the time that is left by squeue.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/command.hpp"
#include "dew/core/environment.hpp"
#include "dew/core/error.hpp"
#include "dew/train/slurm_time.hpp"

namespace dew {

namespace detail {
/// A whole number that is not negative in the environment; nothing where the variable is not set or empty. Throws `Error` (input) naming it.
inline std::optional<std::int64_t> number_in(Environment const& environment, std::string const& name) {
  auto const text = environment(name);
  if (!text || text->empty()) return std::nullopt;
  std::int64_t value = 0;
  auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  check(error == std::errc() && end == text->data() + text->size() && value >= 0, ErrorKind::input,
        "{} in the environment: expected a number, got '{}'", name, *text);
  return value;
}
}  // namespace detail

/// The job that a program runs in.
struct SlurmJob {
  std::string id;                         ///< as `scontrol` and `squeue` take it: `17`, or `17_3` for a task of an array
  std::int64_t restarts = 0;              ///< how often it was requeued before
  std::optional<std::int64_t> ends = {};  ///< seconds since 1970, where SLURM says so in the environment (since 23.02)
  bool operator==(SlurmJob const&) const = default;
};

/// The job of this environment, from SLURM_JOB_ID, SLURM_ARRAY_JOB_ID, SLURM_ARRAY_TASK_ID, SLURM_RESTART_COUNT and SLURM_JOB_END_TIME; nothing
/// outside SLURM. Throws `Error` (input) for what is no number.
inline std::optional<SlurmJob> slurm_job(Environment const& environment) {
  auto const id = detail::number_in(environment, "SLURM_JOB_ID");
  if (!id) return std::nullopt;
  SlurmJob job{.id = fmt::to_string(*id),
               .restarts = detail::number_in(environment, "SLURM_RESTART_COUNT").value_or(0),
               .ends = detail::number_in(environment, "SLURM_JOB_END_TIME")};
  auto const array = detail::number_in(environment, "SLURM_ARRAY_JOB_ID"), task = detail::number_in(environment, "SLURM_ARRAY_TASK_ID");
  if (array && task) job.id = fmt::format("{}_{}", *array, *task);  // the number of one task is that of the whole array
  return job;
}

/// Seconds that a job has left by `squeue`; nothing where it has no limit. Throws `Error` (input) when there is no answer in that time.
inline std::optional<double> seconds_left_by_squeue(SlurmJob const& job, RunCommand const& command = run_command, double patience_s = 20) {
  auto const asked = command({"squeue", "--noheader", "--jobs", job.id, "--Format", "TimeLeft"}, patience_s);
  check(asked.ok(), ErrorKind::input, "squeue does not say how much time job {} has left: {}", job.id, asked.words());
  auto const first = asked.output.find_first_not_of(" \t\r\n");
  check(first != std::string::npos, ErrorKind::input, "squeue does not say how much time job {} has left", job.id);
  auto const text = asked.output.substr(first, asked.output.find_first_of(" \t\r\n", first) - first);
  if (text == "UNLIMITED" || text == "NOT_SET" || text == "INVALID") return std::nullopt;
  try {
    return parse_slurm_time(text, "squeue");
  } catch (Error const& e) { fail(ErrorKind::input, "{}", e.what()); }
}

/// The same at a job's start: from SLURM's environment, else `squeue` is asked. `now_s` is seconds since 1970.
inline std::optional<double> seconds_left(SlurmJob const& job, double now_s, RunCommand const& command = run_command) {
  if (job.ends && double(*job.ends) > now_s) return double(*job.ends) - now_s;
  return seconds_left_by_squeue(job, command);
}

// ---- job arrays -----------------------------------------------------------------------------------------------------------------------------
/// One task of a job array: its number there, and which of how many it is, from 0.
struct ArrayTask {
  std::int64_t id, index, count;
  bool operator==(ArrayTask const&) const = default;
};

/// The numbers of a job array as SLURM's `--array` takes them: `0-9`, `1,5,9`, `0-15:4`, each with `%4` behind it (how many run at once). Rising.
/// Throws `Error` (usage).
inline std::vector<std::int64_t> array_ids(std::string_view text) {
  constexpr std::int64_t most = 4'194'304;  // SLURM's own limit
  auto rest = text;
  auto const number = [&] {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    check(error == std::errc() && value >= 0 && value < most, ErrorKind::usage,
          "tasks of an array: expected something like 0-9 or 1,5,9, got '{}'", text);
    rest.remove_prefix(std::size_t(end - rest.data()));
    return value;
  };
  auto const more = [&](char mark) {
    bool const there = rest.starts_with(mark);
    if (there) rest.remove_prefix(1);
    return there;
  };
  std::vector<std::int64_t> ids;
  do {
    auto const first = number();
    auto const last = more('-') ? number() : first;
    auto const step = more(':') ? number() : 1;
    check(first <= last && step > 0, ErrorKind::usage, "tasks of an array: expected something like 0-9 or 1,5,9, got '{}'", text);
    for (auto id = first; id <= last; id += step) ids.push_back(id);
  } while (more(','));
  if (more('%')) (void)number();
  check(rest.empty(), ErrorKind::usage, "tasks of an array: expected something like 0-9 or 1,5,9, got '{}'", text);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

/// The task of this environment. `tasks` are all of its array, as `array_ids` takes them, so that a few of them can be submitted again; empty: those
/// of the environment (SLURM_ARRAY_TASK_MIN, _COUNT, _STEP, _MAX), which have to have equal distances. Throws `Error` (usage) where there is no
/// array.
inline ArrayTask array_task(Environment const& environment, std::string const& tasks = {}) {
  auto const in = [&](char const* name) { return detail::number_in(environment, std::string("SLURM_ARRAY_TASK_") + name); };
  auto const id = in("ID");
  check(id.has_value(), ErrorKind::usage,
        "this is no task of a job array: SLURM_ARRAY_TASK_ID is not set (sbatch --array sets it; elsewhere set it and "
        "SLURM_ARRAY_TASK_COUNT)");
  if (!tasks.empty()) {
    auto const ids = array_ids(tasks);
    auto const at = std::lower_bound(ids.begin(), ids.end(), *id);
    check(at != ids.end() && *at == *id, ErrorKind::usage, "task {} is none of the array's tasks {}", *id, tasks);
    return {*id, at - ids.begin(), std::ssize(ids)};
  }
  auto const count = in("COUNT");
  check(count.has_value() && *count > 0, ErrorKind::usage,
        "how many tasks has the array? SLURM_ARRAY_TASK_COUNT is not set, and batch.array_tasks neither");
  auto const least = in("MIN").value_or(0), step = std::max<std::int64_t>(1, in("STEP").value_or(1));
  auto const most = in("MAX").value_or(least + step * (*count - 1));
  check(most - least == step * (*count - 1), ErrorKind::usage,
        "the {} tasks from {} to {} have unequal distances: name them all with --batch.array_tasks, such as 1,5,9", *count, least, most);
  check(*id >= least && *id <= most && (*id - least) % step == 0, ErrorKind::usage, "task {} is none of the array's tasks {}-{}:{}", *id,
        least, most, step);
  return {*id, (*id - least) / step, *count};
}

}  // namespace dew
