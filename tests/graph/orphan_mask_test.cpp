// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/orphan_mask.hpp"

#include <doctest/doctest.h>

using namespace dew;

namespace {
Tensor mask(std::vector<std::int64_t> const& values) { return at::tensor(values, at::kLong) > 0; }
}  // namespace

TEST_CASE("hits without edges are dropped, by score where there is one") {
  auto const event =
      Record{key::position = at::zeros({5, 3}), key::edge_index = at::tensor({0, 1, 1, 3}, at::kLong).reshape({2, 2})};  // 0-1, 1-3
  CHECK(at::equal(OrphanMask{}(event), mask({1, 1, 0, 1, 0})));
  auto const scored = event.with(key::edge_score = at::tensor({0.5, 0.3}, at::kFloat));
  CHECK(at::equal(OrphanMask{}(scored), mask({1, 1, 0, 1, 0})));
  CHECK(at::equal(OrphanMask{{.score_min = 0.4}}(scored), mask({1, 1, 0, 0, 0})));
  CHECK(at::equal(OrphanMask{{.score_min = 0.5}}(scored), mask({0, 0, 0, 0, 0})));  // strictly
  CHECK(at::equal(OrphanMask{{.score_min = 0.4}}(event), mask({1, 1, 0, 1, 0})));   // no scores: all edges
}

TEST_CASE("switched off, every hit stays") {
  auto const event = Record{key::position = at::zeros({3, 3}), key::edge_index = at::tensor({0, 1}, at::kLong).reshape({2, 1})};
  CHECK(at::equal(OrphanMask{{.enabled = false}}(event), mask({1, 1, 1})));
}

TEST_CASE("no edge, no hit that stays - no hit, no mask") {
  auto const none = at::empty({2, 0}, at::kLong);
  CHECK(at::equal(OrphanMask{}(Record{key::position = at::zeros({2, 3}), key::edge_index = none}), mask({0, 0})));
  CHECK(OrphanMask{}(Record{key::position = at::zeros({0, 3}), key::edge_index = none}).size(0) == 0);
}
