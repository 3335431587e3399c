// SPDX-License-Identifier: BSL-1.0
// The transforms of inputs and the perfect edge classifier.
#include "dew/model/inputs.hpp"

#include "dew/model/perfect_edge_classifier.hpp"
#include "model/small_graph.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

using namespace dew;
using namespace dew::test;

TEST_CASE("periodic features: by hand") {
  // r/1000, φ/π, z/1000, η, 1000 u, 1000 v
  Record<HitFeatures> const event{key::hit_features = at::tensor({0.1, 0.5, -0.3, 1.2, 3.0, -4.0}, at::kDouble).reshape({1, 6})};
  auto const got = PeriodicFeatures{}(event)[key::hit_features];
  CHECK(at::allclose(got, at::tensor({0.2, 0.0, 1.0, -0.3, 0.6, 0.3, -0.4}, at::kDouble).reshape({1, 7})));
  CHECK_THROWS_WITH_AS(PeriodicFeatures{}(Record<HitFeatures>{key::hit_features = at::zeros({2, 14})}),
                       doctest::Contains("expected the 6 standard hit features, got [2, 14]"), Error);
}

TEST_CASE("periodic features: nothing jumps where phi does") {
  auto const row = [](double phi) {
    auto x = at::full({1, 6}, 0.5, at::kDouble);
    x.select(1, feature_phi).fill_(phi);
    return PeriodicFeatures{}(Record<HitFeatures>{key::hit_features = x})[key::hit_features];
  };
  CHECK((row(0.9999) - row(-0.9999)).abs().max().item<double>() < 1e-3);
  CHECK((row(0.5) - row(-0.5)).abs().max().item<double>() > 1);
}

TEST_CASE("scaled edges: one factor a column, in the event's dtype") {
  for (auto type : {at::kFloat, at::kDouble}) {
    Record<EdgeFeatures> const event{key::edge_features = at::ones({3, 4}, type)};
    auto const got = ScaledEdges{}(event)[key::edge_features];
    CHECK(bool(got.scalar_type() == type));
    CHECK(at::equal(got[1], at::tensor({5, 20, 2, 3}, type)));
    CHECK_THROWS_WITH_AS((ScaledEdges{{.scale = {1, 2}}}(event)), doctest::Contains("scaled_edges.scale: expected 4 factors"), Error);
  }
  CHECK(print(ScaledEdges{}.options).find("scale = [5.0, 20.0, 2.0, 3.0]") != std::string::npos);
}

namespace {
/// Features of hits at (r, φ, z) of 2 and 3, and of the edge between them.
auto hit_pair(double phi_a, double phi_b, double z_a, double z_b, bool periodic = true) {
  auto const hit = [](double r, double phi, double z) {
    double const u = std::cos(phi) / r, v = std::sin(phi) / r;
    return std::vector<double>{r, phi / std::numbers::pi, z, std::asinh(z / r), u, v};
  };
  auto rows = hit(2, phi_a, z_a), second = hit(3, phi_b, z_b);
  rows.insert(rows.end(), second.begin(), second.end());
  double const d_phi = phi_b - phi_a, d_eta = std::asinh(z_b / 3) - std::asinh(z_a / 2);
  auto const x = at::tensor(rows, at::kDouble).reshape({2, 6});
  return Record{
      key::hit_features = PeriodicFeatures{{.enabled = periodic}}(Record<HitFeatures>{key::hit_features = x})[key::hit_features],
      key::edge_features = at::tensor({1.0, d_phi / std::numbers::pi, z_b - z_a, std::hypot(d_phi, d_eta)}, at::kDouble).reshape({1, 4})};
}
}  // namespace

TEST_CASE("symmetries: features are those of the turned and mirrored hits") {
  auto const event = hit_pair(0.3, 0.4, -1, 1.5);
  int mirrored_z = 0, mirrored_phi = 0;
  for (int epoch = 0; epoch < 40; ++epoch) {
    CAPTURE(epoch);
    auto const got = Symmetries{}(event, {.training = true, .epoch = epoch, .seed = 5});
    auto const &x = got[key::hit_features], &e = got[key::edge_features];
    double const phi = std::atan2(x[0][2].item<double>(), x[0][1].item<double>()), z = x[0][3].item<double>() < 0 ? 1 : -1,
                 turn = e[0][1].item<double>() > 0 ? 1 : -1;
    auto const expected = hit_pair(phi, phi + turn * 0.1, -z, 1.5 * z);
    CHECK(at::allclose(x, expected[key::hit_features]));
    CHECK(at::allclose(e, expected[key::edge_features]));
    auto const standard =
        Symmetries{}(hit_pair(0.3, 0.4, -1, 1.5, false), {.training = true, .epoch = epoch, .seed = 5})[key::hit_features];
    CHECK(at::allclose(PeriodicFeatures{}(Record<HitFeatures>{key::hit_features = standard})[key::hit_features], x));
    CHECK(standard.select(1, feature_phi).abs().max().item<double>() <= 1);
    mirrored_z += z < 0, mirrored_phi += turn < 0;
  }
  CHECK(mirrored_z > 8);
  CHECK(mirrored_z < 32);
  CHECK(mirrored_phi > 8);
  CHECK(mirrored_phi < 32);
}

