// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/trackml_score.hpp"

#include <doctest/doctest.h>

#include "metric/styled_event.hpp"
#include "support/seed.hpp"

using namespace dew;
using test::figures_under;
using test::styled_event;
using test::trackml_by_definition;

namespace {
bool is(double got, double expected) { return std::isnan(expected) ? std::isnan(got) : std::abs(got - expected) < 1e-12; }
}  // namespace

TEST_CASE("the TrackML score is that of the definition, for all hits and in every bin") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const e = styled_event(seed + trial);
    auto const figures = TrackMlScore{{.radius_bins_mm = {0, 10, 30}}}(e.record());
    auto const check_bin = [&](std::string const& prefix, test::Counts const& in) {
      CAPTURE(prefix);
      CHECK(is(figures_under(figures, prefix).at("score"), trackml_by_definition(e, in, prefix.empty())));
    };
    check_bin("", [](std::size_t) { return true; });
    check_bin("pt_0.5_0.9.", [&](auto p) { return e.truth_pt[p] >= 0.5 && e.truth_pt[p] < 0.9; });
    check_bin("eta_3_4.", [&](auto p) { return std::abs(e.truth_eta[p]) >= 3 && std::abs(e.truth_eta[p]) < 4; });
    check_bin("hits_5_7.", [&](auto p) { return e.truth_hits[p] >= 5 && e.truth_hits[p] < 7; });
    check_bin("radius_10_30.", [&](auto p) { return e.truth_radius[p] >= 10 && e.truth_radius[p] < 30; });
    TrackMlScore const longer{{.track_hits_min = 5}};
    CHECK(is(longer(e.record()).front().second, trackml_by_definition(e, [](std::size_t) { return true; }, true, 5)));
  }
}

TEST_CASE("the oracle of the TrackML score rejects wrong ones") {
  auto const e = styled_event(3);
  auto const all = [](std::size_t) { return true; };
  auto const good = TrackMlScore{}(e.record()).front().second;
  CHECK(good > 0.05);
  CHECK(good < 0.95);
  CHECK(is(good, trackml_by_definition(e, all, true)));
  CHECK_FALSE(is(good, trackml_by_definition(e, all, false)));    // noise weighs something here
  CHECK_FALSE(is(good, trackml_by_definition(e, all, true, 6)));  // of longer tracks
  auto other = e;
  for (auto& label : other.label) label = label >= 0 && label < 12 ? 0 : label;  // twelve tracks merged
  CHECK_FALSE(is(good, trackml_by_definition(other, all, true)));
  other = e;
  other.truth_weight[0] += 1;
  CHECK_FALSE(is(good, trackml_by_definition(other, all, true)));
}

TEST_CASE("the score is undefined where the truth has no weights") {
  auto e = styled_event(4);
  CHECK(std::isnan(TrackMlScore{}(e.TrackingEvent::record()).front().second));
  for (auto& w : e.weight) w = 0;
  for (auto& w : e.truth_weight) w = 0;
  for (auto const& [name, value] : TrackMlScore{}(e.record())) CHECK(std::isnan(value));
}

TEST_CASE("half of a track or of a particle is not enough") {
  test::StyledEvent e;
  e.label = {0, 0, 0, 0}, e.id = {1, 1, 2, 2}, e.weight = {1, 1, 1, 1};
  e.truth_id = {1, 2}, e.truth_hits = {2, 2}, e.truth_pt = {1, 1}, e.truth_eta = {0, 0}, e.truth_reconstructable = {false, false};
  e.truth_weight = {2, 2}, e.truth_radius = {0, 0}, e.truth_charge = {1, 1}, e.truth_primary = {1, 1};
  auto const score = [&] { return TrackMlScore{{.pt_bins_gev = {}, .eta_bins = {}, .hits_bins = {}, .radius_bins_mm = {}}}(e.record()); };
  CHECK(score().size() == 1);
  CHECK(score().front().second == 0);
  e.id[2] = 1, e.truth_hits = {3, 1}, e.truth_weight = {3, 1};
  CHECK(score().front().second == 0.75);
  e.truth_hits[0] = 6, e.truth_weight[0] = 6;  // three hits were dropped
  CHECK(score().front().second == 0);
  e.truth_hits[0] = 5, e.truth_weight[0] = 5;
  CHECK(score().front().second == 0.5);
  e.id = {1, 1, 1, -1}, e.label = {0, 0, 0, 0};  // an unknown hit counts nowhere
  CHECK(score().front().second == 0.5);
}
