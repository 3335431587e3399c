// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/condensation.hpp"

#include "dew/ops/condensation_attraction.hpp"
#include "dew/ops/condensation_repulsion.hpp"
#include "model/small_graph.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace dew;
using namespace dew::test;

namespace {
double value(Tensor const& t, std::int64_t i) { return t[i].item<double>(); }
std::int64_t whole(Tensor const& t, std::int64_t i) { return t[i].item<std::int64_t>(); }

/// By definition, with loops: the object of each hit and each object's hit of largest charge.
bool are_objects(CondensationObjects const& o, Tensor const& charge, Tensor const& id, Tensor const& interest) {
  std::set<std::int64_t> ids;
  for (std::int64_t j = 0; j < id.size(0); ++j)
    if (interest[j].item<bool>()) ids.insert(whole(id, j));
  if (o.count() != std::int64_t(ids.size()) || o.object.size(0) != id.size(0)) return false;
  for (std::int64_t j = 0; j < id.size(0); ++j) {
    auto const at = ids.find(whole(id, j));
    if (whole(o.object, j) != (at == ids.end() ? -1 : std::distance(ids.begin(), at))) return false;
  }
  for (std::int64_t k = 0; k < o.count(); ++k) {
    std::int64_t best = -1;
    for (std::int64_t j = 0; j < id.size(0); ++j)
      if (whole(o.object, j) == k && (best < 0 || value(charge, j) > value(charge, best))) best = j;
    if (whole(o.alpha, k) != best) return false;
  }
  return true;
}

double distance(Tensor const& x, std::int64_t i, std::int64_t j) {
  double sum = 0;
  for (std::int64_t c = 0; c < x.size(1); ++c) sum += std::pow(x[i][c].item<double>() - x[j][c].item<double>(), 2);
  return std::sqrt(sum);
}
double attraction_by_loops(Tensor const& x, Tensor const& q, CondensationObjects const& o) {
  double sum = 0;
  for (std::int64_t k = 0; k < o.count(); ++k)
    for (std::int64_t j = 0; j < x.size(0); ++j)
      if (whole(o.object, j) == k) sum += value(q, j) * value(q, whole(o.alpha, k)) * std::pow(distance(x, j, whole(o.alpha, k)), 2);
  return sum;
}
double repulsion_by_loops(Tensor const& x, Tensor const& q, CondensationObjects const& o, Tensor const& hits) {
  double sum = 0;
  for (std::int64_t k = 0; k < o.count(); ++k)
    for (std::int64_t m = 0; m < hits.size(0); ++m)
      if (auto const j = whole(hits, m); whole(o.object, j) != k)
        sum += value(q, j) * value(q, whole(o.alpha, k)) * std::max(0.0, 1 - distance(x, j, whole(o.alpha, k)));
  return sum;
}

struct Event {
  Tensor x, q;  // leaves
  CondensationObjects objects;
  Tensor hits;
};
/// n hits of at most `particles` particles in d dimensions; the smaller `spread`, the more pairs repel each other.
Event event(std::int64_t n, std::int64_t d, std::int64_t particles, double spread, at::ScalarType type = at::kDouble) {
  auto const real = at::TensorOptions().dtype(type);
  auto const id = at::randint(0, particles + 1, {n}, at::kLong);
  Event e{at::randn({n, d}, real) * spread, at::rand({n}, real) + 0.1, {}, at::arange(n, at::kLong)};
  e.objects = condensation_objects(e.q, id, (id > 0).logical_and(id % 3 != 0));
  e.x.requires_grad_(), e.q.requires_grad_();
  return e;
}

struct Derived {
  double sum;
  Tensor x, q;
};
template <class F> Derived derived(Event const& e, F f) {
  e.x.mutable_grad() = Tensor(), e.q.mutable_grad() = Tensor();
  Tensor const sum = f(e.x, e.q, e.objects, e.hits);
  (sum * 2).backward();  // a factor from outside reaches the gradients
  return {sum.item<double>(), e.x.grad().clone(), e.q.grad().clone()};
}
void check_equal(Derived const& got, Derived const& expected, double tolerance = 1e-9) {
  CHECK(got.sum == doctest::Approx(expected.sum).epsilon(tolerance));
  auto const difference = [](Tensor const& a, Tensor const& b) {
    return a.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>() / (1e-9 + b.abs().max().item<double>());
  };
  CHECK(difference(got.x, expected.x) < tolerance);
  CHECK(difference(got.q, expected.q) < tolerance);
}
Tensor tiled(Tensor const& x, Tensor const& q, CondensationObjects const& o, Tensor const& hits) {
  // the form of other devices, as a function with the gradients that it makes
  auto const made = dew::detail::repulsion_tiled(x, q, o.object, o.alpha, hits, true, 7);
  return made.sum + (made.grad_x * (x - x.detach())).sum() + (made.grad_q * (q - q.detach())).sum();
}
}  // namespace

