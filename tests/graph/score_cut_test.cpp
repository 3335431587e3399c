// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/score_cut.hpp"

#include <doctest/doctest.h>

using namespace dew;

TEST_CASE("edges above the threshold stay, strictly") {
  auto const event = Record{key::edge_score = at::tensor({0.2, 0.5, 0.7, 0.75}, at::kDouble)};
  CHECK(at::equal(ScoreCut{}(event), at::tensor({0, 0, 1, 1}, at::kLong) > 0));
  CHECK(at::equal(ScoreCut{{.threshold = 0.7}}(event), at::tensor({0, 0, 0, 1}, at::kLong) > 0));
  CHECK(ScoreCut{}(Record{key::edge_score = at::empty({0})}).size(0) == 0);
}
