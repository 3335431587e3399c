// SPDX-License-Identifier: BSL-1.0
#include "dew/geometry/features.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "dew/core/values.hpp"

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

TEST_CASE("node features are those of the plain reference, in every octant and at every distance") {
  auto const seed = 3U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> angle(-std::numbers::pi, std::numbers::pi), exponent(-12, 6);
  std::vector<double> points;
  auto const scale = [&] { return std::pow(10, exponent(random)); };
  for (int i = 0; i < 5000; ++i) {
    auto const phi = i % 3 == 0 ? angle(random) : std::numbers::pi / 8 * double(random() % 17) + (i % 3 - 1) * 1e-9 * angle(random),
               r = scale();
    for (double each : {r * std::cos(phi), r * std::sin(phi), scale() * (random() % 2 ? 1 : -1)}) points.push_back(each);
  }
  for (double x : {0., -0., 1., -1.})
    for (double y : {0., -0., 2., -2.})
      for (double z : {0., -0., 3., -3., 1e30, -1e-30}) points.insert(points.end(), {x, y, z});
  auto const n = std::int64_t(points.size()) / 3;
  for (auto dtype : {at::kDouble, at::kFloat}) {
    auto const position = at::tensor(points, at::kDouble).reshape({n, 3}).to(dtype);
    auto const got = node_features(position).to(at::kDouble), expected = node_features_reference(position).to(at::kDouble);
    for (std::int64_t c = 0; c < feature_column::count; ++c) {
      auto const a = values_of<double>(got.select(1, c)), b = values_of<double>(expected.select(1, c));
      double const tolerance = dtype == at::kDouble ? 3e-15 : 1.2e-7;  // a last bit in float
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CAPTURE(c);
        bool const equal = a[i] == b[i] ? std::signbit(a[i]) == std::signbit(b[i]) || c > 3 : std::isnan(a[i]) && std::isnan(b[i]);
        CHECK((equal || std::abs(a[i] - b[i]) <= tolerance * std::abs(b[i])));
      }
    }
  }
}

TEST_CASE("a hit's features do not depend on where it stands, nor on the number of threads") {
  auto const position = at::rand({5000, 3}, at::kFloat) * 500 - 250;
  auto const all = node_features(position);
  for (std::int64_t const begin : {0, 1, 255, 256, 700, 4999})
    for (std::int64_t const count : {1, 3, 256, 257})
      if (begin + count <= 5000) CHECK(at::equal(node_features(position.narrow(0, begin, count)), all.narrow(0, begin, count)));
  auto const columns = position.t().contiguous().t();
  CHECK(at::equal(node_features(columns), all));
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  CHECK(at::equal(node_features(position), all));
  at::set_num_threads(threads);
}

TEST_CASE("positions that want a gradient get one") {
  auto const position = (at::rand({7, 3}, at::kDouble) + 1).requires_grad_();
  CHECK(node_features(position).requires_grad());
  at::NoGradGuard const no_grad;
  CHECK_FALSE(node_features(position).requires_grad());
  CHECK((node_features(at::ones({2, 3}, at::kHalf)).scalar_type() == at::kHalf));
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
