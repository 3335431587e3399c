// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/acorn_metrics.hpp"

#include <doctest/doctest.h>

#include "metric/golden_tracks.hpp"
#include "metric/styled_event.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::acorn_by_definition;
using test::all_are;
using test::figures_under;
using test::styled_event;
using test::StyledEvent;

TEST_CASE("acorn's figures are those of the definition, for all particles and in every bin") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const e = styled_event(seed + trial);
    auto const figures = AcornMetrics{{.radius_bins_mm = {0, 10, 30}}}(e.record());
    auto const is = [&](std::string const& prefix, auto const& also, bool pt_cut = true, bool eta_cut = true) {
      CAPTURE(prefix);
      CHECK(all_are(acorn_by_definition(e,
                                        [&](std::size_t p) {
                                          return also(p) && e.truth_hits[p] >= 3 && (!pt_cut || e.truth_pt[p] >= 0.9) &&
                                                 (!eta_cut || std::abs(e.truth_eta[p]) <= 4);
                                        }),
                    figures_under(figures, prefix)));
    };
    is("", [](std::size_t) { return true; });
    is("pt_0_0.5.", [&](auto p) { return e.truth_pt[p] < 0.5; }, false);
    is("pt_0.5_0.9.", [&](auto p) { return e.truth_pt[p] >= 0.5 && e.truth_pt[p] < 0.9; }, false);
    is("pt_1.5_3.", [&](auto p) { return e.truth_pt[p] >= 1.5 && e.truth_pt[p] < 3; }, false);
    is("eta_0_1.", [&](auto p) { return std::abs(e.truth_eta[p]) < 1; }, true, false);
    is("eta_3_4.", [&](auto p) { return std::abs(e.truth_eta[p]) >= 3 && std::abs(e.truth_eta[p]) < 4; }, true, false);
    is("hits_4_5.", [&](auto p) { return e.truth_hits[p] == 4; });
    is("hits_5_7.", [&](auto p) { return e.truth_hits[p] >= 5 && e.truth_hits[p] < 7; });
    is("radius_0_10.", [&](auto p) { return e.truth_radius[p] >= 0 && e.truth_radius[p] < 10; });
    is("radius_10_30.", [&](auto p) { return e.truth_radius[p] >= 10 && e.truth_radius[p] < 30; });
  }
}

TEST_CASE("acorn's options are cuts") {
  auto const e = styled_event(7);
  AcornMetrics const metric{{.pt_min_gev = 0.25,
                             .eta_max = 2,
                             .particle_hits_min = 4,
                             .track_hits_min = 5,
                             .matching_fraction = 0.75,
                             .radius_max_mm = 20,
                             .pt_bins_gev = {},
                             .eta_bins = {},
                             .hits_bins = {},
                             .radius_bins_mm = {}}};
  auto const figures = metric(e.record());
  CHECK(figures.size() == 14);
  auto const fiducial = [&](std::size_t p) {
    return e.truth_pt[p] >= 0.25 && std::abs(e.truth_eta[p]) <= 2 && e.truth_hits[p] >= 4 && e.truth_radius[p] >= 0 &&
           e.truth_radius[p] <= 20;
  };
  auto const expected = acorn_by_definition(e, fiducial, 0.75 + 1e-6, 5);
  CHECK(all_are(expected, figures_under(figures, "")));
  CHECK(expected.at("particles") > 0);
  CHECK_THROWS_WITH_AS(metric(e.TrackingEvent::record()),
                       "acorn.radius_max_mm needs the key truth_radius, which the event source does not give", Error);
  CHECK_THROWS_WITH_AS((AcornMetrics{{.eta_bins = {0, 2, 1}}}(e.record())), "eta_bins: expected ascending edges of bins, got 2 before 1",
                       Error);
}

