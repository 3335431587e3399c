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

TEST_CASE("a scan's thresholds, and how well each cut tells true from false edges") {
  ScoreCut::Scan const grid{.low = 0, .high = 1, .steps = 5};
  auto const candidates = grid.candidates();
  REQUIRE(candidates.size() == 5);
  CHECK(candidates[1].threshold == 0.25);
  CHECK(ScoreCut::Scan{.low = 0.3, .steps = 1}.candidates().front().threshold == 0.3);
  CHECK_THROWS_AS(((void)ScoreCut::Scan{.low = 0.9, .high = 0.1}.candidates()), Error);
  CHECK_THROWS_AS(((void)ScoreCut::Scan{.steps = 0}.candidates()), Error);

  // edges 0 to 5 between hits 0 to 6; the last one ends at an unknown hit
  using Event = RecordOf<ScoreCut::Scan::Reads>;
  auto const event = [](std::vector<float> const& scores, std::vector<std::int64_t> const& truth) {
    auto const ends = at::arange(6, at::kLong);
    return Event{key::edge_score = at::tensor(scores), key::edge_truth = at::tensor(truth) > 0,
                 key::edge_index = at::stack({ends, ends + 1}),
                 key::particle_id = at::tensor(std::vector<std::int64_t>{1, 1, 2, 2, 0, 3, -1})};
  };
  auto const e = event({0.9F, 0.25F, 0.8F, 0.1F, 0.6F, 0.99F}, {1, 1, 1, 0, 0, 1});
  // kept of 3 true and 2 false: τ = 0: 3 and 2; 0.25 (strictly): 2 and 1; 0.5: 2 and 1; 0.75: 2 and 0; 1: none
  std::vector<double> const f1{6.0 / 8, 4.0 / 6, 4.0 / 6, 4.0 / 5, 0};
  std::vector<double> const balanced{0.5, (2.0 / 3 + 0.5) / 2, (2.0 / 3 + 0.5) / 2, (2.0 / 3 + 1) / 2, 0.5};
  std::vector<double> const mcc{0, (2 * 1 - 1 * 1) / std::sqrt(3.0 * 3 * 2 * 2), (2 * 1 - 1 * 1) / std::sqrt(3.0 * 3 * 2 * 2),
                                (2 * 2 - 0) / std::sqrt(2.0 * 3 * 2 * 3), 0};
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(grid.figures(e, "f1")[i] == doctest::Approx(f1[i]));
    CHECK(grid.figures(e, "balanced_accuracy")[i] == doctest::Approx(balanced[i]));
    CHECK(grid.figures(e, "mcc")[i] == doctest::Approx(mcc[i]));
  }
  CHECK(std::isnan(
      grid.figures(event({0.9F, 0.2F, 0.8F, 0.1F, 0.6F, 0.9F}, {1, 1, 1, 1, 1, 0}), "f1")[0]));  // no false edge between known hits
  CHECK_THROWS_WITH_AS(((void)grid.figures(e, "f2")),
                       "score_cut.scan: expected score_cut.f1, score_cut.mcc or score_cut.balanced_accuracy, got score_cut.f2", Error);
}
