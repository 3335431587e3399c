// SPDX-License-Identifier: BSL-1.0
#include "dew/core/task_queue.hpp"

#include <doctest/doctest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace dew;

TEST_CASE("a queue gives every task once, in order, then nothing") {
  TaskQueue tasks(3);
  for (std::int64_t expected = 0; expected < 3; ++expected) CHECK((tasks.take() == TaskQueue::Task{expected, expected, expected + 1}));
  CHECK_FALSE(tasks.take());
  CHECK_FALSE(tasks.take());
  CHECK_FALSE(TaskQueue(0).take());
}

TEST_CASE("tasks of several items follow one another, and the last takes what is left") {
  TaskQueue tasks(7, 3);
  CHECK((tasks.take() == TaskQueue::Task{0, 0, 3}));
  CHECK((tasks.take() == TaskQueue::Task{1, 3, 6}));
  CHECK((tasks.take() == TaskQueue::Task{2, 6, 7}));
  CHECK_FALSE(tasks.take());
  CHECK(TaskQueue::count(7, 3) == 3);
  CHECK(TaskQueue::count(6, 3) == 2);
  CHECK(TaskQueue::count(0, 3) == 0);
}

TEST_CASE("every task is done once, with any number of threads") {
  auto const before = at::get_num_threads();
  for (int const threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (std::int64_t const count : {0, 1, 2, 1000}) {
      std::vector<int> done(std::size_t(count), 0);
      share_tasks(count, [&](TaskQueue& tasks) {
        while (auto const task = tasks.take()) ++done[std::size_t(task->number)];
      });
      CHECK(done == std::vector<int>(std::size_t(count), 1));
      share_tasks(count, 7, [&](TaskQueue& tasks) {
        while (auto const task = tasks.take())
          for (auto i = task->begin; i < task->end; ++i) ++done[std::size_t(i)];
      });
      CHECK(done == std::vector<int>(std::size_t(count), 2));
    }
  }
  at::set_num_threads(before);
}

TEST_CASE("a thread does the tasks that another, busy one leaves") {
  auto const before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::int64_t done = 0;
  std::thread::id of_first;
  share_tasks(100, [&](TaskQueue& tasks) {
    while (auto const task = tasks.take()) {
      std::unique_lock lock(mutex);
      threads.insert(std::this_thread::get_id());
      if (task->number > 0) {
        done += std::this_thread::get_id() != of_first;
        continue;
      }
      of_first = std::this_thread::get_id();
      while (done < 99) lock.unlock(), std::this_thread::yield(), lock.lock();  // until the other thread has done all the rest
    }
  });
  at::set_num_threads(before);
  CHECK(done == 99);
  CHECK(threads.size() == 2);
}

TEST_CASE("an exception of a worker is thrown on") {
  CHECK_THROWS_WITH_AS(share_tasks(10,
                                   [](TaskQueue& tasks) {
                                     while (auto const task = tasks.take())
                                       if (task->number == 7) throw std::runtime_error("task 7");
                                   }),
                       "task 7", std::runtime_error);
}
