// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/paper_condensation.hpp"

#include <doctest/doctest.h>

#include <map>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

Event event(std::int64_t n, std::int64_t particles) {
  auto const real = at::TensorOptions().dtype(at::kDouble);
  auto const id = at::randint(-1, particles + 1, {n}, at::kLong);
  auto const pt = at::rand({particles + 2}, real) * 3;
  return Event{key::latent = at::randn({n, 3}, real) * 0.4,
               key::beta = at::rand({n}, real) * 0.9 + 0.01,
               key::particle_id = id,
               key::reconstructable = (id > 0).logical_and(id % 4 != 0),
               key::pt = at::where(id > 0, pt.index_select(0, id + 1), at::zeros({}, real)),
               key::eta = at::zeros({n}, real)};
}
double number(Tensor const& t) { return t.item<double>(); }

/// The formula of the definitions, hit by hit.
double by_loops(Event const& e, double pt_min, double q_min, double noise_scale) {
  auto const id = [&](std::int64_t j) { return e[key::particle_id][j].item<std::int64_t>(); };
  auto const beta = [&](std::int64_t j) { return number(e[key::beta][j]); };
  auto const q = [&](std::int64_t j) { return std::pow(std::atanh(beta(j)), 2) + q_min; };
  std::map<std::int64_t, std::int64_t> alpha;
  auto const n = e.rows<Hits>();
  for (std::int64_t j = 0; j < n; ++j)
    if (id(j) > 0 && e[key::reconstructable][j].item<bool>() && number(e[key::pt][j]) > pt_min &&
        (!alpha.contains(id(j)) || q(j) > q(alpha[id(j)])))
      alpha[id(j)] = j;
  double potential = 0, coward = 0, noise = 0;
  int known = 0, noisy = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    if (id(j) < 0) continue;
    ++known;
    if (id(j) == 0) noise += beta(j), ++noisy;
    double sum = 0;
    for (auto const& [k, a] : alpha) {
      double const d = number((e[key::latent][j] - e[key::latent][a]).norm());
      sum += q(a) * (id(j) == k ? d * d : std::max(0.0, 1 - d));
    }
    potential += q(j) * sum;
  }
  for (auto const& [k, a] : alpha) coward += (1 - beta(a)) / double(alpha.size());
  return potential / known + coward + (noisy > 0 ? noise_scale * noise / noisy : 0);
}
}  // namespace

TEST_CASE("the paper's condensation loss: by definition") {
  seed();
  for (double noise_scale : {0.0, 0.3, 1.0})
    for (double q_min : {0.01, 0.5}) {
      auto const e = event(60, 9);
      auto const got = evaluate(paper_condensation({.pt_min_gev = 0.5, .q_min = q_min, .noise_scale = noise_scale}), e, {});
      CHECK(number(got.total) == doctest::Approx(by_loops(e, 0.5, q_min, noise_scale)));
      CHECK(got.terms[0].first == "paper_potential");
      CHECK(got.terms[1].first == "paper_beta");
    }
}

TEST_CASE("the paper's condensation loss: gradients are those of finite differences") {
  seed();
  auto const e = event(40, 6);
  auto const x = e[key::latent].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
  Event const leaves = e.with(key::latent = x, key::beta = beta);
  auto const loss = paper_condensation({.pt_min_gev = 0.5, .noise_scale = 0.7});
  for (auto const& leaf : {x, beta}) check_gradient(leaf, [&] { return evaluate(loss, leaves, {}).total; });
}

TEST_CASE("the paper's condensation loss: nothing to do is 0 with a zero gradient") {
  auto const e = event(12, 3);
  auto const x = e[key::latent].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
  Event const none = e.with(key::latent = x, key::beta = beta, key::particle_id = at::full({12}, -1, at::kLong));
  auto const value = evaluate(paper_condensation(), none, {}).total;
  CHECK(number(value) == 0);
  value.backward();
  CHECK(number(x.grad().abs().sum() + beta.grad().abs().sum()) == 0);
}
