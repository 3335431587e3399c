// SPDX-License-Identifier: BSL-1.0
#include "dew/geometry/helix.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace dew;

namespace {
/// Steps along the direction, turning as the field says: the definition, in 20,000 steps.
Helix stepped(Helix h, double s) {
  int const steps = 20000;
  double const step = s / steps;
  for (int i = 0; i < steps; ++i) {
    h.phi += 0.5 * step * h.curvature;
    h.x += step * std::cos(h.phi), h.y += step * std::sin(h.phi), h.z += step * h.cot_theta;
    h.phi += 0.5 * step * h.curvature;
  }
  return h;
}
}  // namespace

TEST_CASE("a helix follows its definition") {
  std::mt19937 random(4);
  std::uniform_real_distribution<double> u(-1, 1);
  for (int i = 0; i < 30; ++i) {
    Helix const start{10 * u(random), 10 * u(random), 100 * u(random), 3 * u(random), 2 * u(random), i == 0 ? 0 : 0.002 * u(random)};
    double const s = 150 * (1.1 + u(random));
    auto const there = start.at(s), expected = stepped(start, s);
    CHECK(there.x == doctest::Approx(expected.x).epsilon(1e-6));
    CHECK(there.y == doctest::Approx(expected.y).epsilon(1e-6));
    CHECK(there.z == doctest::Approx(expected.z).epsilon(1e-9));
    CHECK(there.phi == doctest::Approx(start.phi + s * start.curvature));
    auto const back = there.at(-s);
    CHECK(std::hypot(back.x - start.x, back.y - start.y, back.z - start.z) < 1e-9);
  }
}

TEST_CASE("its curvature: 1 GeV in 2 T is a circle of 1668 mm, a positive particle turns clockwise") {
  CHECK(helix_curvature(1, 1, 2) == doctest::Approx(-1 / 1667.82).epsilon(1e-4));
  CHECK(helix_curvature(-1, 1, 2) == -helix_curvature(1, 1, 2));
  CHECK(helix_curvature(1, 0.5, 2) == doctest::Approx(2 * helix_curvature(1, 1, 2)));
  CHECK(helix_curvature(1, 1, 0) == 0);
}

TEST_CASE("where it meets cylinders and planes it lies on them, at the first crossing") {
  std::mt19937 random(6);
  std::uniform_real_distribution<double> u(-1, 1);
  for (int i = 0; i < 300; ++i) {
    Helix const h{15 * u(random), 15 * u(random), 50 * u(random), 3.1 * u(random), 3 * u(random), i % 7 == 0 ? 0 : 1. / 300 * u(random)};
    for (double r : {32., 172.}) {
      auto const s = h.to_cylinder(r);
      REQUIRE(s.has_value());
      CHECK(h.at(*s).radius() == doctest::Approx(r).epsilon(1e-10));
      for (double share : {0.1, 0.5, 0.9, 0.99}) CHECK(h.at(share * *s).radius() < r);
    }
    auto const z = h.to_z(h.cot_theta > 0 ? 200 : -200);
    if (z) CHECK(std::abs(h.at(*z).z) == doctest::Approx(200));
    double const nx = std::cos(h.phi + 0.3), ny = std::sin(h.phi + 0.3);
    auto const plane = h.to_plane(nx, ny, nx * h.x + ny * h.y + 20, 20);
    REQUIRE(plane.has_value());
    CHECK(nx * (h.at(*plane).x - h.x) + ny * (h.at(*plane).y - h.y) == doctest::Approx(20));
  }
}

TEST_CASE("it misses what it does not reach") {
  Helix const curl{0, 0, 0, 0, 1, 1. / 50};  // a circle through the origin reaches r = 100 mm
  CHECK(curl.to_cylinder(90).has_value());
  CHECK_FALSE(curl.to_cylinder(110).has_value());
  CHECK_FALSE(Helix{50, 0, 0, 0, 1, 0}.to_cylinder(40).has_value());  // it is outside already
  CHECK_FALSE(Helix{0, 0, 10, 0, 1, 0}.to_z(5).has_value());
  CHECK_FALSE(Helix{0, 0, 10, 0, 0, 0}.to_z(50).has_value());
  CHECK_FALSE(curl.to_z(1000).has_value());  // more than half a turn away
}