TEST_CASE("condensation objects: by definition") {
  seed();
  for (int n : {0, 1, 2, 30, 200}) {
    auto const id = at::randint(-1, 12, {n}, at::kLong);
    auto const charge = at::randint(0, 4, {n}, at::kLong).to(at::kDouble);  // with ties
    auto const interest = (id > 0).logical_and(id % 2 == 0);
    auto const got = condensation_objects(charge, id, interest);
    CHECK(are_objects(got, charge, id, interest));
    if (n == 200) {  // the oracle rejects another hit of the same object, and an object too few
      auto wrong = got;
      wrong.alpha = got.alpha.clone();
      for (std::int64_t j = 0; j < n; ++j)
        if (whole(got.object, j) == 0 && j != whole(got.alpha, 0)) wrong.alpha[0].fill_(j);
      CHECK_FALSE(are_objects(wrong, charge, id, interest));
      CHECK_FALSE(are_objects({got.object, got.alpha.narrow(0, 1, got.count() - 1)}, charge, id, interest));
    }
  }
}

TEST_CASE("condensation objects: the two ways agree, whatever the ids and charges") {
  seed();
  for (int n : {0, 1, 40, 3000})
    for (auto type : {at::kFloat, at::kDouble})
      for (std::int64_t step : {std::int64_t(1), std::int64_t(-1) << 32, std::int64_t(1) << 59}) {  // ids that collide in few bits
        auto const id = at::randint(-9, 9, {n}, at::kLong) * step;
        auto charge = at::randint(-2, 2, {n}, at::kLong).to(type);
        charge = at::where(at::rand({n}) < 0.01, at::full_like(charge, NAN), charge);
        for (auto const& interest : {at::rand({n}) < 0.5, at::rand({n}) < 0.02, at::zeros({n}, at::kBool)}) {
          auto const got = condensation_objects(charge, id, interest),
                     expected = dew::detail::condensation_objects_sorted(charge, id, interest);
          CHECK(at::equal(got.object, expected.object));
          CHECK(at::equal(got.alpha, expected.alpha));
        }
      }
}

TEST_CASE("condensation objects: all of a particle's hits are its object's once one is of interest - ids may be large") {
  auto const id = at::tensor({7L, 4503668346847232L, 7L, 0L, -1L}, at::kLong);
  auto const got = condensation_objects(at::ones({5}), id, at::tensor({0, 1, 1, 0, 0}, at::kLong) > 0);
  CHECK(at::equal(got.object, at::tensor({0, 1, 0, -1, -1}, at::kLong)));
  CHECK(at::equal(got.alpha, at::tensor({0, 1}, at::kLong)));
}

TEST_CASE("condensation sums: by definition") {
  seed();
  for (double spread : {0.05, 0.4, 2.0}) {
    auto const e = event(40, 3, 9, spread);
    CHECK(attraction_sum(e.x, e.q, e.objects).item<double>() == doctest::Approx(attraction_by_loops(e.x, e.q, e.objects)));
    CHECK(repulsion_sum_reference(e.x, e.q, e.objects, e.hits).item<double>() ==
          doctest::Approx(repulsion_by_loops(e.x, e.q, e.objects, e.hits)));
    CHECK(repulsion_sum(e.x, e.q, e.objects, e.hits).item<double>() == doctest::Approx(repulsion_by_loops(e.x, e.q, e.objects, e.hits)));
  }
}

