// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/product_tiles.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <vector>

using namespace dew::detail;

namespace {
constexpr float anything = std::numeric_limits<float>::infinity();
using Kernel = std::function<void(ProductTile const&)>;

std::vector<Kernel> kernels() {
  std::vector<Kernel> out{add_candidates_plain, add_candidates};
#ifdef DEW_X86_KINDS
  if (has_avx512()) out.emplace_back([](ProductTile const& t) { add_candidates_avx512(t); });
  if (has_avx2()) out.emplace_back(add_candidates_avx2);
#endif
  return out;
}

/// Eight queries and n points in panels.
struct Setting {
  Setting(std::size_t dimensions, std::size_t number) : d(dimensions), n(number) {}

  std::size_t d, n, capacity = n + 32;
  std::vector<double> x = std::vector<double>(8 * d), y = std::vector<double>(n * d);
  std::vector<float> query, points, half_norms, limit = std::vector<float>(8, anything), s = std::vector<float>(8 * capacity);
  std::vector<std::int32_t> place = std::vector<std::int32_t>(8 * capacity), count = std::vector<std::int32_t>(8, 0);

  void fill(double scale) {
    auto const panels = (n + 15) / 16;
    query.clear();
    for (auto value : x) query.push_back(float(value * scale));
    points.assign(panels * d * 16, 0);
    half_norms.assign(panels * 16, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t j = 0; j < n; ++j) {
      float norm = 0;
      for (std::size_t c = 0; c < d; ++c) {
        auto const value = points[(j / 16 * d + c) * 16 + j % 16] = float(y[j * d + c] * scale);
        norm += value * value;
      }
      half_norms[j] = norm / 2;
    }
  }
  void run(Kernel const& kernel) {
    std::fill(count.begin(), count.end(), 0);
    kernel({d, query.data(), limit.data(), points.data(), half_norms.data(), std::int32_t((n + 15) / 16), 100, s.data(), place.data(),
            count.data(), capacity});
  }
  double distance2(std::size_t i, std::size_t j) const {
    double sum = 0;
    for (std::size_t c = 0; c < d; ++c) sum += (x[i * d + c] - y[j * d + c]) * (x[i * d + c] - y[j * d + c]);
    return sum;
  }
  double norm2(std::size_t i) const {
    double sum = 0;
    for (std::size_t c = 0; c < d; ++c) sum += double(query[i * d + c]) * double(query[i * d + c]);
    return sum;
  }
};
}  // namespace

TEST_CASE("every kernel takes the points below the limit, each once, and none behind the last") {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  for (auto const& kernel : kernels())
    for (std::size_t d : {0, 1, 24, 37})
      for (std::size_t n : {1, 16, 31, 48, 80, 100, 128}) {
        CAPTURE(d);
        CAPTURE(n);
        Setting t(d, n);
        for (auto& value : t.x) value = normal(random);
        for (auto& value : t.y) value = normal(random);
        t.fill(1);
        t.run(kernel);
        for (std::size_t i = 0; i < 8; ++i) {
          REQUIRE(std::size_t(t.count[i]) == n);
          for (std::size_t j = 0; j < n; ++j) CHECK(std::size_t(t.place[i * t.capacity + j]) == 100 + j);
        }
        auto const all = t.s;
        for (std::size_t i = 0; i < 8; ++i) t.limit[i] = i == 7 ? -anything : all[i * t.capacity + i % n];
        t.run(kernel);
        for (std::size_t i = 0; i < 8; ++i) {
          std::vector<std::int32_t> expected;
          for (std::size_t j = 0; j < n; ++j)
            if (all[i * t.capacity + j] <= t.limit[i]) expected.push_back(100 + std::int32_t(j));
          CHECK(std::vector(t.place.begin() + long(i * t.capacity), t.place.begin() + long(i * t.capacity) + t.count[i]) == expected);
        }
      }
}

TEST_CASE("the bounds hold whatever the rounding, and say something") {
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  for (auto const& kernel : kernels())
    for (std::size_t d : {1, 9, 24, 300})
      for (double size : {1.0, 1e-30, 1e30, 1e-170, 1e160})
        for (double offset : {0.0, 1.0, 1e3, 1e6}) {
          CAPTURE(d);
          CAPTURE(size);
          CAPTURE(offset);
          Setting t(d, 64);
          for (auto& value : t.x) value = size * (offset + normal(random));
          for (auto& value : t.y) value = size * (offset + normal(random));
          std::copy_n(t.x.begin(), 4 * d, t.y.begin());  // some equal ones
          ProductRounding const rounding(d, size * (offset + 5), false);
          t.fill(rounding.scale());
          t.run(kernel);
          for (std::size_t i = 0; i < 8; ++i)
            for (std::size_t j = 0; j < 64; ++j) {
              auto const d2 = t.distance2(i, j), norm2 = t.norm2(i);
              auto const s = t.s[i * t.capacity + j];
              CHECK(s <= rounding.limit(d2, norm2));
              CHECK(d2 <= rounding.distance2(s, norm2));
              if (offset == 0 && size > 1e-100 && d > 1 && d < 100 && d2 > 0 && std::isfinite(d2 * 2)) {
                CHECK(s > rounding.limit(d2 * 0.999, norm2));
                CHECK(d2 * 1.001 > rounding.distance2(s, norm2));
              }
            }
        }
}
