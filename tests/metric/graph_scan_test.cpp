// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/graph_scan.hpp"

#include <doctest/doctest.h>

#include <random>

#include "dew/metric/segment_metrics.hpp"
#include "metric/small_graph.hpp"

using namespace dew;

TEST_CASE("means over events at each place - targets are read off the curve of one figure, the others at the same place") {
  GraphScan scan;
  // more_than_half: 0.7, 0.9 at 1 and 0.8, 1 at 3, so 0.8 and 0.9: the line 0.75 + 0.05·k; edges 10·k, and no figure c in one event
  scan.add(1, {{"more_than_half", 0.7}, {"edges", 10}, {"c", 1}});
  scan.add(3, {{"more_than_half", 0.8}, {"edges", 30}, {"c", std::nan("")}});
  scan.add(1, {{"more_than_half", 0.9}, {"edges", 10}, {"c", 3}});
  scan.add(3, {{"more_than_half", 1.0}, {"edges", 30}, {"c", std::nan("")}});
  CHECK(scan.places() == std::vector<double>{1, 3});
  CHECK(scan.at(1).mean("more_than_half") == doctest::Approx(0.8));
  auto const at = scan.at_target("more_than_half", 0.85);
  REQUIRE(at.size() == 4);
  CHECK(at[0].first == "at");
  CHECK(at[0].second == doctest::Approx(2));
  CHECK(at[1].second == doctest::Approx(0.85));
  CHECK(at[2].second == doctest::Approx(20));
  CHECK(std::isnan(at[3].second));  // one point only
  for (double const target : {0.91, 0.79})
    for (auto const& [name, value] : scan.at_target("more_than_half", target)) CHECK(std::isnan(value));
  CHECK_FALSE(scan.curve("c"));
  CHECK_THROWS_AS(scan.at(2), Error);
  auto const text = scan.text("more_than_half", {0.85, 0.95});
  CHECK(text ==
        "    target         at more_than_half      edges          c\n"
        "                    1         0.8000    10.0000     2.0000\n"
        "                    3         0.9000    30.0000        nan\n"
        "      0.85          2         0.8500    20.0000        nan\n"
        "      0.95        nan            nan        nan        nan\n");
  GraphScan bent;  // the curve rises to 0.9125 between the points, but no graph was that good
  for (auto const& [x, y] : {std::pair(1, 0.8), std::pair(2, 0.9), std::pair(3, 0.9), std::pair(4, 0.8)}) bent.add(x, {{"a", y}});
  CHECK((*bent.curve("a"))(2.5) == doctest::Approx(0.9125));
  CHECK(std::isnan(bent.at_target("a", 0.905).front().second));
  CHECK(bent.at_target("a", 0.9).front().second == doctest::Approx(2));
  GraphScan const empty;
  CHECK(std::isnan(empty.at_target("a", 0.8).front().second));
  CHECK(empty.text("a").empty());
  GraphScan one;
  one.add(1, {{"a", 1}});
  CHECK(std::isnan(one.at_target("a", 0.8).front().second));
}

TEST_CASE("a scan over neighbours makes each k's graph and stops when there are too many edges") {
  auto const points = at::tensor({0.0, 0.3, 0.9, 2.5}, at::kDouble).unsqueeze(1);
  GraphScan scan;
  auto const count = [](Tensor const& edges) { return Figures{{"edges", double(edges.size(1))}}; };
  scan_over_neighbours(scan, points, count, 3, 1);
  // k = 1: 0 ← 1, 1 ← 0, 2 ← 1; 3's neighbour is too far. k = 2: 0 ← 2, 1 ← 2, 2 ← 0 too
  CHECK(scan.places() == std::vector<double>{1, 2, 3});
  CHECK(scan.at(1).mean("edges") == 3);
  CHECK(scan.at(2).mean("edges") == 6);
  CHECK(scan.at(3).mean("edges") == 6);
  GraphScan stopped;
  scan_over_neighbours(stopped, points, count, 3, 1, 5);
  CHECK(stopped.places() == std::vector<double>{1});
}

TEST_CASE("a scan over scores keeps what is above each - segments can only fall apart") {
  auto const g = test::small_graph(3);
  auto const record = g.graph();
  auto const without_edges = record.only<DifferenceOf<SegmentMetrics::Reads, Keys<EdgeIndex>>>();
  std::mt19937 random(1);
  std::vector<double> w;
  for (std::size_t e = 0; e < g.source.size(); ++e) w.push_back(double(random() % 10) / 10);
  GraphScan scan;
  scan_over_score(scan, at::tensor(w, at::kDouble), {-1, 0.3, 0.5, 1}, [&](Tensor const& kept) {
    return SegmentMetrics{{.pt_min_gev = 0}}(without_edges.with(key::edge_index = record[key::edge_index].index_select(1, kept)));
  });
  CHECK(scan.places().size() == 4);
  CHECK(scan.at(-1).mean("largest") == std::map<std::string, double>([&] {
          auto const f = SegmentMetrics{{.pt_min_gev = 0}}(record);
          return std::map<std::string, double>(f.begin(), f.end());
        }())["largest"]);
  CHECK(scan.at(-1).mean("largest") >= scan.at(0.3).mean("largest"));
  CHECK(scan.at(0.3).mean("largest") >= scan.at(0.5).mean("largest"));
  CHECK(scan.at(0.5).mean("largest") > scan.at(1).mean("largest"));
  GraphScan strict;
  scan_over_score(strict, at::tensor({0.5, 0.6}, at::kDouble), {0.5},
                  [](Tensor const& kept) { return Figures{{"n", double(kept.size(0))}}; });
  CHECK(strict.at(0.5).mean("n") == 1);
}
