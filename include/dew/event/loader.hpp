// SPDX-License-Identifier: BSL-1.0
// Loader: events in a given order, prepared ahead by other threads.
#pragma once
#include <ATen/Parallel.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "dew/core/options.hpp"
#include "dew/core/policy.hpp"

namespace dew {

/// How far and by how many threads events are prepared ahead.
struct LoaderOptions {
  using Options = LoaderOptions;
  std::int64_t ahead = 2;
  std::int64_t workers = 1;
  static constexpr auto describe() {
    return hana::make_tuple(DEW_OPTION(ahead, "", "events that are ready or being made before they are asked for"),
                            DEW_OPTION(workers, "", "threads that make them; 0: none, each is made when it is asked for"));
  }
  bool operator==(LoaderOptions const&) const = default;
};

namespace detail {
/// Makes the calling thread one that computes alone: no gradients, one intra-op thread.
inline void become_worker() {
  // LibTorch sets a new thread's number at its first parallel loop, once in the library and once in the program: before us, not after.
  at::internal::lazy_init_num_threads();
  at::get_num_threads();
#ifdef _OPENMP
  omp_set_num_threads(1);  // of this thread alone
#endif
}
}  // namespace detail

/// Yields `load(id)` for every id in order, made ahead by worker threads: never more than `ahead` events are being made or wait to be taken.
///
///     for (auto& [id, event] : load_labelled(source, ids)) train_on(event);
///
/// `load` is called from several threads at once; it must be const in what it shares, make CPU records and draw no numbers from LibTorch's
/// global generator. It runs without gradients and, in a worker, on one intra-op thread. What it throws is thrown to the consumer when its
/// event's turn comes, and then the loader is at its end. Destroying a loader early waits for the calls that are running, no longer. One
/// consumer at a time. Memory: `ahead` events.
template <class Load>
class Loader {
 public:
  using Event = std::remove_cvref_t<std::invoke_result_t<Load const&, std::int64_t>>;
  using Item = std::pair<std::int64_t, Event>;  ///< number and event

  Loader(std::vector<std::int64_t> ids, Load load, LoaderOptions const& options = {}) : ids_(std::move(ids)), load_(std::move(load)) {
    check(options.workers >= 0, ErrorKind::usage, "loader: expected workers ≥ 0, got {}", options.workers);
    check(options.ahead >= 1, ErrorKind::usage, "loader: expected ahead ≥ 1, got {}", options.ahead);
    ahead_ = std::size_t(options.ahead);
    auto const workers = std::min({std::size_t(options.workers), ids_.size(), ahead_});
    try {
      for (std::size_t i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Loader() { stop(); }
  Loader(Loader const&) = delete;
  Loader& operator=(Loader const&) = delete;

  /// The next event; none at the end. Throws what making it threw.
  std::optional<Item> next() {
    if (taken_ == ids_.size()) return std::nullopt;
    auto result = workers_.empty() ? make(taken_) : wait_for_next();
    if (result.error) {
      stop();
      taken_ = ids_.size();
      std::rethrow_exception(result.error);
    }
    return Item(ids_[taken_ - 1], std::move(*result.event));
  }

  /// What a range-for goes through: each event once.
  class Iterator {
   public:
    explicit Iterator(Loader& loader) : loader_(loader), item_(loader.next()) {}
    Item& operator*() { return *item_; }
    Iterator& operator++() {
      item_.reset();  // before the next is asked for: it may be large
      item_ = loader_.next();
      return *this;
    }
    bool operator==(std::nullptr_t) const { return !item_; }

   private:
    Loader& loader_;
    std::optional<Item> item_;
  };
  Iterator begin() { return Iterator(*this); }
  std::nullptr_t end() const { return nullptr; }

 private:
  struct Result {
    std::optional<Event> event;
    std::exception_ptr error;
    bool ready = false;
  };

  /// Makes the event at a place in the order; never throws.
  Result made(std::size_t place) const {
    at::NoGradGuard const no_grad;
    Result out;
    try {
      out.event.emplace(load_(ids_[place]));
    } catch (...) { out.error = std::current_exception(); }
    out.ready = true;
    return out;
  }
  Result make(std::size_t place) {
    ++taken_;
    return made(place);
  }
  Result wait_for_next() {
    std::unique_lock lock(mutex_);
    is_ready_.wait(lock, [&] { return !results_.empty() && results_.front().ready; });
    auto result = std::move(results_.front());
    results_.pop_front();
    ++taken_;
    lock.unlock();
    may_start_.notify_one();
    return result;
  }
  void work() {
    detail::become_worker();
    std::unique_lock lock(mutex_);
    for (;;) {
      may_start_.wait(lock, [&] { return stopping_ || started_ == ids_.size() || started_ < taken_ + ahead_; });
      if (stopping_ || started_ == ids_.size()) return;
      auto const place = started_++;
      results_.emplace_back();
      lock.unlock();
      auto result = made(place);
      lock.lock();
      results_[place - taken_] = std::move(result);  // what was taken meanwhile stood in front
      is_ready_.notify_one();
    }
  }
  void stop() {
    {
      std::scoped_lock const lock(mutex_);
      stopping_ = true;
    }
    may_start_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  std::vector<std::int64_t> ids_;
  Load load_;
  std::size_t ahead_ = 1;
  std::mutex mutex_;
  std::condition_variable may_start_, is_ready_;
  std::size_t started_ = 0;     // events that a worker has begun
  std::size_t taken_ = 0;       // events that the consumer has got
  std::deque<Result> results_;  // of the events from taken_ to started_
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

/// The hits of a source's events. The source must outlive the loader.
template <EventSource Source>
auto load_hits(Source const& source, std::vector<std::int64_t> ids, LoaderOptions const& options = {}) {
  return Loader(std::move(ids), [&source](std::int64_t id) { return source.hits(id); }, options);
}
/// The same with their truth.
template <EventSource Source>
auto load_labelled(Source const& source, std::vector<std::int64_t> ids, LoaderOptions const& options = {}) {
  return Loader(std::move(ids), [&source](std::int64_t id) { return source.labelled(id); }, options);
}

}  // namespace dew