TEST_CASE("acorn's fiducial particles by charge and origin") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const e = styled_event(seed + trial);
    for (auto const charge : {CountedCharge::any, CountedCharge::charged, CountedCharge::positive, CountedCharge::negative})
      for (bool const primary : {false, true}) {
        auto const fiducial = [&](std::size_t p) {
          auto const q = e.truth_charge[p];
          bool const counted = charge == CountedCharge::any || (charge == CountedCharge::charged && q != 0) ||
                               (charge == CountedCharge::positive && q == 1) || (charge == CountedCharge::negative && q == -1);
          return e.truth_hits[p] >= 3 && e.truth_pt[p] >= 0.9 && std::abs(e.truth_eta[p]) <= 4 && counted &&
                 (!primary || e.truth_primary[p] == 1);
        };
        CHECK(
            all_are(acorn_by_definition(e, fiducial), figures_under(AcornMetrics{{.charge = charge, .primary = primary}}(e.record()), "")));
      }
  }
}

// Of the event's fiducial particles 1, 2, 3, 4, 5, 7, 8, 10 acorn's first matching finds 1 (twice), 2 and 8; the charge and the origin of 10 are
// unknown.
TEST_CASE("charge and origin in the event made by hand") {
  auto const e = test::event_by_hand();
  auto const figures = [&](CountedCharge charge, bool primary) {
    auto const all = figures_under(AcornMetrics{{.charge = charge, .primary = primary}}(e.record()), "");
    return std::vector{all.at("particles"), all.at("atlas.found"), all.at("atlas.efficiency")};
  };
  CHECK(figures(CountedCharge::any, false) == std::vector<double>{8, 3, 3. / 8});
  CHECK(figures(CountedCharge::charged, false) == std::vector<double>{7, 3, 3. / 7});
  CHECK(figures(CountedCharge::positive, false) == std::vector<double>{4, 1, 1. / 4});  // 1, 3, 5, 7
  CHECK(figures(CountedCharge::negative, false) == std::vector<double>{3, 2, 2. / 3});  // 2, 4, 8
  CHECK(figures(CountedCharge::any, true) == std::vector<double>{4, 1, 1. / 4});        // 1, 4, 5, 7
  CHECK(figures(CountedCharge::negative, true) == std::vector<double>{1, 0, 0});        // 4
}

TEST_CASE("what the truth does not say of any particle cannot be asked for") {
  auto e = test::event_by_hand();
  auto const message = [&](auto const& record, AcornMetrics const& metric) -> std::string {
    try {
      metric(record);
      return "no error";
    } catch (Error const& error) {
      CHECK(error.kind() == ErrorKind::usage);
      return error.what();
    }
  };
  AcornMetrics const by_charge{{.charge = CountedCharge::charged}}, by_origin{{.primary = true}};
  CHECK(message(e.TrackingEvent::record(), by_charge) == "acorn.charge needs the key truth_charge, which the event source does not give");
  CHECK(message(e.TrackingEvent::record(), by_origin) == "acorn.primary needs the key truth_primary, which the event source does not give");
  std::fill(e.truth_charge.begin(), e.truth_charge.end(), 0);
  CHECK(message(e.record(), by_origin) == "no error");
  CHECK(message(e.record(), by_charge) == "acorn.charge needs the key truth_charge, which the event's truth gives for no particle");
  std::fill(e.truth_primary.begin(), e.truth_primary.end(), -1);
  CHECK(message(e.record(), by_origin) == "acorn.primary needs the key truth_primary, which the event's truth gives for no particle");
  CHECK(message(StyledEvent{}.record(), by_origin) == "no error");
}

TEST_CASE("the oracle of acorn's figures rejects wrong ones") {
  auto const e = styled_event(3);
  auto const fiducial = [&](std::size_t p) { return e.truth_hits[p] >= 3 && e.truth_pt[p] >= 0.9 && std::abs(e.truth_eta[p]) <= 4; };
  auto const expected = acorn_by_definition(e, fiducial);
  auto const good = figures_under(AcornMetrics{}(e.record()), "");
  REQUIRE(all_are(expected, good));
  REQUIRE(good.size() == 14);
  for (auto const& [name, value] : good) {
    auto wrong = good;
    wrong[name] += 0.01;
    CHECK_FALSE(all_are(expected, wrong));
    wrong[name] = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(all_are(expected, wrong));
  }
  auto merged = e;
  for (auto& label : merged.label) label = label == 3 ? 4 : label;
  CHECK_FALSE(all_are(acorn_by_definition(merged, fiducial), good));
}

