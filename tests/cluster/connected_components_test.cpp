// SPDX-License-Identifier: BSL-1.0
#include "dew/cluster/connected_components.hpp"

#include <doctest/doctest.h>

using namespace dew;

namespace {
Tensor integers(std::vector<std::int64_t> const& values) { return at::tensor(values, at::kLong); }
}  // namespace

TEST_CASE("components over edges above the score, single hits alone") {
  // 0-2 (0.9), 2-4 (0.5), 1-3 (0.2), 5 alone
  auto const graph = Record{key::position = at::zeros({6, 3}), key::edge_index = integers({0, 2, 1, 2, 4, 3}).reshape({2, 3})};
  CHECK(at::equal(ConnectedComponents{}(graph)[key::label], integers({0, 1, 0, 1, 0, 2})));  // no scores: all edges
  auto const scored = graph.with(key::edge_score = at::tensor({0.9, 0.5, 0.2}, at::kFloat));
  CHECK(at::equal(ConnectedComponents{}(scored)[key::label], integers({0, 1, 0, 2, 3, 4})));  // 0.5 is not above 0.5
  CHECK(at::equal(ConnectedComponents{{.score_min = 0.1}}(scored)[key::label], integers({0, 1, 0, 1, 0, 2})));
  CHECK(at::equal(ConnectedComponents{{.score_min = 0.95}}(scored)[key::label], integers({0, 1, 2, 3, 4, 5})));
}

TEST_CASE("a scan's candidates run from the lowest to the highest score") {
  auto const candidates = ConnectedComponents::Scan{.score_low = 0.2, .score_high = 0.8, .steps = 4}.candidates();
  REQUIRE(candidates.size() == 4);
  CHECK(candidates[0].score_min == 0.2);
  CHECK(candidates[3].score_min == doctest::Approx(0.8));
  CHECK_THROWS_AS(ConnectedComponents::Scan{.steps = 0}.candidates(), Error);
}

TEST_CASE("no hit, no edge") {
  auto const none = integers({}).reshape({2, 0});
  CHECK(ConnectedComponents{}(Record{key::position = at::zeros({0, 3}), key::edge_index = none})[key::label].size(0) == 0);
  CHECK(at::equal(ConnectedComponents{}(Record{key::position = at::zeros({1, 3}), key::edge_index = none})[key::label], integers({0})));
}
