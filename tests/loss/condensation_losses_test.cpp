// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/condensation_losses.hpp"

#include "dew/loss/sum.hpp"
#include "model/small_graph.hpp"
#include "support/golden.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <map>

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

/// n hits of at most `particles` particles, some noise (0) and unknown (−1); a particle's hits share pt, η and whether it is
/// reconstructable.
Event event(std::int64_t n, std::int64_t particles, double spread = 0.4, at::ScalarType type = at::kDouble) {
  auto const real = at::TensorOptions().dtype(type);
  auto const id = at::randint(-1, particles + 1, {n}, at::kLong);
  auto const of = id + 1;
  auto const pt = at::rand({particles + 2}, real) * 3, eta = at::randn({particles + 2}, real) * 3;
  return Event{key::latent = at::randn({n, 3}, real) * spread,
               key::beta = at::rand({n}, real) * 0.9 + 0.01,
               key::particle_id = id,
               key::reconstructable = (id > 0).logical_and(id % 4 != 0),
               key::pt = at::where(id > 0, pt.index_select(0, of), at::zeros({}, real)),
               key::eta = at::where(id > 0, eta.index_select(0, of), at::zeros({}, real))};
}

/// The four terms of the definitions, by loops over plain numbers.
struct ByLoops {
  double attraction = 0, repulsion = 0, coward = 0, noise = 0;
  int objects = 0, of_interest = 0, known = 0;
};
ByLoops by_loops(Event const& e, double pt_min, double eta_max, double q_min) {
  auto const n = e.rows<Hits>();
  auto const id = [&](std::int64_t j) { return e[key::particle_id][j].item<std::int64_t>(); };
  auto const beta = [&](std::int64_t j) { return e[key::beta][j].item<double>(); };
  auto const q = [&](std::int64_t j) { return std::pow(std::atanh(beta(j)), 2) + q_min; };
  ByLoops out;
  std::map<std::int64_t, std::int64_t> alpha;
  int noise = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    out.known += id(j) >= 0;
    if (id(j) == 0) out.noise += beta(j), ++noise;
    if (id(j) > 0 && e[key::reconstructable][j].item<bool>() && e[key::pt][j].item<double>() > pt_min &&
        std::abs(e[key::eta][j].item<double>()) < eta_max)
      ++out.of_interest, alpha[id(j)] = -1;
  }
  if (noise > 0) out.noise /= noise;
  for (auto& [k, a] : alpha)
    for (std::int64_t j = 0; j < n; ++j)
      if (id(j) == k && (a < 0 || q(j) > q(a))) a = j;
  out.objects = int(alpha.size());
  for (auto const& [k, a] : alpha) {
    out.coward += (1 - beta(a)) / out.objects;
    for (std::int64_t j = 0; j < n; ++j) {
      auto const d = (e[key::latent][j] - e[key::latent][a]).square().sum().sqrt().item<double>();
      if (id(j) == k) out.attraction += q(j) * q(a) * d * d;
      else if (id(j) >= 0) out.repulsion += q(j) * q(a) * std::max(0.0, 1 - d);
    }
  }
  return out;
}
double number(Tensor const& t) { return t.item<double>(); }
}  // namespace

TEST_CASE("condensation losses: as the reference") {
  for (auto const* name : {"loss_condensation_tiger", "loss_condensation_radius_graph"}) {
    auto const file = golden(name);
    if (!file) return;
    auto const config = nlohmann::json::parse(file->metadata.at("config"));
    auto const x = file->tensors.at("x").clone().requires_grad_(), beta = file->tensors.at("beta").clone().requires_grad_();
    Event const e{key::latent = x,
                  key::beta = beta,
                  key::particle_id = file->tensors.at("particle_id"),
                  key::reconstructable = file->tensors.at("reconstructable") != 0,
                  key::pt = file->tensors.at("pt"),
                  key::eta = file->tensors.at("eta")};
    double const q_min = config["q_min"], pt_min = config["pt_thld"], eta_max = config["max_eta"];
    auto const loss = Attraction{{.pt_min_gev = pt_min, .eta_max = eta_max, .q_min = q_min, .norm = CondensationNorm::pairs}} +
                      config["lw_repulsive"].get<double>() *
                          Repulsion{{.pt_min_gev = pt_min, .eta_max = eta_max, .q_min = q_min, .norm = CondensationNorm::pairs}} +
                      config["lw_coward"].get<double>() * Coward{{.pt_min_gev = pt_min, .eta_max = eta_max}} +
                      config["lw_noise"].get<double>() * Noise{};
    auto const got = evaluate(loss, e, {});
    char const* terms[] = {"term.attractive", "term.repulsive", "term.coward", "term.noise"};
    for (std::size_t i = 0; i < 4; ++i) {
      INFO(terms[i]);
      CHECK(got.terms[i].second == doctest::Approx(number(file->tensors.at(terms[i]))).epsilon(1e-4));
    }
    CHECK(number(got.total) == doctest::Approx(number(file->tensors.at("loss"))).epsilon(1e-4));
    got.total.backward();
    for (auto const& [gradient, expected] : {std::pair{x.grad(), file->tensors.at("grad_x")}, {beta.grad(), file->tensors.at("grad_beta")}})
      CHECK(number((gradient - expected).abs().max()) < 1e-3 * number(expected.abs().max()));
  }
}