TEST_CASE("reference values of acorn's matchings") {
  auto const golden = test::golden_tracks();
  if (!golden) return;
  AcornMetrics const metric{{.pt_min_gev = golden->config.at("acorn").at("pt_min_gev"),
                             .eta_max = golden->config.at("acorn").at("eta_max"),
                             .particle_hits_min = golden->config.at("acorn").at("min_particle_length"),
                             .track_hits_min = golden->config.at("acorn").at("min_track_length"),
                             .matching_fraction = golden->config.at("acorn").at("matching_fraction")}};
  int compared = 0;
  for (auto const& [labels, record] : golden->by_labels) {
    auto const got = figures_under(metric(record), "");
    for (std::string const style : {"ATLAS", "one_way", "two_way"}) {
      auto const& expected = golden->expected.at("acorn").at(fmt::format("{}.{}", labels, style));
      for (auto const& [name, value] : expected.items()) {
        CAPTURE(labels);
        CAPTURE(style);
        CAPTURE(name);
        auto const mine = name == "n_particles" ? std::string("particles")
                          : name == "n_tracks"  ? std::string("tracks")
                                                : (style == "ATLAS" ? "atlas" : style) + "." + name;
        if (value.is_null()) CHECK(std::isnan(got.at(mine)));
        else CHECK(got.at(mine) == doctest::Approx(value.get<double>()).epsilon(1e-9));
        ++compared;
      }
    }
  }
  CHECK(compared > 0);
}

TEST_CASE("the matching fraction is not enough by itself: half of a track's hits match nothing") {
  StyledEvent e{{{0, 0, 0, 0}, {1, 1, 2, 2}, {1, 2}, {2, 2}, {2, 2}, {0, 0}, {false, false}}, {0, 0, 0, 0}, {0, 0}, {0, 0}, {0, 0}, {1, 1}};
  auto figures = figures_under(AcornMetrics{{.particle_hits_min = 2}}(e.record()), "");
  CHECK(figures.at("atlas.efficiency") == 0);
  CHECK(figures.at("atlas.fake") == 1);
  CHECK(figures.at("one_way.efficiency") == 1);  // by the particle's hits both are found
  CHECK(figures.at("one_way.fake") == 1);
  CHECK(figures.at("one_way.duplicates") == 0);
  CHECK(figures.at("two_way.efficiency") == 0);
  e.id[2] = 1, e.truth_hits = {3, 1};
  figures = figures_under(AcornMetrics{{.particle_hits_min = 2}}(e.record()), "");
  CHECK(figures.at("two_way.efficiency") == 1);
  CHECK(figures.at("two_way.fake") == 0);
}

TEST_CASE("a pt of 0.9 in float is at the cut, an |eta| of 4 too - nothing there is undefined") {
  StyledEvent e{{{0, 0, 0}, {1, 1, 1}, {1}, {3}, {0.9}, {-4}, {true}}, {0, 0, 0}, {0}, {0}, {0}, {1}};
  for (auto const real : {at::kFloat, at::kDouble}) {
    auto const figures = AcornMetrics{}(e.record(real));
    CHECK(figures_under(figures, "").at("atlas.efficiency") == 1);
    CHECK(figures_under(figures, "pt_0.9_1.5.").at("particles") == 1);
    CHECK(figures_under(figures, "pt_0.5_0.9.").at("particles") == 0);
    CHECK(std::isnan(figures_under(figures, "eta_3_4.").at("atlas.efficiency")));
  }
  auto const none = figures_under(AcornMetrics{}(StyledEvent{}.record()), "");
  CHECK(std::isnan(none.at("atlas.efficiency")));
  CHECK(std::isnan(none.at("two_way.fake")));
  CHECK(std::isnan(none.at("two_way.duplicates")));
  CHECK(none.at("tracks") == 0);
  e.truth_id[0] = 2;
  CHECK_THROWS_WITH_AS(AcornMetrics{}(e.record()), doctest::Contains("particle 1 has hits but no row in truth_id"), Error);
}
