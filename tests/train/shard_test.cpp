// SPDX-License-Identifier: BSL-1.0
#include "dew/train/shard.hpp"

#include <numeric>

using namespace dew;

TEST_CASE("shards have no event in common and together have all") {
  for (std::int64_t const events : {0, 1, 7, 16})
    for (std::int64_t const count : {1, 2, 3, 16}) {
      CAPTURE(events);
      CAPTURE(count);
      std::vector<std::int64_t> all(std::size_t(events), 0), together;
      std::iota(all.begin(), all.end(), 100);
      for (std::int64_t i = 0; i < count; ++i) {
        auto const part = Shard{i, count}.of(all);
        CHECK(std::ssize(part) <= (events + count - 1) / count);
        together.insert(together.end(), part.begin(), part.end());
      }
      std::sort(together.begin(), together.end());
      CHECK(together == all);
    }
}

TEST_CASE("a shard is every n-th event") {
  CHECK(Shard{1, 3}.of({10, 11, 12, 13, 14, 15, 16}) == std::vector<std::int64_t>{11, 14});
  CHECK(Shard{0, 3}.of({10, 11, 12, 13, 14, 15, 16}) == std::vector<std::int64_t>{10, 13, 16});
}

TEST_CASE("a shard is divided further among processes") {
  std::vector<std::int64_t> all(20), together;
  std::iota(all.begin(), all.end(), 0);
  for (int task = 0; task < 3; ++task)
    for (int rank = 0; rank < 2; ++rank) {
      auto const part = Shard{task, 3}.divided({.rank = rank, .size = 2}).of(all);
      together.insert(together.end(), part.begin(), part.end());
    }
  std::sort(together.begin(), together.end());
  CHECK(together == all);
  CHECK((Shard{2, 3}.divided({}) == Shard{2, 3}));
}

TEST_CASE("shards are counted from one") {
  CHECK((parse_shard("3/16") == Shard{2, 16}));
  CHECK(parse_shard("3/16").text() == "3/16");
  CHECK(parse_shard("1/1").whole());
  for (auto const* wrong : {"0/4", "5/4", "4", "/4", "1/", "1/4x", "-1/4", "a/b", "", "1/2000000"})
    CHECK_THROWS_WITH_AS(parse_shard(wrong),
                         fmt::format("--shard: expected something from 1/N to N/N, such as 3/16, got '{}'", wrong).c_str(), Error);
}
