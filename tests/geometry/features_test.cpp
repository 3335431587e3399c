// SPDX-License-Identifier: BSL-1.0
#include "dew/geometry/features.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

using namespace dew;

TEST_CASE("node features follow their formulas, in both dtypes") {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> coordinate(-1500, 1500);
  std::vector<double> points;
  for (int i = 0; i < 300; ++i) points.push_back(coordinate(random));
  for (double extreme : {0., 30., 1500., 30., 0., -1500., -0.5, 1e-3, 0.}) points.push_back(extreme);
  auto const n = std::int64_t(points.size()) / 3;
  for (auto dtype : {at::kDouble, at::kFloat}) {
    auto const position = at::tensor(points).reshape({n, 3}).to(dtype);
    auto const x = node_features(position);
    CHECK((x.scalar_type() == dtype));
    REQUIRE((x.sizes() == at::IntArrayRef({n, feature_column::count})));
    auto const p = position.to(at::kDouble), got = x.to(at::kDouble);
    double const tolerance = dtype == at::kDouble ? 1e-12 : 1e-6;
    for (std::int64_t i = 0; i < n; ++i) {
      double const px = p[i][0].item<double>(), py = p[i][1].item<double>(), pz = p[i][2].item<double>(), r = std::hypot(px, py);
      double const expected[] = {r / 1000,
                                 std::atan2(py, px) / std::numbers::pi,
                                 pz / 1000,
                                 -std::log(std::tan(0.5 * std::atan2(r, pz))),
                                 1000 * px / (r * r),
                                 1000 * py / (r * r)};
      for (int c = 0; c < 6; ++c) {
        CAPTURE(i);
        CAPTURE(c);
        CHECK(std::abs(got[i][c].item<double>() - expected[c]) <= tolerance * (1 + std::abs(expected[c])));
      }
    }
  }
}

TEST_CASE("float features are those computed in double from the same numbers") {
  auto const position = at::rand({1000, 3}, at::kFloat) * 500 - 250;
  CHECK(at::equal(node_features(position), node_features(position.to(at::kDouble)).to(at::kFloat)));
}

TEST_CASE("node features of no hits, and of another shape") {
  CHECK(shape_text(node_features(at::zeros({0, 3}))) == "[0, 6]");
  CHECK_THROWS_WITH_AS(node_features(at::zeros({4, 2})), "node_features: expected positions [N, 3], got [4, 2]", Error);
  CHECK_THROWS_AS(node_features(at::zeros({4, 3}, at::kLong)), Error);
}

TEST_CASE("pseudorapidity at both ends and by its definition") {
  CHECK(pseudorapidity(1, 0) == 0);
  CHECK(pseudorapidity(0, 0) == 0);
  CHECK(std::isinf(pseudorapidity(0, 5)));
  CHECK(pseudorapidity(0, -5) < 0);
  for (double z : {-3000., -1., 0.01, 50., 2000.})
    CHECK(pseudorapidity(30, z) == doctest::Approx(-std::log(std::tan(0.5 * std::atan2(30, z)))).epsilon(1e-9));
}
