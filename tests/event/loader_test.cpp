// SPDX-License-Identifier: BSL-1.0
#include "dew/event/loader.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <numeric>
#include <semaphore>
#include <set>
#include <stdexcept>

#include "dew/event/schema.hpp"

using namespace dew;

namespace {
std::vector<std::int64_t> numbers(std::int64_t n) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 100);
  return out;
}
HitRecord tiny_event(std::int64_t id) {
  return HitRecord{key::hit_id = at::full({1}, id, at::kLong), key::position = at::zeros({1, 3}), key::layer = at::zeros({1}, at::kLong),
                   key::hit_features = at::zeros({1, 6})};
}
/// A source whose events are tiny.
struct TinySource {
  static constexpr std::string_view name = "tiny";
  std::vector<std::int64_t> ids() const { return numbers(5); }
  HitRecord hits(std::int64_t id) const { return tiny_event(id); }
  HitRecord labelled(std::int64_t id) const { return tiny_event(-id); }
};
}  // namespace

TEST_CASE("a loader yields every event once, in the given order, for any number of workers") {
  std::vector<std::int64_t> const ids{7, 3, 3, 9, 1, 12, 5, 0, 8};
  for (std::int64_t workers : {0, 1, 2, 5})
    for (std::int64_t ahead : {1, 2, 20}) {
      CAPTURE(workers);
      CAPTURE(ahead);
      Loader loader(ids, [](std::int64_t id) { return 10 * id; }, {.ahead = ahead, .workers = workers});
      std::vector<std::int64_t> seen;
      while (auto item = loader.next()) {
        CHECK(item->second == 10 * item->first);
        seen.push_back(item->first);
      }
      CHECK(seen == ids);
      CHECK_FALSE(loader.next());
    }
}

TEST_CASE("a loader keeps the order when later events are ready first") {
  std::latch others(3);  // the first event is done only after the three behind it
  Loader loader(numbers(6),
                [&](std::int64_t id) {
                  if (id == 100) others.wait();
                  else if (id <= 103) others.count_down();
                  return id;
                },
                {.ahead = 4, .workers = 2});
  std::vector<std::int64_t> seen;
  for (auto& [id, event] : loader) seen.push_back(event);
  CHECK(seen == numbers(6));
}

TEST_CASE("a loader works ahead, but never further than it may") {
  constexpr std::int64_t ahead = 3, count = 40;
  std::atomic<std::int64_t> begun = 0, taken = 0;
  std::atomic<bool> too_far = false;
  std::counting_semaphore<count> beginnings(0);
  Loader loader(numbers(count),
                [&](std::int64_t id) {
                  if (++begun > taken + ahead + 1) too_far = true;  // the consumer may have taken one that it has not counted yet
                  beginnings.release();
                  return id;
                },
                {.ahead = ahead, .workers = 2});
  for (std::int64_t i = 0; i < ahead; ++i)
    beginnings.acquire();  // before anything is asked for: a loader that does not work ahead hangs here
  CHECK(begun == ahead);
  while (loader.next()) {
    ++taken;
    if (taken + ahead <= count) beginnings.acquire();  // taking one lets one more begin
  }
  CHECK(begun == count);
  CHECK_FALSE(too_far);
}

TEST_CASE("what a worker throws comes to the consumer in order, and ends the loader") {
  for (std::int64_t workers : {0, 1, 3}) {
    CAPTURE(workers);
    Loader loader(numbers(10),
                  [](std::int64_t id) {
                    if (id >= 104) fail(ErrorKind::input, "event {} is broken", id);
                    return id;
                  },
                  {.ahead = 8, .workers = workers});
    for (std::int64_t id = 100; id < 104; ++id) CHECK(loader.next()->second == id);
    CHECK_THROWS_WITH_AS(loader.next(), "event 104 is broken", Error);
    CHECK_FALSE(loader.next());
  }
}

TEST_CASE("a loader that is left early stops: it begins no more events") {
  std::atomic<std::int64_t> begun = 0;
  {
    Loader loader(numbers(1000), [&](std::int64_t id) { return ++begun, id; }, {.ahead = 4, .workers = 2});
    CHECK(loader.next()->first == 100);
  }
  CHECK(begun <= 5);
  Loader never_asked(numbers(10), [](std::int64_t id) { return id; }, {.ahead = 2, .workers = 2});
  Loader nothing({}, [](std::int64_t id) { return id; });
  CHECK_FALSE(nothing.next());
}

TEST_CASE("workers compute alone: on other threads, without gradients, on one intra-op thread") {
  at::set_num_threads(2);
  auto const consumer = std::this_thread::get_id();
  struct Seen {
    bool grad, other_thread;
    int threads;
    std::int64_t pieces;
  };
  auto const look = [consumer](std::int64_t) {
    std::atomic<std::int64_t> pieces = 0;
    at::parallel_for(0, 1000, 1, [&](std::int64_t, std::int64_t) { ++pieces; });
    return Seen{at::GradMode::is_enabled(), std::this_thread::get_id() != consumer, at::get_num_threads(), pieces};
  };
  at::AutoGradMode const grad(true);
  for (std::int64_t workers : {1, 2})
    for (auto& [id, seen] : Loader(numbers(4), look, {.ahead = 2, .workers = workers})) {
      CHECK_FALSE(seen.grad);
      CHECK(seen.other_thread);
      CHECK(seen.threads == 1);
      CHECK(seen.pieces == 1);
    }
  for (auto& [id, seen] : Loader(numbers(2), look, {.ahead = 1, .workers = 0})) {
    CHECK_FALSE(seen.grad);
    CHECK_FALSE(seen.other_thread);
  }
  CHECK(at::GradMode::is_enabled());
  CHECK(at::get_num_threads() == 2);  // the consumer's own number is left alone
}

TEST_CASE("a loader of a source's events, bare and labelled") {
  TinySource const source;
  std::int64_t sum = 0;
  for (auto& [id, event] : load_hits(source, source.ids())) sum += event[key::hit_id].item<std::int64_t>();
  CHECK(sum == 100 + 101 + 102 + 103 + 104);
  for (auto& [id, event] : load_labelled(source, {7}, {.ahead = 1, .workers = 1})) CHECK(event[key::hit_id].item<std::int64_t>() == -7);
}

TEST_CASE("a loader refuses options that make no sense") {
  auto const load = [](std::int64_t id) { return id; };
  CHECK_THROWS_WITH_AS(Loader(numbers(2), load, {.ahead = 0, .workers = 1}), "loader: expected ahead ≥ 1, got 0", Error);
  CHECK_THROWS_WITH_AS(Loader(numbers(2), load, {.ahead = 1, .workers = -1}), "loader: expected workers ≥ 0, got -1", Error);
}
