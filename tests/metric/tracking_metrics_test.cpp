// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/tracking_metrics.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "metric/tracking_event.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::are_figures;
using dew::test::tracking_by_definition;
using dew::test::tracking_event;
using dew::test::TrackingEvent;

namespace {
std::map<std::string, double> under(Figures const& figures, std::string const& prefix) {
  std::map<std::string, double> out;
  for (auto const& [name, value] : figures)
    if (name.starts_with(prefix) && name.rfind('.') + 1 == prefix.size()) out[name.substr(prefix.size())] = value;
  return out;
}
/// Hits of particles 1, 2, … (`id`), in tracks `label`; every particle reconstructable, pt 2, η 0, with all its hits here.
TrackingEvent simple(std::vector<std::int64_t> label, std::vector<std::int64_t> id) {
  TrackingEvent e{std::move(label), std::move(id), {}, {}, {}, {}, {}};
  std::map<std::int64_t, std::int64_t> hits;
  for (auto const i : e.id)
    if (i > 0) ++hits[i];
  for (auto const& [i, n] : hits)
    e.truth_id.push_back(i), e.truth_hits.push_back(n), e.truth_pt.push_back(2), e.truth_eta.push_back(0),
        e.truth_reconstructable.push_back(true);
  return e;
}
double figure(TrackingEvent const& e, std::string const& name) { return under(TrackingMetrics{}(e.record()), "pt0.9.").at(name); }
}  // namespace

TEST_CASE("tracking metrics are those of the definition, at every cut and in every bin") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 30; ++trial) {
    auto const event = tracking_event(seed + trial);
    auto const figures = TrackingMetrics{}(event.record());
    auto const same = [&](std::string const& prefix, ParticleSelection const& selection) {
      CAPTURE(prefix);
      auto const got = under(figures, prefix);
      CHECK(are_figures(tracking_by_definition(event, selection), Figures(got.begin(), got.end())));
    };
    for (double cut : {0.0, 0.5, 0.9, 1.5}) same(fmt::format("pt{}.", cut), {.pt_min_gev = cut});
    same("pt_0_0.5.", {.pt_min_gev = 0, .pt_max_gev = 0.5});
    same("pt_0.5_0.9.", {.pt_min_gev = 0.5, .pt_max_gev = 0.9});
    same("pt_1.5_3.", {.pt_min_gev = 1.5, .pt_max_gev = 3});
    same("eta_0_1.", {.pt_min_gev = 0.9, .eta_min = 0, .eta_max = 1});
    same("eta_3_4.", {.pt_min_gev = 0.9, .eta_min = 3, .eta_max = 4});
  }
}

TEST_CASE("only which hits share a label matters, not what the labels are") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto event = tracking_event(seed + trial);
    auto const figures = TrackMatching(event.record()).score({});
    for (std::int64_t const factor : {std::int64_t(1), std::int64_t(1000), std::int64_t(1) << 50}) {
      auto other = event;
      for (auto& label : other.label) label = label < 0 ? label : (60 - label) * factor;
      CHECK(are_figures(tracking_by_definition(other, {}), figures));
      CHECK(are_figures(tracking_by_definition(event, {}), TrackMatching(other.record()).score({})));
    }
    for (auto& label : event.label) label = 5;  // one track
    CHECK(are_figures(tracking_by_definition(event, {}), TrackMatching(event.record()).score({})));
  }
}

TEST_CASE("a track's majority needs a row in the truth, others do not") {
  auto event = simple({0, 0, 0, 0, 0, 1, 1, 1}, {8, 9, 1, 1, 1, 2, 2, 2});
  event.truth_id = {1, 2}, event.truth_hits = {3, 3}, event.truth_pt = {2, 2}, event.truth_eta = {0, 0};
  event.truth_reconstructable = {true, true};
  CHECK(figure(event, "double_majority") == 1);
  event.id = {8, 9, 8, 9, 8, 2, 2, 2};
  CHECK_THROWS_WITH_AS(TrackingMetrics{}(event.record()), doctest::Contains("particle 8 has hits but no row in truth_id"), Error);
}

