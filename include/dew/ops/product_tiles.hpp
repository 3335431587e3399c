// SPDX-License-Identifier: BSL-1.0
// ProductTile: which points of a tile may be near a few queries, by products in single precision, and what their rounding can do.
// d dimensions. x, y are coordinates about a centre, scaled by a power of two; s = ½‖y‖² − x·y orders the points y by distance from x.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "dew/core/simd.hpp"
#ifdef DEW_X86_KINDS
#include <immintrin.h>
#endif

namespace dew::detail {

/// Bounds between distances in double and s in float, which hold whatever the rounding.
///
/// With u = 2⁻²⁴: coordinates are off by u of themselves, and s by γ(‖y‖² + ‖x‖‖y‖) for γ = (d + 8)u. As ‖y‖ ≤ ‖x‖ + ‖x − y‖, both follow
/// from ‖x‖ and the distance alone, so that a far point spoils nothing for the near ones. N. J. Higham, Accuracy and Stability of Numerical
/// Algorithms, §3.
class ProductRounding {
 public:
  static constexpr std::size_t most_dimensions = 100'000;  ///< up to which the bounds say something; beyond, no point is left out

  /// `extent`: half the widest extent of all points. `single`: whether coordinates are taken about the centre in float, else in double.
  ProductRounding(std::size_t d, double extent, bool single)
      : sum_(1.01 * double(d + 8) * 0x1p-24),
        square_(1 + double(d + 8) * 0x1p-52),
        least_square_(double(d) * std::numeric_limits<double>::min()),
        scale_(extent > 0 ? std::ldexp(1.0, -std::clamp(std::ilogb(extent), single ? -120 : -1000, single ? 120 : 1000)) : 1),
        least_(double(d) *
               (0x1p-120 + scale_ * (single ? double(std::numeric_limits<float>::min()) : std::numeric_limits<double>::min()))) {}

  /// By which coordinates are multiplied.
  double scale() const { return scale_; }

  /// No point at a squared distance ≤ d2, as `KdTree` computes it, has a larger s. norm2 = ‖x‖².
  float limit(double d2, double norm2) const {
    if (useless()) return std::numeric_limits<float>::infinity();
    auto const far = (std::sqrt(d2 * square_ + least_square_) * scale_ + 2 * point_ * std::sqrt(norm2) + least_) / (1 - point_);
    auto const s = far * far * (0.5 + 3 * sum_) - norm2 * (0.5 - 3.5 * sum_) + least_;
    return s < std::numeric_limits<float>::max() ? std::nextafter(float(s), std::numeric_limits<float>::infinity())
                                                 : std::numeric_limits<float>::infinity();
  }

  /// No point with an s this large or less is at a larger squared distance, as `KdTree` computes it.
  double distance2(float s, double norm2) const {
    if (useless()) return std::numeric_limits<double>::infinity();
    auto const far = std::sqrt(std::max(0.0, (double(s) + norm2 * (0.5 + 3.5 * sum_) + least_) / (0.5 - 3 * sum_)));
    auto const distance = (far * (1 + point_) + 2 * point_ * std::sqrt(norm2) + least_) / scale_;
    return distance * distance * square_ + least_square_;
  }

 private:
  bool useless() const { return sum_ > 1.02 * double(most_dimensions + 8) * 0x1p-24; }

  static constexpr double point_ = 0x1.001p-24;         // a coordinate's rounding, and that of double before
  double sum_, square_, least_square_, scale_, least_;  // least…: what underflow does
};

/// A few queries, a tile of points and the candidates found so far.
struct ProductTile {
  static constexpr std::int32_t queries = 8, lanes = 16;
  std::size_t d;
  float const* query;        // [8, d]
  float const* limit;        // [8] largest s of a candidate
  float const* points;       // [panels, d, 16] coordinate by coordinate
  float const* half_norms;   // [panels, 16] ½‖y‖², NaN behind the last point
  std::int32_t panels;       //
  std::int32_t first_place;  // of the points
  float* s;                  // [8, capacity] candidates are put behind those that are there;
  std::int32_t* place;       // [8, capacity] there must be room for 16 more than the tile has points
  std::int32_t* count;       // [8]
  std::size_t capacity;
};

/// Adds the points of a tile whose s does not exceed the limit. Any machine.
inline void add_candidates_plain(ProductTile const& t) {
  for (std::int32_t panel = 0; panel < t.panels; ++panel)
    for (std::int32_t i = 0; i < ProductTile::queries; ++i) {
      float s[ProductTile::lanes];
      std::copy_n(t.half_norms + std::ptrdiff_t(panel) * ProductTile::lanes, ProductTile::lanes, s);
      for (std::size_t c = 0; c < t.d; ++c) {
        float const value = t.query[std::size_t(i) * t.d + c];
        float const* y = t.points + (std::size_t(panel) * t.d + c) * ProductTile::lanes;
#pragma omp simd
        for (int b = 0; b < ProductTile::lanes; ++b) s[b] -= value * y[b];
      }
      for (int b = 0; b < ProductTile::lanes; ++b)
        if (s[b] <= t.limit[i]) {
          auto const to = std::size_t(i) * t.capacity + std::size_t(t.count[i]++);
          t.s[to] = s[b], t.place[to] = t.first_place + panel * ProductTile::lanes + b;
        }
    }
}

#ifdef DEW_X86_KINDS
// Vectors in functions of their own for each kind of machine: target_clones would take them apart first.

template <int panels>
__attribute__((target("avx512f,fma"))) inline void add_candidates_avx512(ProductTile const& t, std::int32_t panel) {
  constexpr int queries = ProductTile::queries;
  float const* y = t.points + std::size_t(panel) * t.d * 16;
  __m512 s[queries][panels];
#pragma GCC unroll 8
  for (int i = 0; i < queries; ++i)
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) s[i][p] = _mm512_loadu_ps(t.half_norms + std::ptrdiff_t(panel + p) * 16);
  for (std::size_t c = 0; c < t.d; ++c) {
    __m512 point[panels];
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) point[p] = _mm512_loadu_ps(y + (std::size_t(p) * t.d + c) * 16);
#pragma GCC unroll 8
    for (int i = 0; i < queries; ++i) {
      auto const value = _mm512_set1_ps(t.query[std::size_t(i) * t.d + c]);
#pragma GCC unroll 4
      for (int p = 0; p < panels; ++p) s[i][p] = _mm512_fnmadd_ps(value, point[p], s[i][p]);
    }
  }
  __mmask16 near[queries][panels];
  std::uint32_t any = 0;
