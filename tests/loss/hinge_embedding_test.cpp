// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/hinge_embedding.hpp"

#include "dew/loss/sum.hpp"
#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<HitEmbedding, TrueEdgeIndex, ParticleId, Reconstructable, Pt, Eta>;

/// n hits of at most `particles` particles, some noise (0) and unknown (−1), and pairs: i → j of one particle or any other, now and then twice.
Event event(std::int64_t n, std::int64_t particles, std::int64_t pairs, double spread = 0.5) {
  auto const real = at::TensorOptions().dtype(at::kDouble);
  auto const id = at::randint(-1, particles + 1, {n}, at::kLong);
  auto const pt = at::rand({particles + 2}, real) * 3, eta = at::randn({particles + 2}, real) * 3;
  return Event{key::hit_embedding = at::randn({n, 3}, real) * spread,
               key::true_edge_index = at::randint(0, std::max<std::int64_t>(n, 1), {2, n > 0 ? pairs : 0}, at::kLong),
               key::particle_id = id,
               key::reconstructable = (id > 0).logical_and(id % 4 != 0),
               key::pt = at::where(id > 0, pt.index_select(0, id + 1), at::zeros({}, real)),
               key::eta = at::where(id > 0, eta.index_select(0, id + 1), at::zeros({}, real))};
}

double number(Tensor const& t) { return t.item<double>(); }

/// Both terms of the definitions, by loops over plain numbers.
struct ByLoops {
  double attraction = 0, repulsion = 0;
  int of_interest = 0, attracting = 0, repelling = 0;
};
ByLoops by_loops(Event const& e, double pt_min, double eta_max, double radius, double p_att, double p_rep, bool oi_only) {
  ByLoops out;
  auto const n = e.rows<Hits>();
  auto const id = [&](std::int64_t j) { return e[key::particle_id][j].item<std::int64_t>(); };
  auto const distance = [&](std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t c = 0; c < e[key::hit_embedding].size(1); ++c)
      sum += std::pow(number(e[key::hit_embedding][i][c]) - number(e[key::hit_embedding][j][c]), 2);
    return std::sqrt(sum);
  };
  std::vector<bool> interest;
  for (std::int64_t i = 0; i < n; ++i) {
    interest.push_back(id(i) > 0 && e[key::reconstructable][i].item<bool>() && number(e[key::pt][i]) > pt_min &&
                       std::abs(number(e[key::eta][i])) < eta_max);
    out.of_interest += interest.back();
  }
  for (std::int64_t t = 0; t < e.rows<TrueEdges>(); ++t) {
    auto const i = e[key::true_edge_index][0][t].item<std::int64_t>(), j = e[key::true_edge_index][1][t].item<std::int64_t>();
    if (interest[std::size_t(i)] && id(j) >= 0) out.attraction += std::pow(distance(i, j), p_att), ++out.attracting;
  }
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      if (id(i) < 0 || id(j) < 0 || id(i) == id(j) || (oi_only && !interest[std::size_t(i)]) || distance(i, j) >= radius) continue;
      out.repulsion += std::max(0.0, radius - std::pow(distance(i, j), p_rep)), ++out.repelling;
    }
  return out;
}
}  // namespace

TEST_CASE("hinge embedding: by definition, with all norms and powers") {
  seed();
  for (double spread : {0.1, 0.5, 2.0})
    for (bool oi_only : {true, false})
      for (double power : {1.0, 1.5, 2.0}) {
        CAPTURE(spread);
        CAPTURE(oi_only);
        CAPTURE(power);
        auto const e = event(60, 9, 80, spread);
        double const radius = 0.7;
        auto const sums = by_loops(e, 0.2, 3, radius, power, power, oi_only);
        REQUIRE((sums.of_interest > 5 && sums.attracting > 5));
        CHECK(number(HingeAttraction{{.pt_min_gev = 0.2, .eta_max = 3, .power = power}}(e)) ==
              doctest::Approx(sums.attraction / (sums.attracting + 1e-9)));
        for (auto norm : {HingeNorm::n_hits_oi, HingeNorm::n_rep_edges, HingeNorm::n_att_edges}) {
          CAPTURE(int(norm));
          double const m = norm == HingeNorm::n_hits_oi     ? sums.of_interest
                           : norm == HingeNorm::n_rep_edges ? sums.repelling
                                                            : sums.attracting;
          CHECK(number(HingeRepulsion{
                    {.pt_min_gev = 0.2, .eta_max = 3, .radius = radius, .power = power, .norm = norm, .rep_oi_only = oi_only}}(e)) ==
                doctest::Approx(sums.repulsion / (m + 1e-9)));
        }
      }
}