TEST_CASE("bins of the number of hits and of the production radius, when edges are given") {
  auto const event = tracking_event(4);
  std::vector<double> radius;
  for (std::size_t p = 0; p < event.truth_id.size(); ++p) radius.push_back(p % 4 == 0 ? -1 : double(p % 7));
  auto const record = event.record().with(key::truth_radius = at::tensor(radius, at::kDouble));
  TrackingMetrics const metric{{.pt_cuts_gev = {}, .pt_bins_gev = {}, .eta_bins = {}, .hits_bins = {3, 5, 8}, .radius_bins_mm = {0, 2, 5}}};
  auto const figures = metric(record);
  CHECK(figures.size() == 4 * 8);
  auto const among = [&](auto const& in) {  // by definition: particles outside are not reconstructable
    auto some = event;
    for (std::size_t p = 0; p < some.truth_id.size(); ++p) some.truth_reconstructable[p] = some.truth_reconstructable[p] && in(p);
    return tracking_by_definition(some, {.pt_min_gev = 0.9});
  };
  auto const same = [&](std::string const& prefix, auto const& in) {
    CAPTURE(prefix);
    auto const got = under(figures, prefix);
    CHECK(are_figures(among(in), Figures(got.begin(), got.end())));
    CHECK_FALSE(are_figures(among([](std::size_t) { return true; }), Figures(got.begin(), got.end())));
  };
  same("hits_3_5.", [&](std::size_t p) { return event.truth_hits[p] >= 3 && event.truth_hits[p] < 5; });
  same("hits_5_8.", [&](std::size_t p) { return event.truth_hits[p] >= 5 && event.truth_hits[p] < 8; });
  same("radius_0_2.", [&](std::size_t p) { return radius[p] >= 0 && radius[p] < 2; });
  same("radius_2_5.", [&](std::size_t p) { return radius[p] >= 2 && radius[p] < 5; });
  CHECK(under(metric(event.record()), "radius_0_2.").at("particles") == 0);  // a truth without radii
  CHECK(std::isnan(under(metric(event.record()), "radius_0_2.").at("perfect")));
}

TEST_CASE("the oracle of tracking metrics rejects wrong figures") {
  auto const event = tracking_event(5);
  auto const figures = TrackMatching(event.record()).score({});
  auto const expected = tracking_by_definition(event, {});
  CHECK(are_figures(expected, figures));
  for (std::size_t k = 0; k < figures.size(); ++k) {
    auto wrong = figures;
    wrong[k].second += 0.01;
    CHECK_FALSE(are_figures(expected, wrong));
    wrong[k].second = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(are_figures(expected, wrong));
  }
  auto other = event;
  for (auto& label : other.label) label = label == 3 ? 4 : label;  // two tracks merged
  CHECK_FALSE(are_figures(tracking_by_definition(other, {}), figures));
}

TEST_CASE("thresholds are strict, and g = 1 is needed for perfect") {
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 1, 1}), "perfect") == 1);
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 1, 1}), "fake_double_majority") == 0);
  CHECK(figure(simple({0, 0, 0, 1}, {1, 1, 1, 1}), "perfect") == 0);  // g = 3/4
  CHECK(figure(simple({0, 0, 0, 1}, {1, 1, 1, 1}), "double_majority") == 1);
  CHECK(figure(simple({0, 0, 0, 1, 1, 1}, {1, 1, 1, 1, 1, 1}), "double_majority") == 0);  // g = 1/2, twice
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 1, 0}), "lhc") == 0);                          // f = 3/4
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 0, 0}), "double_majority") == 0);              // f = 1/2, particle first: it wins the tie
  CHECK(figure(simple({0, 0, 0, 0}, {1, 1, 0, 0}), "tracks") == 1);
  CHECK(figure(simple({0, 0, 0, 0}, {0, 1, 1, 0}), "tracks") == 0);  // noise is first
  CHECK(figure(simple({0, 0}, {1, 1}), "tracks") == 0);              // two hits are no track
  CHECK(figure(simple({-1, -1, -1}, {1, 1, 1}), "tracks") == 0);
}

