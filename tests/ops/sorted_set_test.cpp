// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/sorted_set.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>

TEST_CASE("a sorted set gives back what it holds, once") {
  std::mt19937 random(9);
  dew::detail::SortedSet set(20000);
  for (std::size_t size : {0, 1, 5, 300, 5000}) {
    std::set<std::int32_t> expected;
    while (expected.size() < size) expected.insert(std::int32_t(random() % 20000));
    for (auto const i : expected) set.insert(i);
    std::vector<std::int32_t> got;
    set.take([&](std::int32_t i) { got.push_back(i); });
    CHECK((got == std::vector<std::int32_t>(expected.begin(), expected.end())));
  }
}
