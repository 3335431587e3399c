// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/nearest_neighbours.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "support/points.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::lattice_points;

namespace {
constexpr double far = std::numeric_limits<double>::infinity();

bool same(Neighbours const& a, Neighbours const& b) {
  return at::equal(a.offsets, b.offsets) && at::equal(a.index, b.index) && at::allclose(a.distance, b.distance);
}
}  // namespace

TEST_CASE("nearest neighbours are those of all pairs, with ties, in every dimension") {
  auto const seed = std::random_device{}();
  MESSAGE("seed ", seed);
  for (std::int64_t d : {1, 2, 3, 5, 8, 20})
    for (std::int64_t n : {1, 2, 17, 200}) {
      CAPTURE(d);
      CAPTURE(n);
      auto generator = at::globalContext().defaultGenerator(at::kCPU).clone();
      generator.set_current_seed(seed + std::uint64_t(100 * d + n));
      for (auto const& x : {at::rand({n, d}, generator), at::randint(0, 3, {n, d}, generator).to(at::kFloat)})
        for (std::int64_t k : {0, 1, 4, 300})
          for (double radius : {far, 0.5, 1.0})
            for (auto self : {Self::left_out, Self::included}) {
              CAPTURE(k);
              CAPTURE(radius);
              CHECK(same(nearest_neighbours(x, k, radius, self), nearest_neighbours_reference(x, k, radius, self)));
            }
    }
}

TEST_CASE("all points equal: rows by index, and each point first in its own row") {
  auto const x = at::ones({50, 4});
  auto const got = nearest_neighbours(x, 3, far, Self::included);
  CHECK(same(got, nearest_neighbours_reference(x, 3, far, Self::included)));
  CHECK(at::equal(got.index.view({50, 3}).select(1, 0), at::arange(50)));
}

TEST_CASE("the radius is strict, and cuts after the choice of k") {
  auto const x = at::tensor({0.0, 1.0, 1.5, 4.0}).unsqueeze(1);
  CHECK(at::equal(nearest_neighbours(x, 2, 1.0).edge_index(), at::tensor({2, 1, 1, 2}, at::kLong).view({2, 2})));
  CHECK(nearest_neighbours(x, 1).index.size(0) == 4);
}

TEST_CASE("the same bits for any number of threads") {
  test::seed();
  auto const x = at::rand({3000, 4});
  auto const threads = at::get_num_threads();
  auto const many = nearest_neighbours(x, 10);
  at::set_num_threads(1);
  auto const one = nearest_neighbours(x, 10);
  at::set_num_threads(threads);
  CHECK(at::equal(many.index, one.index));
  CHECK(at::equal(many.distance, one.distance));
}

TEST_CASE("no points, and what is refused") {
  CHECK(nearest_neighbours(at::empty({0, 3}), 5).index.size(0) == 0);
  CHECK_THROWS_AS(nearest_neighbours(at::rand({4, 2}), -1), Error);
  CHECK_THROWS_AS(nearest_neighbours(at::rand({4, 2}), 1, -1.0), Error);
  CHECK_THROWS_AS(nearest_neighbours(at::full({4, 2}, NAN), 1), Error);
}