TEST_CASE("symmetries: nothing outside training, and only what the options say") {
  auto const event = hit_pair(0.3, 0.4, -1, 1.5);
  auto const same = Symmetries{}(event, {.training = false, .seed = 5});
  CHECK(at::equal(same[key::hit_features], event[key::hit_features]));
  CHECK(at::equal(same[key::edge_features], event[key::edge_features]));
  for (int epoch = 0; epoch < 20; ++epoch) {
    auto const turned = Symmetries{{.rotate = true, .mirror_z = false, .mirror_phi = false}}(event, {.training = true, .epoch = epoch});
    CHECK(at::equal(turned[key::edge_features], event[key::edge_features]));
    CHECK(at::equal(turned[key::hit_features].select(1, 3), event[key::hit_features].select(1, 3)));
    CHECK_FALSE(at::allclose(turned[key::hit_features].select(1, 1), event[key::hit_features].select(1, 1)));
  }
  auto const other = event.with(key::hit_features = at::zeros({2, 14}, at::kDouble));
  CHECK_THROWS_WITH_AS(Symmetries{}(other, {.training = true}), doctest::Contains("symmetries: expected the 6 standard hit features"),
                       Error);
}

namespace {
/// `true_edges` true edges, then as many false ones, all from hit 0 (0.5 GeV) or 1 (2 GeV) in turn.
auto truth(std::int64_t true_edges) {
  auto const number = at::arange(2 * true_edges, at::kLong);
  return Record{key::edge_truth = number < true_edges, key::edge_index = at::stack({number.remainder(2), at::full_like(number, 2)}),
                key::pt = at::tensor({0.5, 2.0, 2.0}, at::kFloat)};
}
}  // namespace

TEST_CASE("perfect edge classifier: without errors it is the truth") {
  auto const event = truth(50);
  auto const w = PerfectEdgeClassifier{}(event, {})[key::edge_score];
  CHECK(bool(w.scalar_type() == at::kFloat));
  CHECK(at::equal(w > 0.5, event[key::edge_truth]));
  CHECK((w == 0).logical_or(w == 1).all().item<bool>());
}

TEST_CASE("perfect edge classifier: errors come at their rates, drawn anew each epoch and event, the same for the same") {
  auto const event = truth(20000);
  PerfectEdgeClassifier const ec{{.tpr = 0.9, .tnr = 0.7}};
  auto const w = ec(event, {})[key::edge_score];
  CHECK(w.narrow(0, 0, 20000).mean().item<double>() == doctest::Approx(0.9).epsilon(0.02));
  CHECK(w.narrow(0, 20000, 20000).mean().item<double>() == doctest::Approx(0.3).epsilon(0.05));
  CHECK(at::equal(w, ec(event, {})[key::edge_score]));
  CHECK_FALSE(at::equal(w, ec(event, {.epoch = 1})[key::edge_score]));
  CHECK_FALSE(at::equal(w, ec(event, {.event = 1})[key::edge_score]));
  CHECK_FALSE(at::equal(w, ec(event, {.seed = 1})[key::edge_score]));
  CHECK_THROWS_AS((PerfectEdgeClassifier{{.tpr = 1.1}}(event, {})), Error);
}

TEST_CASE("perfect edge classifier: edges of low pt become false at last") {
  auto const event = truth(1000);
  auto const source_pt = event[key::pt].index_select(0, event[key::edge_index][0]);
  CHECK(at::equal(PerfectEdgeClassifier{{.pt_min_gev = 0.9}}(event, {})[key::edge_score] > 0.5,
                  event[key::edge_truth].logical_and(source_pt > 0.9)));
  auto const noisy = PerfectEdgeClassifier{{.tnr = 0, .pt_min_gev = 0.9}}(event, {})[key::edge_score];
  CHECK(at::equal(noisy > 0.5, source_pt > 0.9));
}

TEST_CASE("perfect edge classifier: no edges") {
  auto const none =
      Record{key::edge_truth = at::zeros({0}, at::kBool), key::edge_index = at::zeros({2, 0}, at::kLong), key::pt = at::ones({3})};
  CHECK(PerfectEdgeClassifier{{.tpr = 0.5}}(none, {})[key::edge_score].size(0) == 0);
}