TEST_CASE("attraction: value, gradients and second derivatives of the reference") {
  seed();
  for (auto type : {at::kFloat, at::kDouble})
    for (std::int64_t n : {0, 1, 50, 2000})
      for (std::int64_t d : {0, 1, 8}) {
        CAPTURE(type);
        CAPTURE(n);
        CAPTURE(d);
        auto const e = event(n, d, 9, 0.5, type);
        auto const tolerance = type == at::kFloat ? 1e-5 : 1e-12;
        check_equal(derived(e, [](auto const& x, auto const& q, auto const& o, auto const&) { return attraction_sum(x, q, o); }),
                    derived(e, [](auto const& x, auto const& q, auto const& o, auto const&) { return attraction_sum_reference(x, q, o); }),
                    tolerance);
        // the charge depends on x too, as behind one network
        auto const second = [&](auto sum) {
          auto const q = e.q * (1 + e.x.square().sum(1));
          auto const first = torch::autograd::grad({sum(e.x, q, e.objects) * 2}, {e.x, e.q}, {}, true, true);
          return torch::autograd::grad({first[0].square().sum() + first[1].pow(3).sum()}, {e.x, e.q});
        };
        auto const got = second(attraction_sum), expected = second(attraction_sum_reference);
        for (std::size_t i = 0; i < 2; ++i) CHECK(at::allclose(got[i], expected[i], tolerance * 10, tolerance));
      }
}

TEST_CASE("attraction: sums do not drift over many hits of one object") {
  seed();
  auto const x = at::rand({200000, 2}).requires_grad_(), q = at::rand({200000}).requires_grad_();
  auto const objects = condensation_objects(q, at::ones({200000}, at::kLong), at::ones({200000}, at::kBool));
  auto const got = attraction_sum(x, q, objects);
  got.backward();
  auto const x2 = x.detach().to(at::kDouble).requires_grad_(), q2 = q.detach().to(at::kDouble).requires_grad_();
  auto const expected = attraction_sum_reference(x2, q2, objects);
  expected.backward();
  CHECK(got.item<double>() == doctest::Approx(expected.item<double>()).epsilon(1e-7));
  CHECK(at::allclose(x.grad().to(at::kDouble), x2.grad(), 1e-6, 1e-8));
  CHECK(at::allclose(q.grad().to(at::kDouble), q2.grad(), 1e-6, 1e-8));
}

TEST_CASE("condensation sums: gradients are those of finite differences") {
  seed();
  auto const e = event(30, 3, 6, 0.3);
  for (auto const& leaf : {e.x, e.q}) {
    check_gradient(leaf, [&] { return attraction_sum(e.x, e.q, e.objects); });
    check_gradient(leaf, [&] { return repulsion_sum_reference(e.x, e.q, e.objects, e.hits); });
    check_gradient(leaf, [&] { return repulsion_sum(e.x, e.q, e.objects, e.hits); });
  }
}

TEST_CASE("repulsion: the kernel and the tiles have the reference's value and gradients") {
  seed();
  for (std::int64_t d : {1, 2, 3, 4, 5, 8, 12, 17})
    for (double spread : {0.0, 0.01, 0.3, 1.0, 5.0})
      for (std::int64_t n : {1, 2, 60, 700}) {
        CAPTURE(d);
        CAPTURE(spread);
        CAPTURE(n);
        auto const e = event(n, d, n / 5 + 1, spread);
        auto const expected = derived(e, repulsion_sum_reference);
        check_equal(derived(e, repulsion_sum), expected);
        if (n <= 60) check_equal(derived(e, tiled), expected);
      }
}

TEST_CASE("repulsion: in single precision, near the reference in double") {
  seed();
  auto const check_event = [](Event const& e) {
    auto const expected = derived(e, repulsion_sum_reference);
    Event single{e.x.detach().to(at::kFloat).requires_grad_(), e.q.detach().to(at::kFloat).requires_grad_(), e.objects, e.hits};
    auto const got = derived(single, repulsion_sum);
    CHECK(got.sum == doctest::Approx(expected.sum).epsilon(1e-5));
    CHECK((got.x - expected.x).abs().max().item<double>() < 1e-4 * expected.x.abs().max().item<double>());
    CHECK((got.q - expected.q).abs().max().item<double>() < 1e-4 * expected.q.abs().max().item<double>());
  };
  check_event(event(3000, 12, 400, 0.3));
  check_event(event(20000, 3, 12, 0.2));  // many hits near each object
}

