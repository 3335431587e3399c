// SPDX-License-Identifier: BSL-1.0
// Loops over sixteen points or boxes at once: which of them are near. d dimensions.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dew/core/simd.hpp"

namespace dew::detail {

/// Which of 16 points [d, 16] lie at a squared distance ≤ bound from x [d], as bits; in T, so that points near the bound may go either way.
template <class T>
DEW_SIMD inline std::uint32_t near_in_block(T const* x, T const* block, std::size_t d, T bound) {
  alignas(64) T sum[16] = {};
  std::uint32_t near = 0;
  for (std::size_t c = 0; c < d;) {
    for (auto const stop = std::min(d, c + 8); c < stop; ++c) {
      T const value = x[c];
      T const* points = block + c * 16;
#pragma omp simd
      for (int b = 0; b < 16; ++b) sum[b] += (value - points[b]) * (value - points[b]);
    }
    near = 0;
#pragma omp simd reduction(| : near)
    for (int b = 0; b < 16; ++b) near |= std::uint32_t(sum[b] <= bound) << b;
    if (near == 0) return 0;  // partial sums only grow, rounded ones too
  }
  return d > 0 ? near : 0xffff;
}

/// Which of 16 boxes, whose lowest and highest coordinates are those at `low` and `high` + c · stride, lie at a squared distance ≤ their
/// bound [16] from a box [2, d], as bits; in T, as above. A point is a box whose `low` is its `high`.
template <class T>
DEW_SIMD inline std::uint32_t near_boxes(T const* own, T const* low, T const* high, std::size_t stride, std::size_t d, T const* bound) {
  alignas(64) T sum[16] = {};
  for (std::size_t c = 0; c < d; ++c, low += stride, high += stride) {
    T const least = own[c], most = own[d + c];
#pragma omp simd
    for (int b = 0; b < 16; ++b) {
      T const below = least - high[b], above = low[b] - most, further = below > above ? below : above;
      T const gap = further > T(0) ? further : T(0);
      sum[b] += gap * gap;
    }
  }
  std::uint32_t near = 0;
#pragma omp simd reduction(| : near)
  for (int b = 0; b < 16; ++b) near |= std::uint32_t(sum[b] <= bound[b]) << b;
  return near;
}

}  // namespace dew::detail
