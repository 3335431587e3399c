// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/style_table.hpp"

#include <doctest/doctest.h>

#include "metric/styled_event.hpp"

using namespace dew;

namespace {
template <class R> Summary measured(std::vector<R> const& events) {
  Summary summary;
  for (auto const& event : events)
    std::apply([&](auto const&... m) { (summary.add(m(event), std::string(m.name) + "."), ...); }, all_styles());
  return summary;
}
}  // namespace

// Each number below is argued from the list of particles and tracks at `event_by_hand`.
TEST_CASE("an event made by hand: ties, split, merged and dirty tracks, dropped and unknown hits, in every style") {
  auto const event = test::event_by_hand().record();
  auto const summary = measured<std::remove_const_t<decltype(event)>>({event});
  auto const figure = [&](std::string const& name) { return summary.mean(name); };

  SUBCASE("reference") {
    // pt ≥ 0.9, |η| < 4, reconstructable: all but 6 (pt) and 9 (2 hits)
    CHECK(figure("tracking.pt0.9.particles") == 8);
    // majorities: 10 and 11 have 1; 20 has 2; 30 has 4, whose first hit comes first; 80 has 8. 50 and 99 have noise, 60 and 90 a particle that
    // is not selected
    CHECK(figure("tracking.pt0.9.tracks") == 5);
    // 20 (f = g = 1) and 80 (f = g = 4/5); 10 and 11 have g = 1/2, 30 has f = 1/2
    CHECK(figure("tracking.pt0.9.double_majority") == 2. / 8);
    CHECK(figure("tracking.pt0.9.perfect") == 1. / 8);
    CHECK(figure("tracking.pt0.9.lhc") == 4. / 5);  // all but 30
    CHECK(figure("tracking.pt0.9.fake_double_majority") == 3. / 5);
    CHECK(figure("tracking.pt0.9.fake_perfect") == 4. / 5);
    CHECK(figure("tracking.pt0.9.fake_lhc") == 1. / 5);
    CHECK(figure("tracking.hits_5_7.particles") == 3);  // 1, 5, 8
    CHECK(figure("tracking.hits_5_7.double_majority") == 1. / 3);
    CHECK(figure("tracking.radius_30_70.double_majority") == 1);  // 8
    CHECK(figure("tracking.radius_0_1.particles") == 4);          // 1, 4, 5, 7; where 10 was made is not known
  }
  SUBCASE("acorn") {
    CHECK(figure("acorn.particles") == 8);
    CHECK(figure("acorn.tracks") == 9);
    // p > 1/2: (10, 1), (11, 1), (20, 2), (60, 6), (80, 8), (90, 9). Fiducial: 1 twice, 2, 8
    CHECK(figure("acorn.atlas.efficiency") == 3. / 8);
    CHECK(figure("acorn.atlas.found") == 3);
    CHECK(figure("acorn.atlas.fake") == 3. / 9);        // 30, 50, 99
    CHECK(figure("acorn.atlas.duplicates") == 1. / 3);  // 1 by 11
    // ε > 1/2: 2 in 20, 3 and 4 in 30, 8 in 80 (and 6 and 9, not fiducial); 1 has half of its hits in either track
    CHECK(figure("acorn.one_way.efficiency") == 4. / 8);
    CHECK(figure("acorn.one_way.fake") == 3. / 9);
    CHECK(figure("acorn.one_way.duplicates") == 0);
    // both: (20, 2), (60, 6), (80, 8), (90, 9)
    CHECK(figure("acorn.two_way.efficiency") == 2. / 8);
    CHECK(figure("acorn.two_way.fake") == 5. / 9);
    CHECK(figure("acorn.two_way.duplicates") == 0);
    CHECK(figure("acorn.hits_5_7.atlas.efficiency") == 2. / 3);  // 1 and 8, not 5
    CHECK(figure("acorn.hits_5_7.atlas.duplicates") == 1. / 2);
    CHECK(figure("acorn.pt_0.5_0.9.atlas.efficiency") == 1);  // 6: in bins of pt the cut on pt is not there
    CHECK(figure("acorn.eta_3_4.one_way.efficiency") == 1);   // 4 and 8
    CHECK(figure("acorn.radius_1_10.two_way.efficiency") == 1);
  }
  SUBCASE("one-to-one") {
    // pt > 1, |η| < 2.5: 1, 2, 3, 5, 7, 10
    CHECK(figure("one_to_one.particles") == 6);
    CHECK(figure("one_to_one.tracks") == 9);
    // 20 takes 2, 30 takes 3 (4 hits of either: the smaller id), 80 takes 8; 10 takes 1 (3 hits in either: the smaller label), 11 nothing;
    // 60 takes 6, 50 takes 5, 90 takes 9; 99 has nothing to take
    CHECK(figure("one_to_one.perfect") == 1. / 6);                  // 2
    CHECK(figure("one_to_one.double_majority") == 1. / 6);          // 2; 1 has recall 1/2, 3 has precision 1/2, 5 has 2/5
    CHECK(figure("one_to_one.lhc") == doctest::Approx(2. / 6));     // 1 and 2
    CHECK(figure("one_to_one.fake_double_majority") == 5. / 9);     // all but 20, 60, 80, 90
    CHECK(figure("one_to_one.pt_0.5_0.9.perfect") == 1);            // 6
    CHECK(figure("one_to_one.eta_3_4.double_majority") == 1. / 2);  // 8, not 4
  }
  SUBCASE("TrackML") {
    // 39 hits of particles, that of 8 which was dropped among them; good: 4 in 20, 3 in 60, 4 in 80, 2 in 90
    CHECK(figure("trackml_score.score") == doctest::Approx(13. / 39));
    CHECK(figure("trackml_score.hits_5_7.score") == doctest::Approx(4. / 16));
    CHECK(figure("trackml_score.radius_30_70.score") == doctest::Approx(4. / 5));
  }
}

