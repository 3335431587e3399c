// SPDX-License-Identifier: BSL-1.0
#include "dew/event/id_index.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace dew;

TEST_CASE("an index finds the rows of identifiers, as a map does") {
  auto const seed = 11U;
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (std::size_t n : {0, 1, 2, 3, 100, 5000}) {
    std::map<std::int64_t, std::int64_t> map;
    std::vector<std::int64_t> ids;
    while (ids.size() < n) {
      auto const id = ids.size() % 3 == 0 ? std::int64_t(random()) : std::int64_t(random() % 7) << (random() % 50);  // far apart, and alike
      if (map.emplace(id, std::int64_t(ids.size())).second || random() % 100 == 0) {
        map.emplace(id, std::int64_t(ids.size()));
        ids.push_back(id);
      }
      if (map.size() > 4000) break;
      if (ids.size() % 3 != 0 && random() % 2) ids.push_back(std::int64_t(random())), map.emplace(ids.back(), std::int64_t(ids.size()) - 1);
    }
    IdIndex const index(ids);
    for (auto const& [id, row] : map) CHECK(index.row(id) == row);
    for (int i = 0; i < 1000; ++i) {
      auto const id = std::int64_t(random());
      CHECK(index.row(id) == (map.contains(id) ? map[id] : -1));
    }
  }
  std::vector<std::int64_t> const extreme{INT64_MIN, INT64_MAX, 0, -1};
  IdIndex const index(extreme);
  for (std::int64_t row = 0; row < 4; ++row) CHECK(index.row(extreme[std::size_t(row)]) == row);
  CHECK(index.row(1) == -1);
}

TEST_CASE("an index tells the first identifier that stands twice, and keeps its first row") {
  std::vector<std::int64_t> const ids{5, 7, 5, 7, 9};
  IdIndex const index(ids);
  CHECK(index.duplicate() == 2);
  CHECK(index.row(5) == 0);
  CHECK(index.row(9) == 4);
  CHECK(IdIndex(std::span(ids).first(2)).duplicate() == -1);
}
