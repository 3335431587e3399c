// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/condensation_losses.hpp"

#include "dew/loss/sum.hpp"
#include "model/small_graph.hpp"

#include <doctest/doctest.h>

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

// ---- subsampling of particles and pairs ------------------------------------------------------------------------------------------------
TEST_CASE("condensation losses: kept particles are objects with all their hits, the same in all terms - the others repel as hits") {
  seed();
  auto const e = event(60, 5);
  auto const sum = Attraction{{.pt_min_gev = -1, .eta_max = 99, .keep_particles = 0.5}} +
                   Repulsion{{.pt_min_gev = -1, .eta_max = 99, .keep_particles = 0.5}} +
                   Coward{{.pt_min_gev = -1, .eta_max = 99, .keep_particles = 0.5}} +
                   named<"pairs">(Attraction{{.pt_min_gev = -1, .eta_max = 99, .norm = CondensationNorm::pairs, .keep_particles = 0.5}});
  // by definition: the terms of an event in which some particles are not reconstructable, for each choice of them
  struct Choice {
    Figures terms;
    int count = 0;
  };
  std::vector<Choice> choices;
  std::int64_t const particles[] = {1, 2, 3, 5};  // 4 is not reconstructable
  for (int chosen = 0; chosen < 16; ++chosen) {
    auto reconstructable = e[key::reconstructable].clone();
    for (int k = 0; k < 4; ++k)
      if (!(chosen >> k & 1)) reconstructable.masked_fill_(e[key::particle_id] == particles[k], false);
    Event const some = e.with(key::reconstructable = reconstructable);
    choices.push_back({evaluate(sum, some, {}).terms, 0});
    auto const loops = by_loops(some, -1, 99, 1);
    CHECK(choices.back().terms[0].second == doctest::Approx(loops.attraction / loops.known));
    CHECK(choices.back().terms[1].second == doctest::Approx(loops.repulsion / loops.known));
    CHECK(choices.back().terms[2].second == doctest::Approx(loops.coward));
    CHECK(choices.back().terms[3].second == doctest::Approx(loops.attraction / (loops.of_interest - loops.objects + 1e-9)));
  }
  CHECK(bool(evaluate(sum, e, {.seed = 3}).terms == choices[15].terms));  // without training nothing is dropped
  int const steps = 800;
  for (int step = 0; step < steps; ++step) {
    auto const terms = evaluate(sum, e, {.training = true, .epoch = step / 8, .event = step % 8, .seed = 11}).terms;
    int found = -1;
    for (int c = 0; c < 16; ++c) {
      bool same = true;
      for (std::size_t t = 0; t < terms.size(); ++t)
        same = same && terms[t].second == doctest::Approx(choices[std::size_t(c)].terms[t].second);
      if (same) found = c;
    }
    REQUIRE(found >= 0);
    ++choices[std::size_t(found)].count;
  }
  for (auto const& choice : choices) CHECK((choice.count > steps / 16 / 2 && choice.count < steps / 16 * 2));
  auto const value = [&](std::uint64_t seed) { return evaluate(sum, e, {.training = true, .epoch = 1, .seed = seed}).terms; };
  CHECK(bool(value(1) == value(1)));
  int others = 0;
  for (std::uint64_t s = 2; s < 12; ++s) others += value(s) != value(1);
  CHECK(others >= 5);
}

TEST_CASE("condensation losses: the share of kept particles is the option's, and 1 keeps all") {
  auto const id = at::arange(1, 2001, at::kLong), all = at::ones({2000}, at::kBool);
  Context const step{.training = true, .epoch = 2, .event = 9, .shared_seed = 4};
  for (double keep : {0.1, 0.5, 0.9})
    CHECK(number(dew::detail::of_kept_particles(all, id, keep, step).sum()) / 2000 == doctest::Approx(keep).epsilon(0.1));
  CHECK(at::equal(dew::detail::of_kept_particles(all, id, 1, step), all));
  auto const some = dew::detail::of_kept_particles(all, id, 0.5, step), order = permutation(2000);
  CHECK(at::equal(dew::detail::of_kept_particles(all, id.index_select(0, order), 0.5, step), some.index_select(0, order)));
  auto other = step;
  for (auto change : {0, 1, 2}) {
    other = step;
    (change == 0 ? other.epoch : other.event) += change < 2;
    if (change == 2) other.shared_seed += 1;
    auto const agree = number((dew::detail::of_kept_particles(all, id, 0.5, other) == some).sum()) / 2000;
    CHECK(agree == doctest::Approx(0.5).epsilon(0.1));
  }
  auto const e = event(20, 3);
  for (double keep : {0.0, -1.0, 1.5, std::nan("")})
    CHECK_THROWS_WITH_AS((Coward{{.keep_particles = keep}}(e)),
                         doctest::Contains("keep_particles: expected a probability above 0 and at most 1"), Error);
}

TEST_CASE("repulsion: a cap on the pairs keeps the expected value, acts in training only and where there are more pairs") {
  seed();
  auto const e = event(300, 20);
  for (auto norm : {CondensationNorm::hits, CondensationNorm::pairs}) {
    Repulsion const all{{.norm = norm}};
    auto some = all;
    some.options.max_pairs = 300;
    double const expected = number(all(e, {}));
    CHECK(number(some(e, {})) == expected);
    double mean = 0;
    int different = 0;
    Context training{.training = true};
    double const first = number(some(e, training));
    CHECK(number(some(e, training)) == first);
    for (training.epoch = 0; training.epoch < 200; ++training.epoch) {
      double const drawn = number(some(e, training));
      mean += drawn / 200;
      different += drawn != first;
      CHECK(drawn == doctest::Approx(expected).epsilon(0.5));
    }
    CHECK(different > 190);
    CHECK(mean == doctest::Approx(expected).epsilon(0.02));
    some.options.max_pairs = 1'000'000;  // more than there are
    CHECK(number(some(e, training)) == expected);
  }
  auto const x = e[key::latent].clone().requires_grad_(), beta = e[key::beta].clone().requires_grad_();
  Event const leaves = e.with(key::latent = x, key::beta = beta);
  for (auto const& leaf : {x, beta}) check_gradient(leaf, [&] { return Repulsion{{.max_pairs = 200}}(leaves, {.training = true}); });
  CHECK_THROWS_WITH_AS((Repulsion{{.max_pairs = -1}}(e, {})), "repulsion.max_pairs: expected a number of at least 0, got -1", Error);
}
