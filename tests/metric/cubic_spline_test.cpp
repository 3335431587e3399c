// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/cubic_spline.hpp"

#include <doctest/doctest.h>

#include <random>

#include "support/seed.hpp"

using namespace dew;

namespace {
/// The spline by its conditions: four coefficients a piece; values at both ends, two derivatives that agree, a third that does at the second
/// and the last but one point. Gauss's elimination.
class ByConditions {
 public:
  ByConditions(std::vector<double> x, std::vector<double> const& y) : x_(std::move(x)) {
    auto const pieces = x_.size() - 1, n = 4 * pieces;
    std::vector<std::vector<double>> a;
    auto const row = [&]() -> std::vector<double>& { return a.emplace_back(n + 1, 0.); };
    for (std::size_t i = 0; i < pieces; ++i) {
      double const h = x_[i + 1] - x_[i];
      auto& left = row();
      left[4 * i] = 1, left[n] = y[i];
      auto& right = row();
      for (std::size_t k = 0; k < 4; ++k) right[4 * i + k] = std::pow(h, double(k));
      right[n] = y[i + 1];
      if (i + 1 == pieces) continue;
      auto& first = row();
      first[4 * i + 1] = 1, first[4 * i + 2] = 2 * h, first[4 * i + 3] = 3 * h * h, first[4 * i + 5] = -1;
      auto& second = row();
      second[4 * i + 2] = 2, second[4 * i + 3] = 6 * h, second[4 * i + 6] = -2;
    }
    auto& start = row();
    start[3] = 1, start[7] = -1;
    auto& end = row();
    end[n - 1] = 1, end[n - 5] = -1;
    for (std::size_t c = 0; c < n; ++c) {
      std::size_t best = c;
      for (auto r = c; r < n; ++r)
        if (std::abs(a[r][c]) > std::abs(a[best][c])) best = r;
      std::swap(a[c], a[best]);
      for (std::size_t r = 0; r < n; ++r)
        if (double const factor = a[r][c] / a[c][c]; r != c && factor != 0)
          for (auto k = c; k <= n; ++k) a[r][k] -= factor * a[c][k];
    }
    for (std::size_t c = 0; c < n; ++c) coefficients_.push_back(a[c][n] / a[c][c]);
  }
  double operator()(double x) const {
    std::size_t i = 0;
    while (i + 2 < x_.size() && x >= x_[i + 1]) ++i;
    double const t = x - x_[i];
    return coefficients_[4 * i] + t * coefficients_[4 * i + 1] + t * t * coefficients_[4 * i + 2] + t * t * t * coefficients_[4 * i + 3];
  }

 private:
  std::vector<double> x_, coefficients_;
};
bool agree(CubicSpline const& spline, ByConditions const& oracle, double low, double high) {
  for (int i = 0; i <= 200; ++i) {
    double const x = low + (high - low) * i / 200;
    if (!(std::abs(spline(x) - oracle(x)) < 1e-8 * std::max(1., std::abs(oracle(x))))) return false;
  }
  return true;
}
}  // namespace

TEST_CASE("the spline is the one that its conditions say") {
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  for (std::size_t n = 4; n < 12; ++n) {
    std::vector<double> x{double(random() % 10)}, y{double(random() % 10)};
    while (x.size() < n) x.push_back(x.back() + 0.5 + double(random() % 10) / 10), y.push_back(double(random() % 10));
    CubicSpline const spline(x, y);
    CHECK(agree(spline, ByConditions(x, y), x.front() - 0.5, x.back() + 0.5));
    for (std::size_t i = 0; i < n; ++i) CHECK(spline(x[i]) == doctest::Approx(y[i]));
    auto other = y;
    other[n / 2] += 0.01;
    CHECK_FALSE(agree(spline, ByConditions(x, other), x.front(), x.back()));
  }
}

TEST_CASE("two points are a line, three a parabola, any points of a cubic that cubic") {
  CubicSpline const line({1, 3}, {2, 6});
  CHECK(line(0) == doctest::Approx(0));
  CHECK(line(2.5) == doctest::Approx(5));
  CubicSpline const parabola({0, 1, 3}, {1, 0, 4});
  for (double x : {-1., 0.5, 2., 4.}) CHECK(parabola(x) == doctest::Approx((x - 1) * (x - 1)));
  auto const cubic = [](double x) { return ((2 * x - 3) * x + 1) * x - 5; };
  std::vector<double> const at{-2, -1, 0.5, 1, 2.5, 4};
  std::vector<double> values;
  for (auto const x : at) values.push_back(cubic(x));
  CubicSpline const spline(at, values);
  for (double x : {-3., -1.5, 0., 3., 5.}) CHECK(spline(x) == doctest::Approx(cubic(x)));
  CHECK_THROWS_WITH_AS(CubicSpline({1}, {1}), doctest::Contains("two points or more"), Error);
  CHECK_THROWS_WITH_AS(CubicSpline({1, 1}, {1, 2}), doctest::Contains("places ascend"), Error);
}

TEST_CASE("the first place with a value") {
  // (x − 1)(x − 2)(x − 3) is 0 at 1, 2, 3
  auto const cubic = [](double x) { return (x - 1) * (x - 2) * (x - 3); };
  std::vector<double> const at{0, 0.7, 1.9, 3.2, 4};
  std::vector<double> values;
  for (auto const x : at) values.push_back(cubic(x));
  CubicSpline const spline(at, values);
  CHECK(*spline.first(0) == doctest::Approx(1));
  CHECK(*spline.first(6) == doctest::Approx(4));
  CHECK(*spline.first(-6) == doctest::Approx(0));
  CHECK_FALSE(spline.first(6.01));
  CHECK_FALSE(spline.first(-6.01));
  CHECK(*CubicSpline({1, 3}, {2, 6}).first(4) == doctest::Approx(2));
  // 0.3849 is a maximum between the points, at 2 − 1/√3: found before the rise at the end
  CHECK(*spline.first(0.38) < 2);
  CHECK(*spline.first(0.39) > 3);
  CHECK_FALSE(CubicSpline({1, 2, 3}, {1, 1, 1}).first(0.5));
  CHECK(*CubicSpline({1, 2, 3}, {1, 1, 1}).first(1) == 1);
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  for (int trial = 0; trial < 50; ++trial) {  // by looking at 20,000 places
    std::vector<double> x{0}, y{double(random() % 100)};
    for (int i = 1; i < 8; ++i) x.push_back(x.back() + 0.3 + double(random() % 10) / 10), y.push_back(double(random() % 100));
    CubicSpline const s(x, y);
    double const target = double(random() % 100) + 0.37;
    double seen = -1;
    for (int i = 1; i <= 20000 && seen < 0; ++i) {
      double const a = x.back() * (i - 1) / 20000, b = x.back() * i / 20000;
      if ((s(a) < target) != (s(b) < target)) seen = b;
    }
    auto const found = s.first(target);
    CHECK(found.has_value() == (seen >= 0));
    if (found) CHECK(std::abs(*found - seen) < 1e-3);
  }
}
