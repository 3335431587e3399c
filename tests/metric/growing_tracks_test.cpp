// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/growing_tracks.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "dew/metric/track_matching.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/ops/dbscan_scan.hpp"
#include "metric/tracking_event.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::are_figures;
using dew::test::tracking_event;
using dew::test::TrackingEvent;

namespace {
std::vector<ParticleSelection> const selections{{}, {.pt_min_gev = 0.9}, {.pt_min_gev = 0.5, .pt_max_gev = 1.5, .eta_min = 1}};

bool same(Figures const& a, Figures const& b) { return are_figures(std::map<std::string, double>(a.begin(), a.end()), b); }
/// Whether the figures after going to `label` are those of a matching from scratch.
bool as_from_scratch(GrowingTracks& tracks, TrackingEvent event, std::vector<std::int64_t> const& label) {
  event.label = label;
  tracks.go_to(at::tensor(label, at::kLong));
  TrackMatching const matching(event.record());
  for (std::size_t s = 0; s < selections.size(); ++s)
    if (!same(matching.score(selections[s]), tracks.score(s))) return false;
  return true;
}
/// Labels of hits in sets, of which `sets` numbers each hit's; −1 for hits that are in none yet. Numbers change from call to call.
std::vector<std::int64_t> labels_of(std::vector<std::int64_t> const& sets, std::mt19937& random, std::int64_t factor) {
  std::vector<std::int64_t> number(sets.size());
  std::iota(number.begin(), number.end(), 0);
  std::shuffle(number.begin(), number.end(), random);
  std::vector<std::int64_t> out;
  for (auto const set : sets) out.push_back(set < 0 ? -1 : number[std::size_t(set)] * factor);
  return out;
}
}  // namespace

TEST_CASE("tracks that grow step by step are scored as from scratch") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    std::mt19937 random(seed + trial);
    auto const event = tracking_event(seed + trial);
    auto const n = event.id.size();
    std::vector<std::int64_t> set_of(n, -1);
    GrowingTracks tracks(event.record(), selections);
    CHECK(as_from_scratch(tracks, event, set_of));  // no track at all
    for (int step = 0; step < 25; ++step) {
      for (int k = 0; k < 12; ++k) {  // a hit comes, or two sets come together: those of one particle, or any
        auto const i = random() % n;
        if (set_of[i] < 0) set_of[i] = std::int64_t(i);
        auto j = random() % n;
        for (std::size_t other = 0; other < n && k % 4 != 0; ++other)
          if (other != i && event.id[other] == event.id[i]) j = other;
        if (set_of[j] < 0) continue;
        auto const from = set_of[j], to = set_of[i];
        std::replace(set_of.begin(), set_of.end(), from, to);
      }
      CHECK(as_from_scratch(tracks, event, labels_of(set_of, random, step % 3 == 0 ? std::int64_t(1) << 40 : 1)));
    }
    CHECK(as_from_scratch(tracks, event, std::vector<std::int64_t>(n, 3)));  // all of them one track, of more than a few particles
    CHECK(as_from_scratch(tracks, event, std::vector<std::int64_t>(n, 0)));  // nothing changes
    std::vector<std::int64_t> each(n);
    std::iota(each.begin(), each.end(), 0);
    CHECK(as_from_scratch(tracks, event, each));                              // every hit its own
    CHECK(as_from_scratch(tracks, event, std::vector<std::int64_t>(n, -7)));  // none
  }
}

TEST_CASE("labellings in any order, where tracks lose hits too") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const event = tracking_event(seed + trial);
    GrowingTracks tracks(event.record(), selections);
    std::mt19937 random(seed + trial);
    for (int step = 0; step < 6; ++step) {
      auto label = event.label;
      for (auto& each : label)
        if (random() % 8 == 0) each = std::int64_t(random() % 40) - 1;
      CHECK(as_from_scratch(tracks, event, label));
    }
  }
}

TEST_CASE("a hit that is in no track any more, and one that changes its track, while all else stays") {
  auto const event = tracking_event(test::seed_of_input());
  for (std::size_t i = 0; i < event.id.size(); ++i) {
    GrowingTracks tracks(event.record(), selections);
    REQUIRE(as_from_scratch(tracks, event, event.label));
    auto label = event.label;
    label[i] = -1;
    CHECK(as_from_scratch(tracks, event, label));
    label[i] = event.label[(i + 1) % label.size()];
    CHECK(as_from_scratch(tracks, event, label));
    CHECK(as_from_scratch(tracks, event, event.label));
  }
}

TEST_CASE("of equal counts the particle whose first hit has the lowest row has the majority") {
  TrackingEvent event{
      std::vector<std::int64_t>(8, -1), {5, 6, 6, 5, 7, 7, 7, 0}, {5, 6, 7}, {2, 2, 3}, {2, 2, 2}, {0, 0, 0}, {true, true, true}};
  GrowingTracks tracks(event.record(), selections);
  CHECK(as_from_scratch(tracks, event, {0, 1, 1, 2, 3, 3, 3, 4}));
  CHECK(as_from_scratch(tracks, event, {0, 1, 1, 1, 3, 3, 3, 4}));  // 6, 6, 5
  CHECK(as_from_scratch(tracks, event, {1, 1, 1, 1, 3, 3, 3, 4}));  // 5, 6, 6, 5: the earlier one is 5
  CHECK(as_from_scratch(tracks, event, {1, 1, 1, 1, 1, 1, 1, 1}));
}

TEST_CASE("a metric measures labellings in turn as one by one, along a scan of DBSCAN") {
  auto const seed = test::seed_of_input();
  auto const event = tracking_event(seed).record();
  at::manual_seed(seed);
  auto const x = event[key::particle_id].to(at::kDouble).unsqueeze(1) * at::ones({3}, at::kDouble) / 7 +
                 0.3 * at::randn({event[key::label].size(0), 3}, at::kDouble);
  std::vector<DbscanStep> steps;
  for (std::int64_t const m : {1, 2, 3})
    for (double const eps : {0.1, 0.2, 0.4, 0.8, 1.6, 3.2}) steps.push_back({eps, m});
  auto const labels = dbscan_scan(x, steps);
  TrackingMetrics const metric;
  auto const in_turn = metric.in_turn(event, labels);
  REQUIRE(in_turn.size() == labels.size());
  bool differ = false;
  for (std::size_t k = 0; k < labels.size(); ++k) {
    auto const alone = metric(event.with(key::label = labels[k]));
    REQUIRE(alone.size() == in_turn[k].size());
    CHECK(same(alone, in_turn[k]));
    for (std::size_t f = 0; f < alone.size(); ++f) CHECK(alone[f].first == in_turn[k][f].first);
    differ = differ || (k > 0 && !same(in_turn[k - 1], in_turn[k]));
  }
  CHECK(differ);
}

TEST_CASE("too few labels, and a majority without a row in the truth") {
  TrackingEvent event{{0, 0, 0, 0}, {8, 8, 8, 1}, {1}, {1}, {2}, {0}, {true}};
  GrowingTracks tracks(event.record(), selections);
  CHECK_THROWS_WITH_AS(tracks.go_to(at::zeros({3}, at::kLong)), doctest::Contains("expected 4 labels, got 3"), Error);
  tracks.go_to(at::tensor({0, 0, 1, 1}, at::kLong));  // no track of three hits
  CHECK(tracks.score(0)[7] == std::pair<std::string, double>("tracks", 0));
  CHECK_THROWS_WITH_AS(tracks.go_to(at::zeros({4}, at::kLong)), doctest::Contains("particle 8 has hits but no row in truth_id"), Error);
}
