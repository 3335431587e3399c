// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/edge_losses.hpp"

#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

namespace {
auto event(std::int64_t edges, at::ScalarType type = at::kDouble) {
  auto const real = at::TensorOptions().dtype(type);
  return Record{key::edge_score = at::rand({edges}, real) * 0.98 + 0.01, key::edge_truth = at::rand({edges}) < 0.4,
                key::edge_index = at::randint(0, 20, {2, edges}, at::kLong), key::particle_id = at::randint(-1, 6, {20}, at::kLong),
                key::pt = at::rand({20}, real) * 2};
}

/// A loss by definition: `term(w, y, loud)` for each edge whose ends are both known, and their mean.
template <class E, class F>
double by_loops(E const& event, double pt_min, F term) {
  double sum = 0;
  int count = 0;
  auto const edges = event[key::edge_index];
  for (std::int64_t e = 0; e < edges.size(1); ++e) {
    auto const s = edges[0][e].template item<std::int64_t>(), t = edges[1][e].template item<std::int64_t>();
    if (event[key::particle_id][s].template item<std::int64_t>() < 0 || event[key::particle_id][t].template item<std::int64_t>() < 0)
      continue;
    double const y = event[key::edge_truth][e].template item<bool>() ? 1 : 0;
    double const loud = event[key::pt][s].template item<double>() > pt_min ? y : 0;
    sum += term(event[key::edge_score][e].template item<double>(), y, loud);
    ++count;
  }
  return sum / count;
}
}  // namespace

TEST_CASE("edge losses: by definition, without edges at unknown hits") {
  seed();
  auto const e = event(200);
  auto const focal = [](double w, double y, double p) {
    return -0.25 * p * std::pow(1 - w, 2) * y * std::log(w) - 0.75 * w * w * (1 - y) * std::log(1 - w);
  };
  for (double pt_min : {0.0, 1.0}) {
    CHECK(BinaryCrossEntropy{{pt_min}}(e).item<double>() ==
          doctest::Approx(by_loops(e, pt_min, [](double w, double, double y) { return -y * std::log(w) - (1 - y) * std::log(1 - w); })));
    CHECK(FocalLoss{{.pt_min_gev = pt_min}}(e).item<double>() ==
          doctest::Approx(by_loops(e, pt_min, [&](double w, double, double y) { return focal(w, y, 1); })));
    CHECK(HaughtyFocalLoss{{.pt_min_gev = pt_min}}(e).item<double>() ==
          doctest::Approx(by_loops(e, pt_min, [&](double w, double y, double loud) { return focal(w, y, loud); })));
  }
  CHECK(FocalLoss{{.positive_weight = 3}}(e).item<double>() ==
        doctest::Approx(by_loops(e, 0, [&](double w, double y, double) { return focal(w, y, 3); })));
  CHECK(FocalLoss{{.alpha = 0.5, .gamma = 0}}(e).item<double>() == doctest::Approx(BinaryCrossEntropy{}(e).item<double>() / 2));
}

TEST_CASE("edge losses: the pt cut is strict") {
  Record<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt> const e{
      key::edge_score = at::full({1}, 0.9, at::kDouble), key::edge_truth = at::ones({1}, at::kBool),
      key::edge_index = at::zeros({2, 1}, at::kLong), key::particle_id = at::ones({1}, at::kLong),
      key::pt = at::full({1}, 0.5, at::kDouble)};
  CHECK(BinaryCrossEntropy{{.pt_min_gev = 0.5}}(e).item<double>() == doctest::Approx(-std::log(0.1)));
  CHECK(BinaryCrossEntropy{{.pt_min_gev = 0.499}}(e).item<double>() == doctest::Approx(-std::log(0.9)));
}

TEST_CASE("edge losses: gradients are those of finite differences") {
  seed();
  auto const e = event(60);
  auto const w = e[key::edge_score].clone().requires_grad_();
  auto const with_leaf = e.with(key::edge_score = w);
  check_gradient(w, [&] { return BinaryCrossEntropy{{0.7}}(with_leaf); });
  check_gradient(w, [&] { return FocalLoss{{.gamma = 1.5, .pt_min_gev = 0.7}}(with_leaf); });
  check_gradient(w, [&] { return HaughtyFocalLoss{}(with_leaf); });
}

TEST_CASE("edge losses: finite at scores of 0 and 1") {
  auto const w = at::tensor({0.0, 0.0, 1.0, 1.0}, at::kFloat).requires_grad_();
  Record<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt> const e{
      key::edge_score = w, key::edge_truth = at::tensor({0, 1, 0, 1}, at::kLong) > 0, key::edge_index = at::zeros({2, 4}, at::kLong),
      key::particle_id = at::ones({1}, at::kLong), key::pt = at::ones({1})};
  auto const check_finite = [&](auto const& loss) {
    w.mutable_grad() = Tensor();
    auto const value = loss(e);
    value.backward();
    CHECK(std::isfinite(value.template item<double>()));
    CHECK(value.template item<double>() > 1);
    CHECK(at::isfinite(w.grad()).all().template item<bool>());
  };
  check_finite(BinaryCrossEntropy{});
  check_finite(FocalLoss{});
  check_finite(HaughtyFocalLoss{});
}

TEST_CASE("edge losses: 0 with a zero gradient where there is no edge, or none with known ends") {
  auto const check_zero = [](auto const& loss, auto e) {
    auto const w = e[key::edge_score].clone().requires_grad_();
    auto const value = loss(e.with(key::edge_score = w));
    CHECK(value.template item<double>() == 0);
    value.backward();
    CHECK(w.grad().abs().sum().template item<double>() == 0);
  };
  auto unknown = event(5);
  unknown = unknown.with(key::particle_id = at::full({20}, -1, at::kLong));
  for (auto const& e : {event(0), unknown}) {
    check_zero(BinaryCrossEntropy{}, e);
    check_zero(FocalLoss{}, e);
    check_zero(HaughtyFocalLoss{}, e);
  }
}
