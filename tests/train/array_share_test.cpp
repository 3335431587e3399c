// SPDX-License-Identifier: BSL-1.0
#include "dew/train/array_share.hpp"

using namespace dew;

TEST_CASE("each event is held back by one fold and trained on by the others") {
  std::vector<std::int64_t> const events{11, 12, 13, 14, 15, 16, 17};
  std::map<std::int64_t, int> held_back;
  for (std::int64_t k = 0; k < 3; ++k) {
    auto const fold = fold_of(events, {k + 5, k, 3});
    CHECK((fold.validate.size() == 2 || fold.validate.size() == 3));
    auto all = fold.train;
    all.insert(all.end(), fold.validate.begin(), fold.validate.end());
    std::sort(all.begin(), all.end());
    CHECK(all == events);
    for (auto const id : fold.validate) ++held_back[id];
  }
  CHECK(held_back.size() == events.size());
  for (auto const& [id, times] : held_back) CHECK(times == 1);
  CHECK(fold_of(events, {1, 1, 3}).validate == std::vector<std::int64_t>{12, 15});
  CHECK_THROWS_WITH_AS(fold_of(events, {0, 0, 1}), "folds: an array of at least two tasks is needed, this one has 1", Error);
  CHECK_THROWS_WITH_AS(fold_of(events, {0, 0, 8}), "folds: 7 events are too few for 8 tasks", Error);
}

TEST_CASE("the shares of all tasks are the whole list, and equally long") {
  for (std::size_t n : {0, 1, 5, 12, 100})
    for (std::int64_t count : {1, 2, 3, 7, 12}) {
      CAPTURE(n);
      CAPTURE(count);
      std::vector<std::int64_t> events(n), together;
      std::iota(events.begin(), events.end(), 40);
      for (std::int64_t k = 0; k < count; ++k) {
        auto const share = share_of(events, {k, k, count});
        CHECK(std::abs(double(share.size()) - double(n) / double(count)) < 1);
        together.insert(together.end(), share.begin(), share.end());
      }
      CHECK(together == events);
    }
}

TEST_CASE("a task's folder is named after its number") {
  CHECK(task_folder({3, 0, 9}) == "task-0003");
  CHECK(task_folder({12345, 0, 9}) == "task-12345");
}
