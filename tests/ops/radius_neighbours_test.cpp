// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/radius_neighbours.hpp"

#include <doctest/doctest.h>

#include <random>

#include "support/points.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::lattice_points;

namespace {
/// By definition: for each point every other one that is near, in two loops.
bool are_neighbours(Tensor const& points, double radius, Boundary boundary, Neighbours const& got) {
  auto const x = points.to(at::kDouble);
  std::vector<std::int64_t> index, offsets{0};
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t j = 0; j < x.size(0); ++j) {
      auto const d = (x[i] - x[j]).norm().item<double>();
      if (i != j && (boundary == Boundary::open ? d < radius : d <= radius)) index.push_back(j);
    }
    offsets.push_back(std::int64_t(index.size()));
  }
  return at::equal(got.index, at::tensor(index, at::kLong)) && at::equal(got.offsets, at::tensor(offsets, at::kLong));
}
}  // namespace

TEST_CASE("radius neighbours are those of the definition and of the reference") {
  auto const seed = test::seed_of_input();
  for (std::int64_t d : {1, 2, 3, 8})
    for (std::int64_t n : {0, 1, 2, 17, 90})
      for (double radius : {0.0, 0.5, 1.25, 100.0})
        for (auto boundary : {Boundary::open, Boundary::closed}) {
          CAPTURE(d);
          CAPTURE(n);
          CAPTURE(radius);
          auto const x = lattice_points(n, d, seed);
          auto const got = radius_neighbours(x, radius, boundary), plain = radius_neighbours_reference(x, radius, boundary);
          CHECK(are_neighbours(x, radius, boundary, got));
          CHECK(at::equal(got.index, plain.index));
          CHECK(at::equal(got.offsets, plain.offsets));
          CHECK(at::allclose(got.distance, plain.distance));
        }
}

TEST_CASE("the oracle of neighbours rejects a missing one, one too many and the other boundary") {
  auto const x = at::tensor({0.0, 0.5, 2.0}, at::kDouble).reshape({3, 1});
  auto const of = [](std::vector<std::int64_t> offsets, std::vector<std::int64_t> index) {
    return Neighbours{at::tensor(offsets, at::kLong), at::tensor(index, at::kLong), {}};
  };
  CHECK(are_neighbours(x, 0.5, Boundary::closed, of({0, 1, 2, 2}, {1, 0})));
  CHECK(are_neighbours(x, 0.5, Boundary::open, of({0, 0, 0, 0}, {})));
  CHECK_FALSE(are_neighbours(x, 0.5, Boundary::open, of({0, 1, 2, 2}, {1, 0})));
  CHECK_FALSE(are_neighbours(x, 0.5, Boundary::closed, of({0, 1, 1, 1}, {1})));
  CHECK_FALSE(are_neighbours(x, 0.5, Boundary::closed, of({0, 1, 3, 3}, {1, 0, 2})));
}

TEST_CASE("neighbours of random reals in float, with one thread and with two") {
  auto const seed = test::seed_of_input();
  auto const x = lattice_points(800, 4, seed).to(at::kFloat) * 0.37f;
  auto const before = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = radius_neighbours(x, 0.2);
  at::set_num_threads(2);
  auto const two = radius_neighbours(x, 0.2);
  at::set_num_threads(before);
  auto const plain = radius_neighbours_reference(x, 0.2);
  CHECK((one.distance.scalar_type() == at::kFloat));
  CHECK(at::equal(one.index, two.index));
  CHECK(at::equal(one.distance, two.distance));
  CHECK(at::equal(one.index, plain.index));
}

TEST_CASE("equal points are neighbours of each other, also without any coordinate") {
  CHECK(radius_neighbours(at::full({40, 3}, 1.5), 0.1).index.size(0) == 40 * 39);
  CHECK(radius_neighbours(at::full({40, 3}, 1.5), 0, Boundary::closed).index.size(0) == 40 * 39);
  CHECK(radius_neighbours(at::full({40, 3}, 1.5), 0, Boundary::open).index.size(0) == 0);
  CHECK(radius_neighbours(at::empty({40, 0}), 0.1).index.size(0) == 40 * 39);
}

TEST_CASE("as edges: neighbour to query") {
  auto const edges = radius_neighbours(at::tensor({0.0, 1.0, 2.0}, at::kDouble).reshape({3, 1}), 1.5).edge_index();
  CHECK(at::equal(edges, at::tensor({1, 0, 2, 1, 0, 1, 1, 2}, at::kLong).reshape({2, 4})));
}

TEST_CASE("points that are not finite, a wrong shape and a negative radius throw") {
  CHECK_THROWS_WITH_AS(radius_neighbours(at::full({2, 2}, NAN), 1), doctest::Contains("point 0 is not finite"), Error);
  CHECK_THROWS_WITH_AS(radius_neighbours(at::zeros({2}), 1), doctest::Contains("[N, d], got [2]"), Error);
  CHECK_THROWS_WITH_AS(radius_neighbours(at::zeros({2, 2}), -1), doctest::Contains("≥ 0, got -1"), Error);
  CHECK_THROWS_AS(radius_neighbours(at::zeros({2, 2}), NAN), Error);
}

TEST_CASE("radius neighbours: a pair at the very edge of the radius is found, in single precision too") {
  dew::test::seed();
  auto const is_neighbour = [](Tensor const& x, double radius, std::int64_t j) {  // of the first point
    auto const found = radius_neighbours(x, radius, Boundary::closed);
    return (found.index.narrow(0, 0, found.offsets[1].item<std::int64_t>()) == j).any().item<bool>();
  };
  for (auto type : {at::kFloat, at::kDouble})
    for (std::int64_t d : {1, 3, 24}) {
      auto const x = at::randn({40, d}, at::TensorOptions().dtype(type)) + 100;
      auto const exact = (x[0].to(at::kDouble) - x.to(at::kDouble)).square();  // [40, d]
      for (std::int64_t j = 1; j < 40; ++j) {
        double d2 = 0;
        for (std::int64_t c = 0; c < d; ++c) d2 += exact[j][c].item<double>();
        double radius = std::sqrt(d2);
        while (radius * radius < d2) radius = std::nextafter(radius, 2 * radius);
        CHECK(is_neighbour(x, radius, j));
        while (radius * radius >= d2) radius = std::nextafter(radius, 0.0);
        CHECK_FALSE(is_neighbour(x, radius, j));
      }
    }
}

TEST_CASE("squares that underflow or overflow in float lose no neighbour") {
  auto const x = at::tensor({0.0F, 0.0F, 2.9e-23F, 2.9e-23F}).view({2, 2});
  CHECK(radius_neighbours(x, 4.11e-23, Boundary::closed).index.size(0) == 2);
  CHECK(radius_neighbours(x, 4.09e-23, Boundary::closed).index.size(0) == 0);
  dew::test::seed();
  auto const points = at::randn({300, 3}, at::kDouble).clamp(-3, 3);
  for (double const scale : {1e-44, 1e-38, 1e-23, 1e-19, 1e18, 1e19, 3e37}) {
    CAPTURE(scale);
    auto const scaled = (points * scale).to(at::kFloat);
    CHECK(are_neighbours(scaled, 0.5 * scale, Boundary::closed, radius_neighbours(scaled, 0.5 * scale, Boundary::closed)));
  }
}
