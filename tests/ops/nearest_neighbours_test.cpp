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
  auto const seed = test::seed_of_input();
  for (std::int64_t d : {1, 2, 3, 8, 40})
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

// The reference sums in another order, so that its ties are not those of the tree: against the tree, to the bit.
TEST_CASE("both searches find the same neighbours, to the bit") {
  using dew::detail::NeighbourSearch;
  test::seed();
  auto const check = [](Tensor const& x, std::int64_t k, double radius = far) {
    for (auto self : {Self::left_out, Self::included}) {
      auto const a = dew::detail::nearest_neighbours(x, k, radius, self, NeighbourSearch::tree),
                 b = dew::detail::nearest_neighbours(x, k, radius, self, NeighbourSearch::products);
      CHECK(at::equal(a.offsets, b.offsets));
      CHECK(at::equal(a.index, b.index));
      CHECK(at::equal(a.distance, b.distance));
    }
  };
  auto const clusters = [](std::int64_t n, std::int64_t d, double spread) {
    return at::randn({n / 10 + 1, d}, at::kDouble).index_select(0, at::randint(n / 10 + 1, {n}, at::kLong)) +
           spread * at::randn({n, d}, at::kDouble);
  };
  SUBCASE("dimensions and numbers of points") {
    for (std::int64_t d : {0, 2, 9, 24, 64})
      for (std::int64_t n : {1, 15, 130, 400})
        for (auto dtype : {at::kFloat, at::kDouble})
          for (std::int64_t k : {std::int64_t(1), std::int64_t(16), std::min<std::int64_t>(n + 5, 200)}) {
            CAPTURE(d);
            CAPTURE(n);
            CAPTURE(dtype);
            CAPTURE(k);
            check(at::randn({n, d}).to(dtype), k);
            check(clusters(n, d, 1e-4).to(dtype), k);
            check(at::randn({n, d}).to(dtype), k, 1.0);
          }
  }
  SUBCASE("ties: lattices, duplicates, all points equal") {
    for (auto dtype : {at::kFloat, at::kDouble}) {
      check(at::randint(0, 2, {900, 12}).to(dtype), 16);
      check(at::randn({30, 24}).repeat({30, 1}).to(dtype), 16);
      check(at::full({600, 24}, 0.1).to(dtype), 16);
      check(at::full({600, 24}, 1e30).to(dtype), 5);
    }
  }
  SUBCASE("offsets and clusters that are far apart") {
    for (auto dtype : {at::kFloat, at::kDouble})
      for (double offset : {1e3, 1e6, 1e9}) {
        CAPTURE(offset);
        check((offset + at::randn({700, 24}, at::kDouble)).to(dtype), 16);
        check((offset * at::randint(-1, 2, {700, 1}) + clusters(700, 24, 1e-3)).to(dtype), 16);
        check(at::cat({at::full({1, 24}, -offset), clusters(700, 24, 1e-3)}).to(dtype), 16);
      }
  }
  SUBCASE("the least and the largest numbers") {
    for (double scale : {1e-320, 1e-200, 1e-160, 1e-45, 1e-40, 1e-20, 1e18, 3e37, 1e150, 1e300}) {
      CAPTURE(scale);
      if (scale > 1e-46 && scale < 1e38) check((scale * at::randn({400, 24}, at::kDouble).clamp(-3, 3)).to(at::kFloat), 16);
      check(scale * at::randn({400, 24}, at::kDouble), 16);
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
  for (std::int64_t k : {4, 10}) {
    auto const x = at::rand({3000, 4});
    auto const threads = at::get_num_threads();
    auto const many = nearest_neighbours(x, k);
    at::set_num_threads(1);
    auto const one = nearest_neighbours(x, k);
    at::set_num_threads(threads);
    CHECK(at::equal(many.index, one.index));
    CHECK(at::equal(many.distance, one.distance));
  }
}

TEST_CASE("no points, and what is refused") {
  CHECK(nearest_neighbours(at::empty({0, 3}), 5).index.size(0) == 0);
  CHECK_THROWS_AS(nearest_neighbours(at::rand({4, 2}), -1), Error);
  CHECK_THROWS_AS(nearest_neighbours(at::rand({4, 2}), 1, -1.0), Error);
  CHECK_THROWS_AS(nearest_neighbours(at::full({4, 2}, NAN), 1), Error);
}
