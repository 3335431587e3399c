// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/matched_particles.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace dew;

namespace {
auto particles(at::ScalarType real) {
  return Record{key::truth_id = at::tensor({2, 4, 9}, at::kLong), key::truth_pt = at::tensor({0.9, 0.5, 3.0}, at::kDouble).to(real),
                key::truth_eta = at::tensor({-1.0, 0.5, 3.9}, at::kDouble).to(real), key::truth_hits = at::tensor({4, 8, 2}, at::kLong),
                key::truth_reconstructable = at::tensor({1, 1, 0}, at::kLong) > 0};
}
}  // namespace

TEST_CASE("a selection's lower limits belong to it and its upper ones do not, in float too") {
  for (auto const real : {at::kFloat, at::kDouble}) {
    MatchedParticles const p(particles(real));
    CHECK(p.selected(0, {.pt_min_gev = 0.9}));
    CHECK_FALSE(p.selected(0, {.pt_max_gev = 0.9}));
    CHECK(p.selected(0, {.eta_min = 1}));
    CHECK_FALSE(p.selected(0, {.eta_max = 1}));
    CHECK(p.selected(1, {.hits_min = 8}));
    CHECK_FALSE(p.selected(1, {.hits_max = 8}));
    CHECK_FALSE(p.selected(2, {}));  // not reconstructable
    CHECK(p.count({}) == 2);
    CHECK(p.count({.pt_min_gev = 0.6}) == 1);
    CHECK_FALSE(p.selected(0, {.radius_min_mm = 0}));  // unknown
  }
}

TEST_CASE("particles as small numbers, and a track's match with one") {
  MatchedParticles const p(particles(at::kDouble));
  CHECK(p.numbers_of({9, 0, 5, 2, -1, 5, 7}) == std::vector<std::int64_t>{2, 3, 4, 0, 5, 4, 6});
  auto const match = p.match(6, 4, 2, 9);
  CHECK(match.particle == 2);
  CHECK(match.particle_hits == 2);
  CHECK(match.hits == 6);
  CHECK(match.shared == 4);
  CHECK(p.match(6, 4, 3, 0).particle == -1);
  CHECK_THROWS_WITH_AS((void)p.match(6, 4, 4, 5), doctest::Contains("particle 5 has hits but no row in truth_id"), Error);
}

TEST_CASE("labels become small where they are not, and equal ones stay equal") {
  std::vector<std::int64_t> labels{5, 0, -1, 5}, before = labels;
  dew::detail::make_small(labels);
  CHECK(labels == before);
  labels = {8, std::int64_t(1) << 50, -3, 8};
  dew::detail::make_small(labels);
  CHECK(labels == std::vector<std::int64_t>{0, 1, -3, 0});
}

TEST_CASE("counts of matches take tracks in and out again") {
  MatchCounts counts{.particles = 4};
  TrackMatch const perfect{4, 4, 0, 4}, majority{5, 4, 0, 6}, merged{8, 4, 0, 4};
  CHECK((perfect.perfect() && perfect.double_majority() && perfect.lhc()));
  CHECK((!majority.perfect() && majority.double_majority() && majority.lhc()));
  CHECK((!merged.perfect() && !merged.double_majority() && !merged.lhc()));
  counts.add(perfect), counts.add(majority), counts.add(merged);
  auto const before = counts;
  auto const figures = counts.figures();
  std::map<std::string, double> const named(figures.begin(), figures.end());
  CHECK(named.at("double_majority") == 0.5);
  CHECK(named.at("perfect") == 0.25);
  CHECK(named.at("lhc") == doctest::Approx(2. / 3));
  CHECK(named.at("fake_double_majority") == doctest::Approx(1. / 3));
  CHECK(named.at("fake_perfect") == doctest::Approx(2. / 3));
  CHECK(named.at("tracks") == 3);
  counts.add(majority, -1);
  CHECK(counts != before);
  counts.add(majority);
  CHECK(counts == before);
}
