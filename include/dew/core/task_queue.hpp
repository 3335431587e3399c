// SPDX-License-Identifier: BSL-1.0
// TaskQueue: tasks of unequal cost, shared among threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "dew/core/torch.hpp"

namespace dew {

/// Items 0 … items − 1 in tasks of `size` ≥ 1 that follow one another (the last may be smaller), each of which one thread takes.
class TaskQueue {
 public:
  /// Which task, and its items begin … end − 1.
  struct Task {
    std::int64_t number, begin, end;
    bool operator==(Task const&) const = default;
  };

  explicit TaskQueue(std::int64_t items, std::int64_t size = 1) : items_(items), size_(size) {}
  /// How many tasks so many items make.
  static std::int64_t count(std::int64_t items, std::int64_t size) { return (items + size - 1) / size; }
  /// A task that nobody else gets, in ascending order; nothing when all are taken.
  std::optional<Task> take() {
    auto const number = next_.fetch_add(1, std::memory_order_relaxed), begin = number * size_;
    return begin < items_ ? std::optional(Task{number, begin, std::min(items_, begin + size_)}) : std::nullopt;
  }

 private:
  std::atomic<std::int64_t> next_ = 0;
  std::int64_t items_, size_;
};

/// Calls `worker(tasks)` on as many of ATen's threads as there are tasks for; each takes the next task when it is done with one, so that
/// none waits for another's dear ones, and one that comes late does less. For tasks of some 10 µs and more: `at::parallel_for` cuts a range
/// into equal parts beforehand. Which thread does which task is not fixed: results may depend on a task alone. An exception of a worker is
/// thrown on when all have ended.
///
///     share_tasks(n, 256, [&](TaskQueue& tasks) {
///       Scratch scratch;  // of this thread
///       while (auto const task = tasks.take())
///         for (auto i = task->begin; i < task->end; ++i) results[i] = …;
///     });
template <class Worker>
void share_tasks(std::int64_t items, std::int64_t size, Worker&& worker) {
  TaskQueue tasks(items, size);
  auto const workers = std::min(TaskQueue::count(items, size), std::int64_t(at::get_num_threads()));
  at::parallel_for(0, workers, 1, [&](std::int64_t, std::int64_t) { worker(tasks); });
}
/// The same with a task for each item.
template <class Worker>
void share_tasks(std::int64_t items, Worker&& worker) {
  share_tasks(items, 1, worker);
}

}  // namespace dew
