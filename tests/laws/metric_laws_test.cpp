// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/metric_laws.hpp"

#include <doctest/doctest.h>

#include "dew/metric.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// The mean pt of labelled hits of known origin, and one thing that is wrong with it.
enum class Wrong { nothing, unknown, by_label, by_row, left_out, infinite, twice, random };
template <Wrong wrong>
struct MeanPt {
  static constexpr std::string_view name = "mean_pt";
  using Reads = dew::Keys<Label, ParticleId, Pt>;
  dew::Figures operator()(dew::RecordOf<Reads> const& event) const {
    auto counted = at::logical_and(event[key::label] >= 0, event[key::particle_id] >= 0);
    if (wrong == Wrong::unknown) counted = event[key::label] >= 0;
    if (wrong == Wrong::by_label) counted = at::logical_and(counted, event[key::label] < 5);
    auto const pt = event[key::pt].masked_select(counted);
    double const n = double(pt.size(0)), sum = pt.sum().item<double>();
    dew::Figures figures{{"pt", n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN()}, {"hits", n}};
    if (wrong == Wrong::by_row && n > 0) figures[0].second = pt[0].item<double>();
    if (wrong == Wrong::left_out && n == 0) figures.pop_back();
    if (wrong == Wrong::infinite) figures[0].second = n / 0.0;
    if (wrong == Wrong::twice) figures[1].first = "pt";
    if (wrong == Wrong::random) figures[0].second += at::rand({}).item<double>();
    return figures;
  }
};
static_assert(dew::Metric<MeanPt<Wrong::nothing>>);
}  // namespace

TEST_CASE("TrackingMetrics obeys the laws of metrics") {
  check_metric_laws(TrackingMetrics{});
  check_metric_laws(TrackingMetrics{}, {.sample = {.seed = 2, .particles = 60, .noise_hits = 30, .unknown_hits = 20}});
}

TEST_CASE("EdgeMetrics obeys the laws of metrics") { check_metric_laws(EdgeMetrics{}); }

TEST_CASE("scans obey the laws of metrics") {
  check_metric_laws(ScoreScan{{.thresholds = {-0.5, 0.5}}});
  check_metric_laws(NeighbourScan{{.k_max = 3}});
}

TEST_CASE("GraphMetrics obeys the laws of metrics") { check_metric_laws(GraphMetrics{}); }

TEST_CASE("ComponentTracking obeys the laws of metrics") {
  check_metric_laws(ComponentTracking{}, {.sample = {.seed = 14}});  // with no tie for a component's majority, which the row order decides
}

TEST_CASE("the metrics of other styles obey the laws of metrics") {
  LawOptions options;
  options.sample.values["truth_radius"] = [](std::int64_t rows) { return at::arange(rows, at::kLong).remainder(50) - 1; };
  options.sample.values["weight"] = [](std::int64_t rows) { return at::arange(rows, at::kLong).remainder(7) + 1; };
  options.sample.values["truth_weight"] = [](std::int64_t rows) { return at::full({rows}, 40, at::kLong); };
  options.sample.seed = 3;  // no tie between tracks, which the smaller label wins
  options.sample.values["truth_charge"] = [](std::int64_t rows) { return at::arange(rows, at::kLong).remainder(2) * 2 - 1; };
  options.sample.values["truth_primary"] = [](std::int64_t rows) { return at::arange(rows, at::kLong).remainder(4).clamp_max(1); };
  check_metric_laws(AcornMetrics{}, options);
  check_metric_laws(AcornMetrics{{.charge = CountedCharge::charged, .primary = true}}, options);
  check_metric_laws(OneToOneMetrics{}, options);
  check_metric_laws(TrackMlScore{}, options);
}

TEST_CASE("the metrics of graphs and of the latent space obey the laws of metrics") {
  check_metric_laws(LearnedGraphMetrics{});
  check_metric_laws(SegmentMetrics{}, {.sample = {.seed = 2}});  // with no tie for a particle's second largest segment
  check_metric_laws(UpperBound{}, {.sample = {.seed = 14}});
  check_metric_laws(LatentMetrics{});
}

TEST_CASE("the laws of metrics reject broken metrics") {
  CHECK(metric_law_violations(MeanPt<Wrong::nothing>{}).empty());
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::unknown>{}), "unknown hits"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::by_label>{}), "labels"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::by_row>{}), "order"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::left_out>{}), "empty event"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::infinite>{}), "figures"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::twice>{}), "figures"));
  CHECK(test::breaks(metric_law_violations(MeanPt<Wrong::random>{}), "determinism"));
}
