// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/transform_laws.hpp"

#include <doctest/doctest.h>

#include "dew/event/layer_selection.hpp"
#include "dew/event/noise_removal.hpp"
#include "dew/event/sector.hpp"
#include "dew/event/true_pairs.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph.hpp"
#include "dew/model/inputs.hpp"
#include "dew/model/perfect_edge_classifier.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// Hit features times 2, and one thing that is wrong with it.
enum class Wrong { nothing, rows, single, by_row, in_place, global_random, truth };
template <Wrong wrong>
struct Doubled {
  static constexpr std::string_view name = "doubled";
  using Reads = std::conditional_t<wrong == Wrong::truth, dew::Keys<HitFeatures, Pt>, dew::Keys<HitFeatures>>;
  using Writes = dew::Keys<HitFeatures>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    auto out = 2 * x;
    if (wrong == Wrong::rows) out = out.narrow(0, 0, std::max<std::int64_t>(0, x.size(0) - 1));
    if (wrong == Wrong::single) out = out.to(at::kFloat);
    if (wrong == Wrong::by_row) out = out + at::arange(x.size(0), x.options()).unsqueeze(1);
    if (wrong == Wrong::in_place) at::Tensor(x).mul_(2);
    if (wrong == Wrong::global_random) out = out + at::rand(x.sizes(), x.options());
    return dew::RecordOf<Writes>{key::hit_features = out};
  }
};
/// A mask that goes wrong where there are no edges.
struct FirstEdge {
  static constexpr std::string_view name = "first_edge";
  using Selects = dew::Hits;
  using Reads = dew::Keys<EdgeIndex, Position>;
  at::Tensor operator()(dew::RecordOf<Reads> const& event) const {
    return at::arange(event[key::position].size(0), event[key::edge_index].options()) != event[key::edge_index][0][0];
  }
};
}  // namespace

TEST_CASE("every transform of inputs obeys the laws of transforms") {
  check_transform_laws(PeriodicFeatures{});
  check_transform_laws(ScaledEdges{});
  check_transform_laws(Symmetries{});
}

TEST_CASE("every mask obeys the laws of transforms") {
  check_transform_laws(ScoreCut{});
  check_transform_laws(OrphanMask{});
  check_transform_laws(OrphanMask{{.score_min = 0.7}});
  check_transform_laws(LayerSelection{{.layers = {7, 8, 11}}});
  check_transform_laws(LayerSelection{});
  check_transform_laws(Sector{});
  check_transform_laws(Sector{{.sectors = 3, .sector = 2, .extended = true}});
}

TEST_CASE("every transform on the truth obeys the laws of transforms") {
  check_transform_laws(SameParticleEdges{});
  check_transform_laws(GeometricEdgeTruth{});
  check_transform_laws(TruePairs{});
  check_transform_laws(TruePairs{{.pairs = PairsOfHits::consecutive}});
  check_transform_laws(NoiseRemoval{});
  check_transform_laws(SectorLabels{{.sectors = 3}});
  check_transform_laws(PerfectEdgeClassifier{}, {.needs_truth = true});
  CHECK(test::breaks(transform_law_violations(PerfectEdgeClassifier{}), "bare hits"));
}

TEST_CASE("the laws of transforms reject broken transforms") {
  CHECK(transform_law_violations(Doubled<Wrong::nothing>{}).empty());
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::rows>{}), "shapes"));
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::single>{}), "shapes"));
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::by_row>{}), "order"));
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::in_place>{}), "input"));
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::global_random>{}), "determinism"));
  CHECK(test::breaks(transform_law_violations(Doubled<Wrong::truth>{}), "bare hits"));
  CHECK(test::breaks(transform_law_violations(FirstEdge{}), "empty event"));
  CHECK(test::breaks(transform_law_violations(FirstEdge{}), "order"));
}
