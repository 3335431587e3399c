// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/box_loops.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <tuple>
#include <vector>

using namespace dew;

namespace {
/// The least squared distance of two ranges [low, high] in each of d dimensions.
template <class T>
T gap2(T const* low_a, T const* high_a, T const* low_b, T const* high_b, std::size_t d, std::size_t stride) {
  T sum = 0;
  for (std::size_t c = 0; c < d; ++c) {
    T const gap = std::max({T(0), low_b[c * stride] - high_a[c], low_a[c] - high_b[c * stride]});
    sum += gap * gap;
  }
  return sum;
}

/// Halves between 0 and 4, so that distances are exact.
template <class T>
std::vector<T> halves(std::size_t n, std::mt19937& random) {
  std::vector<T> out(n);
  for (auto& x : out) x = T(random() % 9) / 2;
  return out;
}
}  // namespace

TEST_CASE_TEMPLATE("points and boxes within a distance, by definition", T, float, double) {
  std::mt19937 random(5);
  for (std::size_t const d : {0, 1, 3, 8, 9, 24})
    for (int trial = 0; trial < 50; ++trial) {
      CAPTURE(d);
      auto const x = halves<T>(d, random), block = halves<T>(16 * d, random);
      T const bound = T(random() % (4 * d + 1)) / 2;

      std::vector<T> bounds(16);
      for (auto& each : bounds) each = T(random() % (4 * d + 1)) / 2;
      std::vector<T> own(2 * d);  // a box of two points
      for (std::size_t c = 0; c < d; ++c) std::tie(own[c], own[d + c]) = std::minmax({x[c], T(random() % 9) / 2});

      std::size_t const stride = 19;  // more boxes than are asked for
      std::vector<T> boxes(2 * d * stride);
      for (std::size_t c = 0; c < d; ++c)
        for (std::size_t b = 0; b < stride; ++b)
          std::tie(boxes[c * stride + b], boxes[(d + c) * stride + b]) = std::minmax({T(random() % 9) / 2, T(random() % 9) / 2});

      std::uint32_t points = 0, around = 0, near = 0;
      for (std::uint32_t b = 0; b < 16; ++b) {
        points |= std::uint32_t(gap2(x.data(), x.data(), block.data() + b, block.data() + b, d, 16) <= bound) << b;
        around |= std::uint32_t(gap2(own.data(), own.data() + d, block.data() + b, block.data() + b, d, 16) <= bounds[b]) << b;
        near |=
            std::uint32_t(gap2(own.data(), own.data() + d, boxes.data() + 2 + b, boxes.data() + d * stride + 2 + b, d, stride) <= bounds[b])
            << b;
      }
      CHECK(dew::detail::near_in_block(x.data(), block.data(), d, bound) == points);
      CHECK(dew::detail::near_boxes(own.data(), block.data(), block.data(), 16, d, bounds.data()) == around);
      CHECK(dew::detail::near_boxes(own.data(), boxes.data() + 2, boxes.data() + d * stride + 2, stride, d, bounds.data()) == near);
    }
}