TEST_CASE("condensation losses: by definition, with both norms") {
  seed();
  for (double spread : {0.1, 0.4, 2.0}) {
    auto const e = event(60, 9, spread);
    auto const sums = by_loops(e, 0.5, 3, 0.3);
    REQUIRE(sums.objects > 1);
    CHECK(number(Attraction{{.pt_min_gev = 0.5, .eta_max = 3, .q_min = 0.3, .norm = CondensationNorm::pairs}}(e)) ==
          doctest::Approx(sums.attraction / (sums.of_interest - sums.objects + 1e-9)));
    CHECK(number(Attraction{{.pt_min_gev = 0.5, .eta_max = 3, .q_min = 0.3}}(e)) == doctest::Approx(sums.attraction / sums.known));
    CHECK(number(Repulsion{{.pt_min_gev = 0.5, .eta_max = 3, .q_min = 0.3, .norm = CondensationNorm::pairs}}(e, {})) ==
          doctest::Approx(sums.repulsion / ((sums.objects - 1) * sums.known + 1e-9)));
    CHECK(number(Repulsion{{.pt_min_gev = 0.5, .eta_max = 3, .q_min = 0.3}}(e, {})) == doctest::Approx(sums.repulsion / sums.known));
    CHECK(number(Coward{{.pt_min_gev = 0.5, .eta_max = 3}}(e)) == doctest::Approx(sums.coward));
    CHECK(number(Noise{}(e)) == doctest::Approx(sums.noise));
  }
}

TEST_CASE("condensation losses: gradients are those of finite differences") {
  seed();
  auto const e = event(40, 6);
  auto const x = e[key::latent].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
  Event const leaves = e.with(key::latent = x, key::beta = beta);
  for (auto norm : {CondensationNorm::hits, CondensationNorm::pairs})
    for (auto const& leaf : {x, beta}) {
      check_gradient(leaf, [&] { return Attraction{{.pt_min_gev = 0.5, .norm = norm}}(leaves); });
      check_gradient(leaf, [&] { return Repulsion{{.pt_min_gev = 0.5, .norm = norm}}(leaves, {}); });
    }
  check_gradient(beta, [&] { return Coward{{.pt_min_gev = 0.5}}(leaves); });
  check_gradient(beta, [&] { return Noise{}(leaves); });
}

TEST_CASE("condensation losses: the order of the hits is of no account") {
  seed();
  auto const e = event(60, 9);
  auto const order = permutation(60);
  Event mixed;
  e.for_each([&]<class K>(K, Tensor const& t) { mixed = Event(mixed.with(set<K>(t.index_select(0, order)))); });
  auto const loss = Attraction{} + Repulsion{} + Coward{} + Noise{};
  auto const a = evaluate(loss, e, {}), b = evaluate(loss, mixed, {});
  for (std::size_t i = 0; i < a.terms.size(); ++i) CHECK(a.terms[i].second == doctest::Approx(b.terms[i].second));
}

