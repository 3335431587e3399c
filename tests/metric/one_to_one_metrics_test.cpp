// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/one_to_one_metrics.hpp"

#include <doctest/doctest.h>

#include "metric/golden_tracks.hpp"
#include "metric/styled_event.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::all_are;
using test::figures_under;
using test::one_to_one_by_definition;
using test::styled_event;
using test::StyledEvent;

namespace {
/// Hits of particles 1, 2, … (`id`) in tracks `label`; every particle with pt 2, η 0, and all its hits here.
StyledEvent simple(std::vector<std::int64_t> label, std::vector<std::int64_t> id) {
  StyledEvent e;
  e.label = std::move(label), e.id = std::move(id);
  std::map<std::int64_t, std::int64_t> hits;
  for (auto const i : e.id) hits[i] += i > 0, e.weight.push_back(1);
  for (auto const& [i, n] : hits)
    if (n > 0)
      e.truth_id.push_back(i), e.truth_hits.push_back(n), e.truth_pt.push_back(2), e.truth_eta.push_back(0),
          e.truth_reconstructable.push_back(true), e.truth_weight.push_back(double(n)), e.truth_radius.push_back(0),
          e.truth_charge.push_back(1), e.truth_primary.push_back(1);
  return e;
}
double figure(StyledEvent const& e, std::string const& name) { return figures_under(OneToOneMetrics{}(e.record()), "").at(name); }
}  // namespace

TEST_CASE("one-to-one figures are those of the definition, for all particles and in every bin") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const e = styled_event(seed + trial);
    auto const figures = OneToOneMetrics{{.radius_bins_mm = {0, 10, 30}}}(e.record());
    auto const is = [&](std::string const& prefix, auto const& also, bool pt_cut = true, bool eta_cut = true) {
      CAPTURE(prefix);
      CHECK(all_are(one_to_one_by_definition(e,
                                             [&](std::size_t p) {
                                               return also(p) && e.truth_hits[p] >= 3 && (!pt_cut || e.truth_pt[p] > 1) &&
                                                      (!eta_cut || std::abs(e.truth_eta[p]) < 2.5);
                                             }),
                    figures_under(figures, prefix)));
    };
    is("", [](std::size_t) { return true; });
    is("pt_0.5_0.9.", [&](auto p) { return e.truth_pt[p] >= 0.5 && e.truth_pt[p] < 0.9; }, false);
    is("pt_1.5_3.", [&](auto p) { return e.truth_pt[p] >= 1.5 && e.truth_pt[p] < 3; }, false);
    is("eta_3_4.", [&](auto p) { return std::abs(e.truth_eta[p]) >= 3 && std::abs(e.truth_eta[p]) < 4; }, true, false);
    is("hits_5_7.", [&](auto p) { return e.truth_hits[p] >= 5 && e.truth_hits[p] < 7; });
    is("radius_10_30.", [&](auto p) { return e.truth_radius[p] >= 10 && e.truth_radius[p] < 30; });
  }
}

TEST_CASE("one-to-one options are cuts") {
  auto const e = styled_event(7);
  OneToOneMetrics const metric{{.pt_min_gev = 0.25, .eta_max = 2, .particle_hits_min = 4, .track_hits_min = 5, .pt_bins_gev = {}}};
  auto const counts = [&](std::size_t p) { return e.truth_pt[p] > 0.25 && std::abs(e.truth_eta[p]) < 2 && e.truth_hits[p] >= 4; };
  CHECK(all_are(one_to_one_by_definition(e, counts, 5), figures_under(metric(e.record()), "")));
}

TEST_CASE("the oracle of one-to-one figures rejects wrong ones") {
  auto const e = styled_event(3);
  auto const counts = [&](std::size_t p) { return e.truth_hits[p] >= 3 && e.truth_pt[p] > 1 && std::abs(e.truth_eta[p]) < 2.5; };
  auto const expected = one_to_one_by_definition(e, counts);
  auto const good = figures_under(OneToOneMetrics{}(e.record()), "");
  REQUIRE(all_are(expected, good));
  REQUIRE(good.size() == 6);
  for (auto const& [name, value] : good) {
    auto wrong = good;
    wrong[name] += 0.01;
    CHECK_FALSE(all_are(expected, wrong));
    wrong[name] = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(all_are(expected, wrong));
  }
  auto merged = e;
  for (auto& label : merged.label) label = label == 3 ? 4 : label;
  CHECK_FALSE(all_are(one_to_one_by_definition(merged, counts), good));
}

