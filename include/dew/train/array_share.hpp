// SPDX-License-Identifier: BSL-1.0
// What one task of a job array does of the whole: a seed, a fold or a range of events.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/train/slurm.hpp"

namespace dew {

/// What the tasks of a job array divide among them.
enum class ArraySplit {
  none,
  seeds,   ///< a training each, with seeds one after the other
  folds,   ///< cross validation: a training each, with another part of the events held back
  events,  ///< the events of `run` and `export`
};
constexpr auto names_of(ArraySplit) { return std::array{"none", "seeds", "folds", "events"}; }

/// The events of a fold.
struct Fold { std::vector<std::int64_t> train, validate; };

/// K-fold cross validation over K tasks: task k validates on the events k, k + K, k + 2K, … of the list and trains on the others, so that each event
/// is held back once. Throws `Error` (usage) for fewer than two tasks and for fewer events than tasks.
inline Fold fold_of(std::vector<std::int64_t> const& events, ArrayTask const& task) {
  check(task.count >= 2, ErrorKind::usage, "folds: an array of at least two tasks is needed, this one has {}", task.count);
  check(std::ssize(events) >= task.count, ErrorKind::usage, "folds: {} events are too few for {} tasks", events.size(), task.count);
  Fold fold;
  for (std::size_t i = 0; i < events.size(); ++i)
    (std::int64_t(i) % task.count == task.index ? fold.validate : fold.train).push_back(events[i]);
  return fold;
}

/// The task's part of a list: as long as the others' but for one, in the list's order. Empty for some when there are more tasks than events.
inline std::vector<std::int64_t> share_of(std::vector<std::int64_t> const& events, ArrayTask const& task) {
  auto const at = [&](std::int64_t index) { return events.begin() + std::ptrdiff_t(std::ssize(events) * index / task.count); };
  return {at(task.index), at(task.index + 1)};
}

/// The name of a task's run folder in that of the array: `task-0003`.
inline std::string task_folder(ArrayTask const& task) { return fmt::format("task-{:04}", task.id); }

}  // namespace dew
