// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/object_properties.hpp"

#include <doctest/doctest.h>

#include <map>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<Properties, TrueProperties, Beta, ParticleId, Reconstructable>;

Event event(std::int64_t n, std::int64_t particles) {
  auto const id = at::randint(-1, particles + 1, {n}, at::kLong);
  return Event{key::properties = at::randn({n, 3}, at::kDouble), key::true_properties = at::randn({n, 3}, at::kDouble),
               key::beta = at::rand({n}, at::kDouble) * 0.9 + 0.01, key::particle_id = id, key::reconstructable = id % 4 != 0};
}
double number(Tensor const& t) { return t.item<double>(); }
ObjectProperties const efficiency{{.mode = PropertyMode::efficiency}}, purity{{.mode = PropertyMode::purity}};
}  // namespace

TEST_CASE("object properties: by definition, in both modes") {
  seed();
  for (int repeat = 0; repeat < 3; ++repeat) {
    auto const e = event(60, 9);
    struct Sums { double weighed = 0, weight = 0; } all;
    std::map<std::int64_t, Sums> by_particle;
    for (std::int64_t j = 0; j < 60; ++j) {
      auto const id = e[key::particle_id][j].item<std::int64_t>();
      if (id <= 0 || !e[key::reconstructable][j].item<bool>()) continue;
      double const xi = std::pow(std::atanh(number(e[key::beta][j])), 2);
      double m = 0;
      for (std::int64_t c = 0; c < 3; ++c) m += std::pow(number(e[key::properties][j][c]) - number(e[key::true_properties][j][c]), 2);
      for (auto* sums : {&all, &by_particle[id]}) sums->weighed += xi * m, sums->weight += xi;
    }
    double mean = 0;
    for (auto const& [id, sums] : by_particle) mean += sums.weighed / sums.weight / double(by_particle.size());
    CHECK(number(efficiency(e)) == doctest::Approx(mean));
    CHECK(number(purity(e)) == doctest::Approx(all.weighed / all.weight));
    CHECK(mean != doctest::Approx(all.weighed / all.weight).epsilon(1e-3));
  }
}

TEST_CASE("object properties: gradients are those of finite differences") {
  seed();
  auto const e = event(40, 6);
  auto const predicted = e[key::properties].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
  Event const leaves = e.with(key::properties = predicted, key::beta = beta);
  for (auto const& leaf : {predicted, beta})
    for (auto const& loss : {efficiency, purity}) check_gradient(leaf, [&] { return loss(leaves); });
}

TEST_CASE("object properties: nothing to judge is 0 with a zero gradient, and so is no confidence - widths must agree") {
  seed();
  auto const e = event(20, 3);
  auto const leaf = e[key::properties].clone().requires_grad_();
  Event const leaves = e.with(key::properties = leaf);
  for (Event const& some : {Event(leaves.with(key::particle_id = at::zeros({20}, at::kLong))),
                            Event(leaves.with(key::reconstructable = at::zeros({20}, at::kBool))),
                            Event(leaves.with(key::beta = at::zeros({20}, at::kDouble)))})
    for (auto const& loss : {efficiency, purity}) {
      leaf.mutable_grad() = Tensor();
      auto const value = loss(some);
      CHECK(number(value) == 0);
      value.backward();
      CHECK(number(leaf.grad().abs().sum()) == 0);
    }
  CHECK_THROWS_WITH_AS(efficiency(e.with(key::true_properties = at::zeros({20, 2}, at::kDouble))),
                       "object_properties: expected as many properties as true ones, got [20, 3] and [20, 2]", Error);
}