TEST_CASE("reference values of the one-to-one style") {
  auto const golden = test::golden_tracks();
  if (!golden) return;
  auto const& config = golden->config.at("one_to_one");
  OneToOneMetrics const metric{{.pt_min_gev = config.at("pt_min_gev"),
                                .eta_max = config.at("eta_max"),
                                .particle_hits_min = config.at("min_hits"),
                                .track_hits_min = config.at("min_hits")}};
  int compared = 0;
  for (auto const& [labels, record] : golden->by_labels) {
    auto const got = figures_under(metric(record), "");
    for (auto const& [name, value] : golden->expected.at("one_to_one").at(labels).items()) {
      CAPTURE(labels);
      CAPTURE(name);
      auto const mine = name == "n_particles" ? "particles" : name == "n_tracks" ? "tracks" : name;
      if (value.is_null()) CHECK(std::isnan(got.at(mine)));
      else CHECK(got.at(mine) == doctest::Approx(value.get<double>()).epsilon(1e-9));
      ++compared;
    }
  }
  CHECK(compared > 0);
}

TEST_CASE("the larger overlap takes the particle, of equals the smaller label - the other track matches nothing") {
  CHECK(figure(simple({0, 0, 0, 0, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}), "double_majority") == 1);  // 4 of 7
  CHECK(figure(simple({0, 0, 0, 0, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}), "fake_double_majority") == 0.5);
  // both tracks share 3 hits with particle 1; label 0 is taken first, and only label 1 would be pure
  CHECK(figure(simple({0, 0, 0, 0, 1, 1, 1}, {1, 1, 1, 0, 1, 1, 1}), "lhc") == 0);
  CHECK(figure(simple({1, 1, 1, 1, 0, 0, 0}, {1, 1, 1, 0, 1, 1, 1}), "lhc") == 1);
  // a track's second best particle is not tried: 1's best is particle 1, which track 0 has; particle 2 stays alone
  CHECK(figure(simple({0, 0, 0, 0, 1, 1, 1, 1, 1, -1, -1}, {1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 0}), "particles") == 1);
  CHECK(figure(simple({0, 0, 0, 0, 1, 1, 1, 1, 1, -1}, {1, 1, 1, 1, 1, 1, 1, 2, 2, 2}), "double_majority") == 0.5);
  // of a track's equal particles the smallest id is the best one: track 0 takes particle 1, and track 1 gets what is left
  CHECK(figure(simple({0, 0, 0, 0, 0, 0, 1, 1, 1}, {2, 2, 2, 1, 1, 1, 1, 1, 1}), "lhc") == 0);
  CHECK(figure(simple({0, 0, 0, 0, 0, 0, 1, 1, 1}, {2, 2, 2, 1, 1, 1, 2, 2, 2}), "lhc") == 0.5);
}

TEST_CASE("thresholds are strict - noise is left out - dropped hits count") {
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 1, 0}), "lhc") == 0);  // precision 3/4
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 1, 0}), "double_majority") == 1);
  CHECK(figure(simple({0, 0, 0, 1, 1, 1}, {1, 1, 1, 1, 1, 1}), "double_majority") == 0);  // recall 1/2
  CHECK(figure(simple({0, 0, 0}, {0, 0, 0}), "fake_double_majority") == 1);
  CHECK(figure(simple({0, 0, 0, 0, 0}, {1, 1, 1, -1, -1}), "perfect") == 1);
  auto dropped = simple({0, 0, 0}, {1, 1, 1});
  dropped.truth_hits[0] = 5;
  CHECK(figure(dropped, "perfect") == 0);
  CHECK(figure(dropped, "double_majority") == 1);
  dropped.truth_hits[0] = 6;
  CHECK(figure(dropped, "double_majority") == 0);
  dropped.truth_pt[0] = 1;
  CHECK(figure(dropped, "particles") == 0);
  dropped.truth_pt[0] = 2, dropped.truth_eta[0] = -2.5;
  CHECK(figure(dropped, "particles") == 0);
  CHECK(std::isnan(figure(simple({}, {}), "perfect")));
  CHECK(std::isnan(figure(simple({}, {}), "fake_double_majority")));
}