TEST_CASE("the table of one event") {
  auto const event = test::event_by_hand().record();
  auto const text = StyleTable(measured<std::remove_const_t<decltype(event)>>({event})).text();
  CAPTURE(text);
  auto const has = [&](std::string const& line) { return ("\n" + text).find("\n" + line + "\n") != std::string::npos; };
  CHECK(has("  all                          particles         efficiency        fake              duplicates"));
  CHECK(has("  reference perfect            8                 0.1250 ± 0.1169   0.8000 ± 0.1789"));
  CHECK(has("  reference double majority    8                 0.2500 ± 0.1531   0.6000 ± 0.2191"));
  CHECK(has("  reference lhc                8                 0.8000 ± 0.1789   0.2000 ± 0.1789"));
  CHECK(has("  acorn atlas                  8                 0.3750 ± 0.1712   0.3333 ± 0.1571   0.3333"));
  CHECK(has("  one-to-one double majority   6                 0.1667 ± 0.1521   0.5556 ± 0.1656"));
  CHECK(has("  trackml score                                  0.3333"));
  CHECK(has("  hits                         3 to 4            4 to 5            5 to 7            7 to 10           10 to 20"));
  CHECK(has("  production radius [mm]       0 to 1            1 to 10           10 to 30          30 to 70          70 to 150"));
  CHECK(has("  acorn one-way                0.2500 ± 0.2165   1.0000 ± 0.0000   1.0000 ± 0.0000   1.0000 ± 0.0000   undefined"));
  CHECK(has("  |eta|                        0 to 1            1 to 2            2 to 3            3 to 4"));
  CHECK(has("  trackml score                0.2174            1.0000            0.0000            0.8000            undefined"));
  auto const without = StyleTable(measured<RecordOf<TrackMatching::Reads>>({event})).text();  // no weights and radii
  CHECK(without.find("\n  trackml score                                  undefined\n") != std::string::npos);
  CHECK(without.find("\n  trackml score                undefined") == std::string::npos);
  CHECK(without.find("radius [mm]       0 to 1            1 to 10           10 to 30          30 to 70          70 to 150\nefficiencies") !=
        std::string::npos);
}

TEST_CASE("counts are pooled over events, with binomial uncertainties") {
  auto const one = test::event_by_hand().record();
  auto other = test::styled_event(11);
  auto const two = other.record();
  auto const summary = measured<std::remove_const_t<decltype(two)>>({one, two, test::StyledEvent{}.record()});  // the last is empty
  auto const first = measured<std::remove_const_t<decltype(two)>>({one}), second = measured<std::remove_const_t<decltype(two)>>({two});
  for (auto const& [figure, of] :
       {std::pair("acorn.two_way.efficiency", "acorn.particles"),
        std::pair("acorn.pt_0.9_1.5.atlas.efficiency", "acorn.pt_0.9_1.5.particles"),
        std::pair("tracking.pt0.9.fake_perfect", "tracking.pt0.9.tracks"), std::pair("one_to_one.lhc", "one_to_one.particles")}) {
    CAPTURE(figure);
    double const n1 = first.mean(of), n2 = second.mean(of);
    double const k = first.mean(figure) * n1 + second.mean(figure) * n2, p = k / (n1 + n2);
    auto const pooled = StyleTable::pooled(summary, figure, of);
    REQUIRE(pooled);
    CHECK(pooled->value == doctest::Approx(p));
    CHECK(pooled->error == doctest::Approx(std::sqrt(p * (1 - p) / (n1 + n2))));
    CHECK(double(pooled->of) == n1 + n2);
    auto const json = StyleTable(summary).json();
    CHECK(json.at(figure).get<double>() == doctest::Approx(p));
    CHECK(json.at(std::string(figure) + ".of").get<double>() == n1 + n2);
  }
  auto const json = StyleTable(summary).json();
  CHECK(json.at("trackml_score.score").get<double>() ==
        doctest::Approx((first.mean("trackml_score.score") + second.mean("trackml_score.score")) / 2));
  CHECK(json.at("acorn.radius_70_150.atlas.efficiency").is_null());
  CHECK_FALSE(json.contains("acorn.atlas.duplicates.error"));
  CHECK(json.contains("acorn.atlas.fake.error"));
  CHECK_FALSE(StyleTable::pooled(summary, "acorn.nothing", "acorn.particles"));

  Summary broken;
  broken.add({{"a", 0.5}, {"n", 2}}), broken.add({{"a", std::nan("")}, {"n", 2}});
  CHECK_THROWS_WITH_AS(StyleTable::pooled(broken, "a", "n"), "a: expected a value in the 2 events in which n is not 0, got 1", Error);
  CHECK(binomial_error(0.5, 4) == 0.25);
  CHECK(std::isnan(binomial_error(0.5, 0)));
}

TEST_CASE("only styles that are there are shown") {
  CHECK(StyleTable(Summary{}).text().empty());
  CHECK(StyleTable(Summary{}).json().dump() == "{}");
  Summary summary;
  summary.add(OneToOneMetrics{{.pt_bins_gev = {}, .eta_bins = {}, .hits_bins = {}, .radius_bins_mm = {}}}(test::event_by_hand().record()),
              "one_to_one.");
  summary.add("edges.pt_0_1.auc", 1);
  auto const text = StyleTable(summary).text();
  CHECK(text.find("acorn") == std::string::npos);
  CHECK(text.find("pt [GeV]") == std::string::npos);
  CHECK(text.find("  one-to-one perfect           6                 0.1667 ± 0.1521\n") != std::string::npos);
}