TEST_CASE("unknown hits are left out - dropped hits count against their track") {
  CHECK(figure(simple({0, 0, 0, 0, 0}, {1, 1, 1, -1, -1}), "perfect") == 1);
  CHECK(figure(simple({0, 0, 0, 1, 1}, {1, 1, -1, -1, -1}), "tracks") == 0);  // two known hits are no track
  auto dropped = simple({0, 0, 0}, {1, 1, 1});
  dropped.truth_hits[0] = 6;
  CHECK(figure(dropped, "double_majority") == 0);
  dropped.truth_hits[0] = 5;
  CHECK(figure(dropped, "double_majority") == 1);
  CHECK(figure(dropped, "perfect") == 0);
  dropped.truth_id.push_back(2), dropped.truth_hits.push_back(4), dropped.truth_pt.push_back(3), dropped.truth_eta.push_back(0);
  dropped.truth_reconstructable.push_back(true);  // a particle that lost all hits
  CHECK(figure(dropped, "particles") == 2);
  CHECK(figure(dropped, "double_majority") == 0.5);
}

TEST_CASE("nothing there: undefined, not zero") {
  auto const none = simple({}, {});
  CHECK(std::isnan(figure(none, "double_majority")));
  CHECK(std::isnan(figure(none, "lhc")));
  CHECK(figure(none, "tracks") == 0);
  CHECK(std::isnan(figure(simple({0}, {1}), "fake_perfect")));
  CHECK(figure(simple({0}, {1}), "perfect") == 0);
}

TEST_CASE("a pt of 0.9 in float is at the cut 0.9 - eta 4 is outside") {
  auto event = simple({0, 0, 0}, {1, 1, 1});
  event.truth_pt[0] = 0.9;
  CHECK(under(TrackingMetrics{}(event.record(at::kFloat)), "pt0.9.").at("tracks") == 1);
  CHECK(under(TrackingMetrics{}(event.record(at::kDouble)), "pt0.9.").at("tracks") == 1);
  event.truth_eta[0] = -4;
  CHECK(under(TrackingMetrics{}(event.record()), "pt0.").at("tracks") == 0);
  event.truth_eta[0] = -3.5;
  CHECK(under(TrackingMetrics{}(event.record()), "eta_3_4.").at("tracks") == 1);
}

TEST_CASE("options name cuts and bins - a particle without a row throws") {
  TrackingMetrics const few{{.pt_cuts_gev = {1}, .pt_bins_gev = {}, .eta_bins = {}}};
  auto const figures = few(tracking_event(1).record());
  CHECK(figures.size() == 8);
  CHECK(figures[0].first == "pt1.double_majority");
  auto wrong = simple({0, 0, 0}, {1, 1, 1});
  wrong.truth_id[0] = 2;
  CHECK_THROWS_WITH_AS(TrackMatching(wrong.record()), doctest::Contains("particle 1 has hits but no row in truth_id"), Error);
}

TEST_CASE("a permutation of the hits and other names of the labels change nothing, without ties") {
  auto event = simple({0, 0, 0, 1, 1, 1, 1, 2, 2, 2}, {1, 1, 1, 2, 2, 2, 1, 3, 3, 0});
  auto const before = TrackingMetrics{}(event.record());
  std::reverse(event.label.begin(), event.label.end());
  std::reverse(event.id.begin(), event.id.end());
  for (auto& label : event.label) label = 100 - 7 * label;
  auto const after = TrackingMetrics{}(event.record());
  CHECK(are_figures({before.begin(), before.end()}, after));
}