TEST_CASE("repulsion: so many objects that whole groups of tiles are passed over") {
  seed();
  for (double const spread : {1.0, 40.0}) {
    auto e = event(30000, 2, 9000, spread);
    CHECK(e.objects.count() > 16 * 16 * 16);
    e.hits = at::randperm(30000, at::kLong).narrow(0, 0, 500);
    check_equal(derived(e, repulsion_sum), derived(e, repulsion_sum_reference));
  }
}

TEST_CASE("repulsion: some hits only, in any order") {
  seed();
  auto e = event(300, 4, 40, 0.4);
  e.hits = at::randperm(300, at::kLong).narrow(0, 0, 77);
  check_equal(derived(e, repulsion_sum), derived(e, repulsion_sum_reference));
  check_equal(derived(e, tiled), derived(e, repulsion_sum_reference));
  e.hits = e.hits.narrow(0, 0, 0);
  CHECK(derived(e, repulsion_sum).sum == 0);
  CHECK(e.x.grad().abs().max().item<double>() == 0);
}

TEST_CASE("repulsion: hits in one place, at distance 1, far off, and on a line") {
  auto const id = at::tensor({1, 1, 2, 2, 3, 0}, at::kLong);
  auto const q = at::ones({6}, at::kDouble);
  auto const check_points = [&](std::vector<double> const& points, double sum) {
    Event e{at::tensor(points, at::kDouble).reshape({6, 2}).requires_grad_(), q.clone().requires_grad_(),
            condensation_objects(q, id, id > 0), at::arange(6, at::kLong)};
    auto const got = derived(e, repulsion_sum);
    CHECK(got.sum == doctest::Approx(sum));
    CHECK(at::isfinite(got.x).all().item<bool>());
    check_equal(got, derived(e, repulsion_sum_reference));
    check_equal(derived(e, tiled), derived(e, repulsion_sum_reference));
    return got;
  };
  // all in one place: each of 18 pairs but the 5 own ones counts 1, and no direction is preferred
  CHECK(check_points(std::vector<double>(12, 0.25), 13).x.abs().max().item<double>() == 0);
  check_points({0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 3, 0}, 0);                   // exactly 1 apart
  check_points({1e8, 0, 1e8, 0.5, -1e8, 0, -1e8, 0, 0, 1e8, 0, -1e8}, 0);  // far off
  check_points({0, 0, 0, 0, 0, 0.5, 0, 0.5, 0, 9, 0, 9.75}, 0.5 * 4 + 0.25);
}

TEST_CASE("repulsion: what is not a number comes out as not a number") {
  seed();
  for (double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    auto const e = event(50, 3, 9, 0.3);
    {
      at::NoGradGuard no_grad;
      e.x[17][1].fill_(bad);
    }
    CHECK(std::isnan(repulsion_sum(e.x, e.q, e.objects, e.hits).item<double>()));
  }
}

TEST_CASE("repulsion: the same bits for any number of threads, with and without a gradient") {
  seed();
  auto const e = event(2000, 8, 300, 0.2, at::kFloat);
  int const before = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = derived(e, repulsion_sum);
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    auto const more = derived(e, repulsion_sum);
    CHECK(more.sum == one.sum);
    CHECK(at::equal(more.x, one.x));
    CHECK(at::equal(more.q, one.q));
  }
  at::set_num_threads(before);
  at::NoGradGuard no_grad;
  CHECK(repulsion_sum(e.x, e.q, e.objects, e.hits).item<double>() == one.sum);
}

TEST_CASE("repulsion: tensors of the wrong shape and a second derivative are refused") {
  seed();
  auto const e = event(20, 3, 5, 0.3);
  CHECK_THROWS_WITH_AS(repulsion_sum(e.x, e.q.narrow(0, 0, 9), e.objects, e.hits), doctest::Contains("expected x [N, d], q [N]"), Error);
  auto const sum = repulsion_sum(e.x, e.q, e.objects, e.hits);
  CHECK_THROWS_WITH(torch::autograd::grad({sum}, {e.x}, {}, true, true), doctest::Contains("no second derivative"));
}

TEST_CASE("repulsion: a transposed view counts as its values") {
  seed();
  auto e = event(40, 6, 9, 0.3);
  auto const expected = derived(e, repulsion_sum_reference);
  e.x = e.x.detach().t().contiguous().t().requires_grad_();
  check_equal(derived(e, repulsion_sum), expected);
}