TEST_CASE("condensation losses: unknown hits take no part, noise and hits of low pt repel") {
  seed();
  auto const e = event(60, 9);
  auto const loss = Attraction{} + Repulsion{} + Coward{} + Noise{};
  auto const with = evaluate(loss, e, {}), without = evaluate(loss, e.select(e[key::particle_id] >= 0, Hits{}), {});
  for (std::size_t i = 0; i < with.terms.size(); ++i) CHECK(with.terms[i].second == doctest::Approx(without.terms[i].second));
  auto const fewer = e.select(e[key::particle_id] > 0, Hits{});
  auto const sum = [](Event const& some) {
    return number(Repulsion{}(some, {})) * double((some[key::particle_id] >= 0).sum().item<std::int64_t>());
  };
  CHECK(sum(e) > sum(fewer) * 1.001);
}

TEST_CASE("condensation losses: nothing to do is 0 with a zero gradient") {
  seed();
  auto const check_zero = [](Event e) {
    auto const x = e[key::latent].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
    e = e.with(key::latent = x, key::beta = beta);
    auto const value = evaluate(Attraction{} + Repulsion{} + Coward{}, e, {});
    CHECK(number(value.total) == 0);
    value.total.backward();
    CHECK(number(x.grad().abs().sum()) == 0);
    CHECK(number(beta.grad().abs().sum()) == 0);
  };
  check_zero(event(0, 3));
  auto const e = event(20, 3);
  check_zero(e.with(key::reconstructable = at::zeros({20}, at::kBool)));
  check_zero(e.with(key::particle_id = at::zeros({20}, at::kLong)));
  check_zero(e.with(key::particle_id = at::full({20}, -1, at::kLong)));
  auto const beta = at::rand({20}, at::kDouble).requires_grad_();
  auto const silent = Noise{}(e.with(key::beta = beta, key::particle_id = at::ones({20}, at::kLong)));
  CHECK(number(silent) == 0);
  silent.backward();
  CHECK(number(beta.grad().abs().sum()) == 0);
}

TEST_CASE("condensation losses: one object, one hit, hits in one place") {
  auto const one = [](std::vector<double> x, std::vector<std::int64_t> id) {
    auto const n = std::int64_t(id.size());
    return Event{key::latent = at::tensor(x, at::kDouble).reshape({n, 1}).requires_grad_(),
                 key::beta = at::full({n}, 0.5, at::kDouble),
                 key::particle_id = at::tensor(id, at::kLong),
                 key::reconstructable = at::ones({n}, at::kBool),
                 key::pt = at::ones({n}, at::kDouble),
                 key::eta = at::zeros({n}, at::kDouble)};
  };
  double const q = std::pow(std::atanh(0.5), 2) + 1;
  for (auto norm : {CondensationNorm::hits, CondensationNorm::pairs}) {
    CAPTURE(int(norm));
    auto const single = one({0.3}, {7});  // an object of one hit
    CHECK(number(Attraction{{.norm = norm}}(single)) == 0);
    CHECK(number(Repulsion{{.norm = norm}}(single, {})) == 0);
    auto const object = one({0.0, 0.5, 0.75}, {7, 7, 0});  // one object and a noise hit: divided by N, whatever the norm
    CHECK(number(Repulsion{{.norm = norm}}(object, {})) == doctest::Approx(q * q * 0.25 / 3));
    CHECK(number(Attraction{{.norm = norm}}(object)) == doctest::Approx(q * q * 0.25 / (norm == CondensationNorm::hits ? 3 : 1)));
    auto const heap = one({0.1, 0.1, 0.1, 0.1}, {7, 7, 8, 0});
    (Attraction{{.norm = norm}}(heap) + Repulsion{{.norm = norm}}(heap, {})).backward();
    CHECK(number(heap[key::latent].grad().abs().sum()) == 0);
  }
}

TEST_CASE("repulsion: a sample is drawn in training only, anew each step, and is right on average") {
  seed();
  auto const e = event(300, 20);
  Repulsion const all{}, some{{.sample_hits = 60}};
  double const expected = number(all(e, {}));
  CHECK(number(some(e, {})) == expected);
  Context training{.training = true};
  double const first = number(some(e, training));
  CHECK(number(some(e, training)) == first);
  double mean = 0;
  int different = 0;
  for (training.epoch = 0; training.epoch < 200; ++training.epoch) {
    double const drawn = number(some(e, training));
    mean += drawn / 200;
    different += drawn != first;
  }
  CHECK(different > 150);
  CHECK(mean == doctest::Approx(expected).epsilon(0.03));
  CHECK(number(Repulsion{{.sample_hits = 1000}}(e, training)) == expected);
}
