// SPDX-License-Identifier: BSL-1.0
// CubicSpline: a smooth curve through a few points, and where it first has a value.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// A curve through points: the cubic spline whose third derivative does not jump at the second and the last but one ("not a knot"), as SciPy's
/// `CubicSpline` by default. Two points: the line; three: the parabola. Throws `Error` for fewer, or for places that do not ascend.
class CubicSpline {
 public:
  CubicSpline(std::vector<double> x, std::vector<double> y) : x_(std::move(x)), y_(std::move(y)) {
    check(x_.size() >= 2 && x_.size() == y_.size(), "a spline needs two points or more, got {} places and {} values", x_.size(), y_.size());
    for (std::size_t i = 1; i < x_.size(); ++i) check(x_[i] > x_[i - 1], "a spline's places ascend, got {} after {}", x_[i], x_[i - 1]);
    find_slopes();
  }

  double operator()(double x) const {
    auto const i = piece(x);
    auto const c = coefficients(i);
    double const t = x - x_[i];
    return c[0] + t * (c[1] + t * (c[2] + t * c[3]));
  }

  /// The smallest place between the first and the last point where the curve has this value, if any.
  std::optional<double> first(double value) const {
    for (std::size_t i = 0; i + 1 < x_.size(); ++i) {
      auto c = coefficients(i);
      c[0] -= value;
      auto const f = [&](double t) { return c[0] + t * (c[1] + t * (c[2] + t * c[3])); };
      double const h = x_[i + 1] - x_[i];
      std::vector<double> ends{0};  // between these the piece rises or falls
      if (double const a = 3 * c[3], b = 2 * c[2], root = b * b - 4 * a * c[1]; root >= 0) {
        double const q = -0.5 * (b + std::copysign(std::sqrt(root), b));
        for (double const t : {a != 0 ? q / a : h, q != 0 ? c[1] / q : h})
          if (t > 0 && t < h) ends.push_back(t);
      }
      ends.push_back(h);
      std::sort(ends.begin(), ends.end());
      for (std::size_t k = 1; k < ends.size(); ++k) {
        double low = ends[k - 1], high = ends[k], f_low = f(low), f_high = k + 1 == ends.size() ? y_[i + 1] - value : f(high);
        if (f_low == 0) return x_[i] + low;
        if (f_high == 0) return x_[i] + high;
        if ((f_low < 0) == (f_high < 0)) continue;
        for (int step = 0; step < 80; ++step) {
          double const middle = low + (high - low) / 2;
          ((f(middle) < 0) == (f_low < 0) ? low : high) = middle;
        }
        return x_[i] + high;
      }
    }
    return std::nullopt;
  }

 private:
  std::size_t piece(double x) const {
    auto const above = std::size_t(std::upper_bound(x_.begin(), x_.end(), x) - x_.begin());
    return std::clamp<std::size_t>(above, 1, x_.size() - 1) - 1;
  }
  /// Of 1, t, t², t³ in piece i.
  std::array<double, 4> coefficients(std::size_t i) const {
    double const h = x_[i + 1] - x_[i], rise = (y_[i + 1] - y_[i]) / h;
    double const bend = (slope_[i] + slope_[i + 1] - 2 * rise) / h;
    return {y_[i], slope_[i], (rise - slope_[i]) / h - bend, bend / h};
  }
  /// The slopes at the points: a system of three diagonals.
  void find_slopes() {
    auto const n = x_.size();
    std::vector<double> h(n - 1), rise(n - 1);
    for (std::size_t i = 0; i + 1 < n; ++i) h[i] = x_[i + 1] - x_[i], rise[i] = (y_[i + 1] - y_[i]) / h[i];
    if (n == 2) {
      slope_ = {rise[0], rise[0]};
      return;
    }
    if (n == 3) {
      double const bend = (rise[1] - rise[0]) / (h[0] + h[1]);
      slope_ = {rise[0] - bend * h[0], rise[0] + bend * h[0], rise[1] + bend * h[1]};
      return;
    }
    std::vector<double> below(n, 0), diagonal(n), above(n, 0), right(n);
    double const start = h[0] + h[1], end = h[n - 2] + h[n - 3];
    diagonal[0] = h[1], above[0] = start, right[0] = ((h[0] + 2 * start) * h[1] * rise[0] + h[0] * h[0] * rise[1]) / start;
    for (std::size_t i = 1; i + 1 < n; ++i)
      below[i] = h[i], diagonal[i] = 2 * (h[i - 1] + h[i]), above[i] = h[i - 1], right[i] = 3 * (h[i] * rise[i - 1] + h[i - 1] * rise[i]);
    below[n - 1] = end, diagonal[n - 1] = h[n - 3];
    right[n - 1] = (h[n - 2] * h[n - 2] * rise[n - 3] + (2 * end + h[n - 2]) * h[n - 3] * rise[n - 2]) / end;
    for (std::size_t i = 1; i < n; ++i) {
      double const factor = below[i] / diagonal[i - 1];
      diagonal[i] -= factor * above[i - 1], right[i] -= factor * right[i - 1];
    }
    slope_.resize(n);
    slope_[n - 1] = right[n - 1] / diagonal[n - 1];
    for (auto i = n - 1; i-- > 0;) slope_[i] = (right[i] - above[i] * slope_[i + 1]) / diagonal[i];
  }

  std::vector<double> x_, y_, slope_;
};

}  // namespace dew
