// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/component_tracking.hpp"

#include <doctest/doctest.h>

#include "dew/cluster/connected_components.hpp"
#include "metric/tracking_event.hpp"

using namespace dew;

namespace {
/// Edges between hits that are near in the list, with scores that know something of the truth.
auto scored_event(std::uint32_t seed) {
  auto const event = test::tracking_event(seed);
  std::mt19937 random(seed);
  std::vector<std::int64_t> source, target;
  std::vector<double> score;
  for (std::size_t i = 0; i < event.id.size(); ++i)
    for (std::size_t j = i + 1; j < event.id.size(); ++j) {
      bool const same = event.id[i] == event.id[j] && event.id[i] > 0;
      if (!same && random() % 20 != 0) continue;
      source.push_back(std::int64_t(i)), target.push_back(std::int64_t(j));
      score.push_back(double(random() % 80) / 100 + (same ? 0.2 : 0));
    }
  return event.record(at::kDouble)
      .with(key::edge_index = at::stack({at::tensor(source, at::kLong), at::tensor(target, at::kLong)}),
            key::edge_score = at::tensor(score, at::kDouble), key::position = at::zeros({std::int64_t(event.id.size()), 3}, at::kDouble));
}
}  // namespace

TEST_CASE("figures are those of connected components at each score") {
  auto const event = scored_event(1);
  ComponentTracking const metric{{.scores = {0.3, 0.7, 0.9}}};
  auto const figures = metric(event);
  REQUIRE(figures.size() == 4 * 8 + 1);
  std::size_t at = 0;
  double best = -1;
  for (double score : {0.3, 0.7, 0.9}) {
    auto const labels = ConnectedComponents{{.score_min = score}}(event);
    auto const expected = TrackMatching(event.merge(labels)).score({.pt_min_gev = 0.9});
    for (auto const& [name, value] : expected) {
      CHECK(figures[at].first == fmt::format("score{}.{}", score, name));
      CHECK(test::are_figures({{name, value}}, {{name, figures[at++].second}}));
    }
    best = std::max(best, expected.front().second);
  }
  CHECK(figures[at].first == "best.double_majority");
  CHECK(figures[at].second == best);
  CHECK(figures.back().first == "best.score");
}

TEST_CASE("the best score is the lowest of equal ones, and undefined without particles") {
  auto const event = scored_event(2);
  CHECK(ComponentTracking{{.scores = {0.401, 0.402}}}(event).back().second == 0.401);  // scores are hundredths: one graph
  ComponentTracking const none{{.scores = {0.5}, .pt_min_gev = 1000}};
  CHECK(std::isnan(none(event).back().second));
  CHECK(ComponentTracking{{.scores = {}}}(event).empty());
}