TEST_CASE("hinge embedding: gradients are those of finite differences, and 0 at distance 0") {
  seed();
  auto const e = event(40, 6, 60);
  auto const x = e[key::hit_embedding].clone().requires_grad_();
  x.detach()[7].copy_(x.detach()[3]);
  Event const leaves = e.with(key::hit_embedding = x);
  for (double power : {1.0, 1.5, 2.0}) {
    check_gradient(x, [&] { return HingeAttraction{{.pt_min_gev = 0.5, .power = power}}(leaves); });
    // with p = 2 and r = 1 both max(0, …) and d < r end at distance 1: the sum is continuous there
    check_gradient(x, [&] { return HingeRepulsion{{.pt_min_gev = 0.5, .power = power}}(leaves); });
  }
  auto const heap = at::zeros({4, 2}, at::kDouble).requires_grad_();
  Event const same{key::hit_embedding = heap,
                   key::true_edge_index = at::tensor({0, 1}, at::kLong).reshape({2, 1}),
                   key::particle_id = at::tensor({5, 5, 6, 0}, at::kLong),
                   key::reconstructable = at::ones({4}, at::kBool),
                   key::pt = at::ones({4}, at::kDouble),
                   key::eta = at::zeros({4}, at::kDouble)};
  auto const both = HingeAttraction{}(same) + HingeRepulsion{}(same);
  CHECK(number(both) == doctest::Approx((2 + 2 + 3) / 3.));  // of hits of interest to other ids: 2, 2 and 3 pairs at distance 0
  both.backward();
  CHECK(number(heap.grad().abs().sum()) == 0);
}

TEST_CASE("hinge embedding: two hits of interest count twice, the radius is open, noise repels but not itself") {
  auto const line = [](std::vector<double> x, std::vector<std::int64_t> id, std::vector<double> pt) {
    auto const n = std::int64_t(id.size());
    return Event{key::hit_embedding = at::tensor(x, at::kDouble).reshape({n, 1}),
                 key::true_edge_index = at::empty({2, 0}, at::kLong),
                 key::particle_id = at::tensor(id, at::kLong),
                 key::reconstructable = at::ones({n}, at::kBool),
                 key::pt = at::tensor(pt, at::kDouble),
                 key::eta = at::zeros({n}, at::kDouble)};
  };
  HingeRepulsion const loss{{.norm = HingeNorm::n_rep_edges}};
  auto const sum = [](HingeRepulsion loss, Event const& e) {  // the norm is 2
    loss.options.norm = HingeNorm::n_hits_oi;
    return number(loss(e)) * number(hits_of_interest(e, 0.9, 4).sum());
  };
  CHECK(sum(loss, line({0, 0.25}, {1, 2}, {1, 1})) == doctest::Approx(1.5));
  CHECK(sum(loss, line({0, 0.25}, {1, 2}, {1, 0.5})) == doctest::Approx(0.75));
  CHECK(sum(loss, line({0, 0.25}, {1, 0}, {1, 0})) == doctest::Approx(0.75));
  CHECK(sum(loss, line({0, 0.25, 5}, {0, 0, 1}, {0, 0, 1})) == 0);
  CHECK(sum(loss, line({0, 0.25, 5}, {0, 2, 1}, {0, 0.5, 1})) == 0);
  CHECK(sum(HingeRepulsion{{.rep_oi_only = false}}, line({0, 0.25, 5}, {0, 2, 1}, {0, 0.5, 1})) == doctest::Approx(1.5));
  CHECK(number(loss(line({0, 1}, {1, 2}, {1, 1}))) == 0);
  auto const edge = line({0, 0.5}, {1, 2}, {1, 1});  // at a distance of exactly the radius there is no pair
  CHECK(sum(HingeRepulsion{{.radius = 0.5, .power = 2}}, edge) == 0);
  CHECK(sum(HingeRepulsion{{.radius = 0.51, .power = 2}}, edge) == doctest::Approx(2 * (0.51 - 0.25)));
}

TEST_CASE("hinge embedding: nothing to do is 0 with a zero gradient - unknown hits take no part") {
  seed();
  auto const check_zero = [](Event e) {
    auto const x = e[key::hit_embedding].clone().requires_grad_();
    e = e.with(key::hit_embedding = x);
    for (auto norm : {HingeNorm::n_hits_oi, HingeNorm::n_rep_edges, HingeNorm::n_att_edges}) {
      x.mutable_grad() = Tensor();
      auto const value = evaluate(HingeAttraction{} + HingeRepulsion{{.norm = norm}}, e, {}).total;
      CHECK(number(value) == 0);
      value.backward();
      CHECK(number(x.grad().abs().sum()) == 0);
    }
  };
  check_zero(event(0, 3, 0));
  auto const e = event(20, 3, 10);
  check_zero(e.with(key::reconstructable = at::zeros({20}, at::kBool)));
  check_zero(e.with(key::particle_id = at::zeros({20}, at::kLong)));
  check_zero(e.with(key::particle_id = at::full({20}, -1, at::kLong)));
  auto const whole = event(60, 9, 80);
  Event const known = whole.select(whole[key::particle_id] >= 0, Hits{});
  CHECK(known.rows<TrueEdges>() < 80);
  auto const loss = HingeAttraction{} + HingeRepulsion{{.rep_oi_only = false}};
  auto const a = evaluate(loss, whole, {}), b = evaluate(loss, known, {});
  for (std::size_t i = 0; i < 2; ++i) CHECK(a.terms[i].second == doctest::Approx(b.terms[i].second));
}

TEST_CASE("hinge embedding: options that make no sense are refused") {
  auto const e = event(5, 2, 3);
  CHECK_THROWS_WITH_AS((HingeAttraction{{.power = 0.5}}(e)), "hinge_attraction.power: expected a number of at least 1, got 0.5", Error);
  CHECK_THROWS_WITH_AS((HingeRepulsion{{.power = std::nan("")}}(e)), "hinge_repulsion.power: expected a number of at least 1, got nan",
                       Error);
  CHECK_THROWS_WITH_AS((HingeRepulsion{{.radius = 0}}(e)), "hinge_repulsion.radius: expected a radius above 0, got 0", Error);
}
