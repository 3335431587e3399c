// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/score_scan.hpp"

#include <doctest/doctest.h>

#include "metric/two_chains.hpp"

using namespace dew;
using test::two_chains;
using test::values;

TEST_CASE("a scan over the score: the graph of the edges above each cut") {
  auto const got = values(ScoreScan{{.thresholds = {0, 0.2, 0.3, 0.95}}}(two_chains()));
  CHECK(got.size() == 16);
  CHECK(got.at("0.edges") == 7);
  CHECK(got.at("0.2.edges") == 6);
  CHECK(got.at("0.2.whole") == 1);
  CHECK(got.at("0.3.edges") == 4);  // strictly above: 3 of 4 hits of the first, 2 and 2 of the second are together
  CHECK(got.at("0.3.whole") == 0);
  CHECK(got.at("0.3.more_than_half") == 0.5);
  CHECK(got.at("0.3.more_than_three_quarters") == 0);
  CHECK(got.at("0.95.more_than_half") == 0);
  CHECK(values(ScoreScan{{.thresholds = {0}, .pt_min_gev = 3}}(two_chains())).at("0.edges") == 7);
  CHECK(std::isnan(values(ScoreScan{{.thresholds = {0}, .pt_min_gev = 3}}(two_chains())).at("0.whole")));
}

TEST_CASE("a scan in a summary: the means of its events, place by place") {
  Summary summary;
  ScoreScan const metric{{.thresholds = {0.2, 0.3}}};
  summary.add(metric(two_chains()), "score_scan.");
  summary.add(metric(two_chains().with(key::edge_score = at::full({7}, 0.25, at::kDouble))), "score_scan.");
  summary.add("segments.whole", 0.25);
  auto const scan = scan_in(summary, "score_scan");
  CHECK(scan.places() == std::vector<double>{0.2, 0.3});
  CHECK(scan.at(0.2).mean("edges") == 6.5);
  CHECK(scan.at(0.3).mean("edges") == 2);
  CHECK(scan.at(0.3).mean("more_than_half") == 0.25);
  CHECK(scan_in(summary, "neighbour_scan").places().empty());
}
