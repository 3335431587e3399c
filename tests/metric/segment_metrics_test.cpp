// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/segment_metrics.hpp"

#include <doctest/doctest.h>

#include "metric/small_graph.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::small_graph;
using test::SmallGraph;

namespace {
/// By the lengths of all paths, through a particle's own hits and through all.
std::vector<ParticleSegments> by_definition(SmallGraph const& g) {
  auto const own = test::all_paths(g, [&](auto i, auto j) { return g.same(i, j); });
  auto const any = test::all_paths(g, [](auto, auto) { return true; });
  std::vector<ParticleSegments> out;
  for (std::size_t p = 0; p < g.truth_id.size(); ++p) {
    std::vector<std::vector<std::size_t>> segments;
    ParticleSegments found{std::int64_t(p), g.truth_hits[p], 0, 0, 0, 0};
    for (std::size_t i = 0; i < g.id.size(); ++i) {
      if (g.id[i] != g.truth_id[p]) continue;
      std::int64_t near = 0;
      for (std::size_t j = 0; j < g.id.size(); ++j) near += g.id[j] == g.id[i] && std::isfinite(any[i][j]);
      found.component_hits = std::max(found.component_hits, near);
      auto const at = std::find_if(segments.begin(), segments.end(), [&](auto const& s) { return std::isfinite(own[s[0]][i]); });
      if (at == segments.end()) segments.push_back({i});
      else at->push_back(i);
    }
    std::stable_sort(segments.begin(), segments.end(), [](auto const& a, auto const& b) { return a.size() > b.size(); });
    found.segments = std::int64_t(segments.size());
    if (!segments.empty()) found.largest = std::int64_t(segments[0].size());
    if (segments.size() > 1) {
      found.gap = std::numeric_limits<double>::infinity();
      for (auto const i : segments[0])
        for (auto const j : segments[1]) found.gap = std::min(found.gap, any[i][j]);
    }
    out.push_back(found);
  }
  return out;
}
bool equal(std::vector<ParticleSegments> const& a, std::vector<ParticleSegments> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto const& p, auto const& q) {
    return std::tuple(p.particle, p.hits, p.segments, p.largest, p.component_hits, p.gap) ==
           std::tuple(q.particle, q.hits, q.segments, q.largest, q.component_hits, q.gap);
  });
}
std::vector<ParticleSegments> segments_of(SmallGraph const& g) {
  auto const r = g.graph();
  return particle_segments(r[key::edge_index], r[key::particle_id], r[key::truth_id], r[key::truth_hits],
                           at::ones_like(r[key::truth_reconstructable]));
}
/// Particle 1 in two segments, 0-1-2 and 3-4, joined through noise hits 5 and 6: 2 to 5 to 6 to 3; particle 2 alone at 7.
SmallGraph in_two_segments() {
  SmallGraph g;
  g.id = {1, 1, 1, 1, 1, 0, 0, 2}, g.label.assign(8, -1);
  g.truth_id = {1, 2}, g.truth_hits = {6, 3}, g.truth_pt = {2, 2}, g.truth_eta = {0, 0}, g.truth_reconstructable = {true, true};
  g.source = {0, 1, 3, 2, 5, 6}, g.target = {1, 2, 4, 5, 6, 3};
  return g;
}
std::map<std::string, double> named(Figures const& figures) { return {figures.begin(), figures.end()}; }
}  // namespace

TEST_CASE("segments, components and gaps are those of the definition") {
  auto const seed = test::seed_of_input();
  int gaps = 0;
  for (std::uint32_t trial = 0; trial < 40; ++trial) {
    auto const g = small_graph(seed + trial);
    auto const expected = by_definition(g);
    CHECK(equal(segments_of(g), expected));
    for (auto const& p : expected) gaps += p.gap > 0 && std::isfinite(p.gap);
  }
  CHECK(gaps > 10);
}

TEST_CASE("the oracle of segments rejects wrong ones") {
  auto const g = small_graph(1);
  auto const good = segments_of(g);
  REQUIRE(equal(good, by_definition(g)));
  for (std::size_t p = 0; p < good.size(); ++p)
    for (int what = 0; what < 4; ++what) {
      auto wrong = good;
      if (what == 0) ++wrong[p].segments;
      if (what == 1) ++wrong[p].largest;
      if (what == 2) ++wrong[p].component_hits;
      if (what == 3) wrong[p].gap = wrong[p].gap == 3 ? 2 : 3;
      CHECK_FALSE(equal(wrong, by_definition(g)));
    }
  auto fewer = g;
  for (std::size_t e = 0; e < g.source.size(); ++e)
    if (g.same(std::size_t(g.source[e]), std::size_t(g.target[e]))) {
      fewer.source.clear(), fewer.target.clear();
      break;
    }
  CHECK_FALSE(equal(by_definition(fewer), good));
}

TEST_CASE("figures of segments: shares of all hits, gaps over those that have one") {
  auto g = in_two_segments();
  auto figures = named(SegmentMetrics{}(g.graph()));
  // of particle 1's 6 hits one was dropped: 3 in the largest segment, 5 in the component; of particle 2's 3 hits there is one
  CHECK(figures.at("at_least_half") == 0.5);
  CHECK(figures.at("more_than_half") == 0);
  CHECK(figures.at("at_least_three_quarters") == 0);
  CHECK(figures.at("component_at_least_three_quarters") == 0.5);
  CHECK(figures.at("component_whole") == 0);
  CHECK(figures.at("largest") == doctest::Approx((0.5 + 1. / 3) / 2));
  CHECK(figures.at("component") == doctest::Approx((5. / 6 + 1. / 3) / 2));
  CHECK(figures.at("segments") == 1.5);
  CHECK(figures.at("gap") == 3);
  CHECK(figures.at("no_path") == 0);
  CHECK(figures.at("particles") == 2);
  g.truth_hits = {4, 1};  // as if: 3 of 4 and 1 of 1
  figures = named(SegmentMetrics{}(g.graph()));
  CHECK(figures.at("at_least_three_quarters") == 1);
  CHECK(figures.at("more_than_three_quarters") == 0.5);
  CHECK(figures.at("whole") == 0.5);
  g.source.pop_back(), g.target.pop_back();  // no way from 6 to 3
  figures = named(SegmentMetrics{}(g.graph()));
  CHECK(std::isnan(figures.at("gap")));
  CHECK(figures.at("no_path") == 1);
  g.truth_pt = {0.9, 2};  // not above the cut
  CHECK(named(SegmentMetrics{}(g.graph(at::kFloat))).at("particles") == 1);
  CHECK(std::isnan(named(SegmentMetrics{{.pt_min_gev = 9}}(g.graph())).at("largest")));
}
