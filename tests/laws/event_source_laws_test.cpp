// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/event_source_laws.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include "dew/event/acts.hpp"
#include "dew/event/safetensors_events.hpp"
#include "dew/event/simulated_detector.hpp"
#include "dew/event/trackml.hpp"
#include "laws/broken.hpp"
#include "support/data.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
SimulatedDetector small_detector() { return SimulatedDetector{{.events = 4, .seed = 3, .particles = 30}}; }

/// A simulated detector, and one thing that is wrong with it.
enum class Wrong { nothing, ids, moving, other_hits, pt, counts, global_random, fingerprint };
template <Wrong wrong>
struct Detector {
  static constexpr std::string_view name = "detector";
  std::vector<std::int64_t> ids() const {
    auto ids = small_detector().ids();
    if (wrong == Wrong::ids) std::reverse(ids.begin(), ids.end());
    return ids;
  }
  dew::HitRecord hits(std::int64_t id) const {
    auto event = small_detector().hits(id);
    if (wrong == Wrong::other_hits) event = event.select(event[key::layer] != 7, dew::Hits{});
    return event;
  }
  dew::LabelledRecord labelled(std::int64_t id) const {
    auto const event = small_detector().labelled(id);
    using R = dew::LabelledRecord;
    if (wrong == Wrong::moving) return R(event.with(key::layer = event[key::layer] + calls++));
    if (wrong == Wrong::pt) return R(event.with(key::pt = event[key::pt] + 1));
    if (wrong == Wrong::counts) return R(event.with(key::truth_hits = event[key::truth_hits] + 1));
    if (wrong == Wrong::global_random) return R(event.with(key::hit_features = event[key::hit_features] + at::rand({})));
    return event;
  }
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const {
    return wrong == Wrong::fingerprint ? 5 : small_detector().fingerprint(id, labelled);
  }
  inline static std::atomic<int> calls = 0;
};
}  // namespace

TEST_CASE("the simulated detector obeys the laws of event sources") {
  check_event_source_laws(small_detector());
  check_event_source_laws(SimulatedDetector{}, {.events = 1});
  check_event_source_laws(SimulatedDetector{{.events = 2, .particles = 1, .noise_fraction = 0}});
}

TEST_CASE("TrackML events in files obey the laws of event sources") {
  test::TempDir const folder;
  for (auto const id : small_detector().ids()) small_detector().write(folder.path(), id);
  check_event_source_laws(TrackMl{{.events = folder.path().string()}});
  check_event_source_laws(TrackMl{{.events = folder.path().string(), .detector = TrackMlDetector::full}});
}

TEST_CASE("recorded TrackML events obey the laws of event sources") {
  auto const folder = test::test_data("trackml/hipt");
  if (!folder) return;
  check_event_source_laws(TrackMl{{.events = folder->string()}}, {.events = 1});
}

TEST_CASE("events in safetensors files obey the laws of event sources") {
  test::TempDir const folder;
  write_safetensors_events(folder.path(), small_detector(), small_detector().ids());
  check_event_source_laws(SafetensorsEvents{{.events = folder.path().string()}});
}

TEST_CASE("recorded ACTS events obey the laws of event sources") {
  auto const folder = test::test_data("acts");
  if (!folder) return;
  for (auto const* kind : {"exact", "geometric"})
    for (auto detector : {ActsDetector::pixels, ActsDetector::full})
      check_event_source_laws(
          ActsCsv{{.events = (*folder / kind).string(), .detectors = (*folder / "detectors.csv.gz").string(), .detector = detector}});
}

TEST_CASE("recorded TrackML events with cell features obey the laws of event sources") {
  auto const folder = test::test_data("trackml");
  if (!folder) return;
  check_event_source_laws(TrackMl{
      {.events = (*folder / "small").string(), .detectors = (*folder / "detectors.csv.gz").string(), .features = HitFeatureSet::cells}});
}

TEST_CASE("the laws of event sources reject broken sources") {
  CHECK(event_source_law_violations(Detector<Wrong::nothing>{}).empty());
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::ids>{}), "ids"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::moving>{}), "determinism"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::other_hits>{}), "labelled"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::pt>{}), "truth"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::counts>{}), "truth"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::global_random>{}), "determinism"));
  CHECK(test::breaks(event_source_law_violations(Detector<Wrong::fingerprint>{}), "fingerprint"));
}
