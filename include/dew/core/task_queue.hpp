// SPDX-License-Identifier: BSL-1.0
// TaskQueue: tasks of unequal cost, shared among threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "dew/core/torch.hpp"

namespace dew {

/// The numbers 0 … count − 1, each of which one thread takes.
class TaskQueue {
 public:
  explicit TaskQueue(std::int64_t count) : count_(count) {}
  /// A task that nobody else gets, in ascending order; nothing when all are taken.
  std::optional<std::int64_t> take() {
    auto const task = next_.fetch_add(1, std::memory_order_relaxed);
    return task < count_ ? std::optional(task) : std::nullopt;
  }

 private:
  std::atomic<std::int64_t> next_ = 0;
  std::int64_t count_;
};

/// Calls `worker(tasks)` on as many of ATen's threads as there are tasks for; each takes the next task when it is done with one, so that
/// none waits for another's dear ones, and one that comes late does less. For tasks of some 10 µs and more: `at::parallel_for` cuts a range
/// into equal parts beforehand. Which thread does which task is not fixed: results may depend on a task's number alone. An exception of a
/// worker is thrown on when all have ended.
///
///     share_tasks(n, [&](TaskQueue& tasks) {
///       Scratch scratch;  // of this thread
///       while (auto const task = tasks.take()) results[*task] = …;
///     });
template <class Worker>
void share_tasks(std::int64_t count, Worker&& worker) {
  TaskQueue tasks(count);
  auto const workers = std::min(count, std::int64_t(at::get_num_threads()));
  at::parallel_for(0, workers, 1, [&](std::int64_t, std::int64_t) { worker(tasks); });
}

}  // namespace dew