#pragma GCC unroll 8
  for (int i = 0; i < queries; ++i)
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) any |= near[i][p] = _mm512_cmp_ps_mask(s[i][p], _mm512_set1_ps(t.limit[i]), _CMP_LE_OQ);
  if (any == 0) return;
  auto const row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#pragma GCC unroll 8
  for (int i = 0; i < queries; ++i)
#pragma GCC unroll 4
    for (int p = 0; p < panels; ++p) {
      if (near[i][p] == 0) continue;
      auto const to = std::size_t(i) * t.capacity + std::size_t(t.count[i]);
      auto const place = _mm512_add_epi32(row, _mm512_set1_epi32(t.first_place + (panel + p) * 16));
      _mm512_storeu_ps(t.s + to, _mm512_maskz_compress_ps(near[i][p], s[i][p]));
      _mm512_storeu_si512(t.place + to, _mm512_maskz_compress_epi32(near[i][p], place));
      t.count[i] += std::popcount(std::uint32_t(near[i][p]));
    }
}

__attribute__((target("avx512f,fma"))) inline void add_candidates_avx512(ProductTile const& t) {
  std::int32_t panel = 0;
  for (auto left = t.panels; left > 0; left = t.panels - panel)
    if (left == 3 || left >= 5) add_candidates_avx512<3>(t, panel), panel += 3;
    else if (left >= 2) add_candidates_avx512<2>(t, panel), panel += 2;
    else add_candidates_avx512<1>(t, panel), panel += 1;
}

__attribute__((target("avx2,fma"))) inline void add_candidates_avx2(ProductTile const& t) {
  for (std::int32_t panel = 0; panel < t.panels; ++panel)
    for (int first = 0; first < ProductTile::queries; first += 4) {
      float const* y = t.points + std::size_t(panel) * t.d * 16;
      __m256 s[4][2];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        s[i][0] = _mm256_loadu_ps(t.half_norms + std::ptrdiff_t(panel) * 16);
        s[i][1] = _mm256_loadu_ps(t.half_norms + std::ptrdiff_t(panel) * 16 + 8);
      }
      for (std::size_t c = 0; c < t.d; ++c, y += 16) {
        auto const low = _mm256_loadu_ps(y), high = _mm256_loadu_ps(y + 8);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          auto const value = _mm256_set1_ps(t.query[std::size_t(first + i) * t.d + c]);
          s[i][0] = _mm256_fnmadd_ps(value, low, s[i][0]);
          s[i][1] = _mm256_fnmadd_ps(value, high, s[i][1]);
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        auto const limit = _mm256_set1_ps(t.limit[first + i]);
        auto near = std::uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(s[i][0], limit, _CMP_LE_OQ))) |
                    std::uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(s[i][1], limit, _CMP_LE_OQ))) << 8;
        if (near == 0) continue;
        alignas(32) float values[16];
        _mm256_store_ps(values, s[i][0]), _mm256_store_ps(values + 8, s[i][1]);
        for (; near != 0; near &= near - 1) {
          auto const b = std::countr_zero(near);
          auto const to = std::size_t(first + i) * t.capacity + std::size_t(t.count[first + i]++);
          t.s[to] = values[b], t.place[to] = t.first_place + panel * 16 + b;
        }
      }
    }
}
#endif

/// Adds the points of a tile whose s does not exceed the limit, with the widest vectors of the machine.
inline void add_candidates(ProductTile const& t) {
#ifdef DEW_X86_KINDS
  if (has_avx512()) return add_candidates_avx512(t);
  if (has_avx2()) return add_candidates_avx2(t);
#endif
  add_candidates_plain(t);
}

}  // namespace dew::detail
