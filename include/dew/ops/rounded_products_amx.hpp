// SPDX-License-Identifier: BSL-1.0
// The products of ops/rounded_products.hpp on Intel's tile registers (AMX).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dew/core/simd.hpp"
#include "dew/ops/rounded_operands.hpp"
#ifdef DEW_AMX
#include <immintrin.h>

namespace dew::detail::tile {

/// On tile registers, set up by `Registers`.
namespace amx {
#define DEW_AMX_TARGET __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16,fma")))

/// Eight registers of 16 rows of 64 bytes, in the form that the processor reads.
struct alignas(64) Shape {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
DEW_AMX_TARGET inline void set_up() {
  Shape const shape;
  asm volatile("" ::: "memory");  // what the compiler does not know: that the next line reads memory
  _tile_loadconfig(&shape);
}
DEW_AMX_TARGET inline void release() { _tile_release(); }

using Words __attribute__((vector_size(64))) = std::uint32_t;
using Floats __attribute__((vector_size(64))) = float;

template <class V = Floats, class T>
DEW_AMX_TARGET inline V take(T const* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class T, class V>
DEW_AMX_TARGET inline void put(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}
/// 16 halves, each in a word of its own.
DEW_AMX_TARGET inline Words words(Half const* from) {
  return Words(_mm512_maskz_cvtepu16_epi32(0xffff, take<__m256i>(from)));  // masked: GCC 12 warns of the header's other form
}

/// Numbers too small to be normal become zero, as the products take them.
DEW_AMX_TARGET inline void round_rows(Half* to, std::int64_t to_stride, std::int64_t rows, std::int64_t width, float const* from,
                                      std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, to += to_stride, from += stride) {
    std::int64_t c = 0;
    for (; c + 32 <= width; c += 32) put(to + c, _mm512_cvtne2ps_pbh(__m512(take(from + c + 16)), __m512(take(from + c))));
    for (; c + 16 <= width; c += 16) put(to + c, _mm512_cvtneps_pbh(__m512(take(from + c))));
    for (; c < width; ++c) to[c] = rounded(from[c]);
  }
}

/// What a product begins with and ends in, one bit each: loops over rows are compiled for the sets that networks use.
enum End : unsigned { looks_up = 1, adds = 2, rectifies = 4, masks = 8, keeps_floats = 16, keeps_halves = 32, totals = 64, any_end = 128 };

inline unsigned ends_of(RoundedProduct const& p) {
  return (p.lookup_count > 0 ? looks_up : 0U) | (p.d != nullptr ? adds : 0U) | (p.relu ? rectifies : 0U) |
         (p.mask != nullptr ? masks : 0U) | (p.c != nullptr ? keeps_floats : 0U) | (p.halves != nullptr ? keeps_halves : 0U) |
         (p.totals != nullptr ? totals : 0U);
}

/// Ends `rows` rows of a product from row i and column j on, COLUMNS blocks of 16, whose sums lie side by side in `sums`.
template <int COLUMNS, unsigned ENDS>
DEW_AMX_TARGET inline void finish(RoundedProduct const& p, unsigned given, float const* sums, std::int64_t i, std::int64_t j,
                                  std::int64_t rows) {
  unsigned const ends = ENDS == any_end ? given : ENDS;
  Floats const zero{};
  Floats start[COLUMNS], total[COLUMNS];
  for (int k = 0; k < COLUMNS; ++k) start[k] = p.bias != nullptr ? take(p.bias + j + 16 * k) : zero, total[k] = zero;
  auto const left = p.width - j;
  auto const keep = left >= 32 ? ~__mmask32(0) : (__mmask32(1) << std::max<std::int64_t>(left, 0)) - 1;
  auto const* const lookups = p.lookups;
  auto const lookup_count = p.lookup_count, d_stride = p.d_stride, mask_stride = p.mask_stride, c_stride = p.c_stride,
             halves_stride = p.halves_stride;
  auto const* d = (ends & adds) != 0 ? p.d + i * d_stride + j : nullptr;
  auto const* mask = (ends & masks) != 0 ? p.mask + i * mask_stride + j : nullptr;
  auto* c = (ends & keeps_floats) != 0 ? p.c + i * c_stride + j : nullptr;
  auto* halves = (ends & keeps_halves) != 0 ? p.halves + i * halves_stride + j : nullptr;
  for (std::int64_t r = 0; r < rows; ++r, sums += 16 * COLUMNS) {
    Floats v[COLUMNS];
#pragma GCC unroll 2
    for (int k = 0; k < COLUMNS; ++k) v[k] = take(sums + 16 * k) + start[k];
    if ((ends & looks_up) != 0)
      for (std::int64_t t = 0; t < lookup_count; ++t) {
        auto const* const from = lookups[t].table + lookups[t].index[i + r] * lookups[t].stride + j;
#pragma GCC unroll 2
        for (int k = 0; k < COLUMNS; ++k) v[k] += take(from + 16 * k);
      }
#pragma GCC unroll 2
    for (int k = 0; k < COLUMNS; ++k) {
      if ((ends & adds) != 0) v[k] += take(d + r * d_stride + 16 * k);
      if ((ends & rectifies) != 0) v[k] = v[k] < zero ? zero : v[k];  // keeps NaN
      if ((ends & masks) != 0) {
        auto const activation = reinterpret_cast<Floats>(words(mask + r * mask_stride + 16 * k) << 16);
        v[k] = activation <= zero ? zero : v[k];
      }
      if ((ends & keeps_floats) != 0) put(c + r * c_stride + 16 * k, v[k]);
      if ((ends & totals) != 0) total[k] += v[k];
    }
    if ((ends & keeps_halves) != 0) {
      if constexpr (COLUMNS == 2) {
        auto const both = _mm512_cvtne2ps_pbh(__m512(v[1]), __m512(v[0]));
        _mm512_storeu_si512(halves + r * halves_stride, _mm512_maskz_mov_epi16(keep, reinterpret_cast<__m512i>(both)));
      } else {
        auto const one = _mm256_maskz_mov_epi16(__mmask16(keep), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(__m512(v[0]))));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(halves + r * halves_stride), one);
      }
    }
  }
  if ((ends & totals) != 0)
    for (int k = 0; k < COLUMNS; ++k) put(p.totals + j + 16 * k, take(p.totals + j + 16 * k) + total[k]);
}

/// Adds to registers 0 to 3, sums of ROWS x COLUMNS tiles, a step's products: of the tile at a, and a second one `below` elements on, with those
/// from b on.
template <int ROWS, int COLUMNS, class Left>
DEW_AMX_TARGET inline void multiply(Left const* a, std::int64_t below, std::int64_t bytes, HalfTile const* b) {
  _tile_loadd(4, a, bytes);
  _tile_loadd(6, b, 64);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (COLUMNS > 1) {
    _tile_loadd(7, b + 1, 64);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (ROWS > 1) {
    _tile_loadd(5, a + below, bytes);
    _tile_dpbf16ps(2, 5, 6);
  }
  if constexpr (ROWS > 1 && COLUMNS > 1) _tile_dpbf16ps(3, 5, 7);
}
/// These registers, in rows `stride` apart.
template <int ROWS, int COLUMNS>
DEW_AMX_TARGET inline void store(float* sums, std::int64_t stride) {
  auto const bytes = stride * std::int64_t(sizeof(float));
  _tile_stored(0, sums, bytes);
  if constexpr (COLUMNS > 1) _tile_stored(1, sums + 16, bytes);
  if constexpr (ROWS > 1) _tile_stored(2, sums + 16 * stride, bytes);
  if constexpr (ROWS > 1 && COLUMNS > 1) _tile_stored(3, sums + 16 * stride + 16, bytes);
}

/// ROWS x COLUMNS tiles from row i and block of columns `block` on.
template <int ROWS, int COLUMNS, unsigned ENDS>
DEW_AMX_TARGET inline void tiles(RoundedProduct const& p, unsigned ends, std::int64_t i, std::int64_t block) {
  alignas(64) float sums[ROWS * 16][COLUMNS * 16];
  auto const blocks = p.b->columns / 16, steps = pad_halves(p.b->inner) / 32;
  auto const stride = p.a_stride * std::int64_t(sizeof(Half));
  auto const* a = p.a + i * p.a_stride;
  auto const* b = p.b->tiles.data() + block;
  asm volatile("" ::: "memory");
  _tile_zero(0);
  if constexpr (COLUMNS > 1) _tile_zero(1);
  if constexpr (ROWS > 1) _tile_zero(2);
  if constexpr (ROWS > 1 && COLUMNS > 1) _tile_zero(3);
  for (std::int64_t k = 0; k < steps; ++k, a += 32, b += blocks) multiply<ROWS, COLUMNS>(a, 16 * p.a_stride, stride, b);
  store<ROWS, COLUMNS>(&sums[0][0], 16 * COLUMNS);
  asm volatile("" ::: "memory");
  finish<COLUMNS, ENDS>(p, ends, &sums[0][0], i, 16 * block, std::min<std::int64_t>(16 * ROWS, p.rows - i));
}

template <unsigned ENDS>
DEW_AMX_TARGET void all_tiles(RoundedProduct const& p, unsigned ends) {
  auto const blocks = p.b->columns / 16;
  std::int64_t i = 0;
  for (; i + 16 < p.rows; i += 32) {
    std::int64_t j = 0;
    for (; j + 2 <= blocks; j += 2) tiles<2, 2, ENDS>(p, ends, i, j);
    if (j < blocks) tiles<2, 1, ENDS>(p, ends, i, j);
  }
  if (i >= p.rows) return;
  std::int64_t j = 0;
  for (; j + 2 <= blocks; j += 2) tiles<1, 2, ENDS>(p, ends, i, j);
  if (j < blocks) tiles<1, 1, ENDS>(p, ends, i, j);
}

inline void product(RoundedProduct const& p, Workspace&) {
  auto const ends = ends_of(p);
  switch (ends) {
    case looks_up | rectifies | keeps_halves: return all_tiles<looks_up | rectifies | keeps_halves>(p, ends);
    case rectifies | keeps_halves: return all_tiles<rectifies | keeps_halves>(p, ends);
    case masks | keeps_halves | totals: return all_tiles<masks | keeps_halves | totals>(p, ends);
    case masks | keeps_floats | keeps_halves | totals: return all_tiles<masks | keeps_floats | keeps_halves | totals>(p, ends);
    case keeps_floats: return all_tiles<keeps_floats>(p, ends);
    default: return all_tiles<any_end>(p, ends);
  }
}

/// Rows r and r + 1, 16 columns from `from` on, interleaved; unless 32 rows are there, those from `rows` on are zeros.
template <bool WHOLE>
DEW_AMX_TARGET inline Words pair(Half const* from, std::int64_t stride, std::int64_t r, std::int64_t rows) {
  if (!WHOLE && r >= rows) return Words{};
  auto const low = words(from + r * stride);
  return !WHOLE && r + 1 >= rows ? low : low | words(from + (r + 1) * stride) << 16;
}

/// 32 rows of 16 columns as they stand in a right side.
template <bool WHOLE>
DEW_AMX_TARGET inline void interleave(HalfTile& to, Half const* from, std::int64_t stride, std::int64_t rows) {
#pragma GCC unroll 4
  for (std::int64_t k = 0; k < 16; ++k) put(to.at[k], pair<WHOLE>(from, stride, 2 * k, rows));
}

/// From each four words of a and of b: the first and third (0), or the second and fourth (1), as blocks of four.
template <int ODD>
DEW_AMX_TARGET inline Words blocks(Words a, Words b) {
  constexpr int o = 4 * ODD;
  return __builtin_shufflevector(a, b, o, o + 1, o + 2, o + 3, o + 8, o + 9, o + 10, o + 11, o + 16, o + 17, o + 18, o + 19, o + 24, o + 25,
                                 o + 26, o + 27);
}

/// `interleave`, transposed: 16 rows of 32 columns, as they stand in a left side.
template <bool WHOLE>
DEW_AMX_TARGET inline void transpose(HalfTile& to, Half const* from, std::int64_t stride, std::int64_t rows) {
  Words w[16], t[16];
#pragma GCC unroll 16
  for (int k = 0; k < 16; ++k) w[k] = pair<WHOLE>(from, stride, 2 * k, rows);
#pragma GCC unroll 8
  for (int k = 0; k < 16; k += 2) {  // words 0 and 1, then 2 and 3, of each four of two rows
    t[k] = __builtin_shufflevector(w[k], w[k + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    t[k + 1] = __builtin_shufflevector(w[k], w[k + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 16; k += 4)  // w[k + c]: columns c, 4 + c, 8 + c, 12 + c of rows k … k + 3
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      auto const a = t[k + half], b = t[k + 2 + half];
      w[k + 2 * half] = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      w[k + 2 * half + 1] = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    auto const even = blocks<0>(w[c], w[4 + c]), odd = blocks<1>(w[c], w[4 + c]), even_below = blocks<0>(w[8 + c], w[12 + c]),
               odd_below = blocks<1>(w[8 + c], w[12 + c]);
    put(to.at[c], blocks<0>(even, even_below)), put(to.at[4 + c], blocks<0>(odd, odd_below));
    put(to.at[8 + c], blocks<1>(even, even_below)), put(to.at[12 + c], blocks<1>(odd, odd_below));
  }
}

/// ROWS x COLUMNS tiles of a sum.
template <int ROWS, int COLUMNS>
DEW_AMX_TARGET inline void sum_tiles(float* sum, std::int64_t stride, HalfTile const* left, std::int64_t left_blocks, HalfTile const* right,
                                     std::int64_t right_blocks, std::int64_t steps) {
  auto const bytes = stride * std::int64_t(sizeof(float));
  asm volatile("" ::: "memory");
  _tile_loadd(0, sum, bytes);
  if constexpr (COLUMNS > 1) _tile_loadd(1, sum + 16, bytes);
  if constexpr (ROWS > 1) _tile_loadd(2, sum + 16 * stride, bytes);
  if constexpr (ROWS > 1 && COLUMNS > 1) _tile_loadd(3, sum + 16 * stride + 16, bytes);
  for (std::int64_t k = 0; k < steps; ++k, left += left_blocks, right += right_blocks) multiply<ROWS, COLUMNS>(left, 1, 64, right);
  store<ROWS, COLUMNS>(sum, stride);
  asm volatile("" ::: "memory");
}

/// 32 rows of a sum's two sides, from row `first` on.
template <bool WHOLE>
DEW_AMX_TARGET inline void pack(RoundedSum const& s, std::int64_t first, HalfTile* left, HalfTile* right) {
  for (std::int64_t i = 0; i < blocks_of(s.left_width); ++i)
    transpose<WHOLE>(left[i], s.left + first * s.left_stride + 16 * i, s.left_stride, s.rows - first);
  for (std::int64_t j = 0; j < blocks_of(s.right_width); ++j)
    interleave<WHOLE>(right[j], s.right + first * s.right_stride + 16 * j, s.right_stride, s.rows - first);
}

DEW_AMX_TARGET inline void add_transposed(RoundedSum const& s, Workspace& space) {
  auto const steps = (s.rows + 31) / 32, left = blocks_of(s.left_width), right = blocks_of(s.right_width);
  if (space.left.size() < std::size_t(steps * left)) space.left.resize(std::size_t(steps * left));
  if (space.right.size() < std::size_t(steps * right)) space.right.resize(std::size_t(steps * right));
  auto *const l = space.left.data(), *const r = space.right.data();
  for (std::int64_t k = 0; k < steps; ++k)
    if (32 * (k + 1) <= s.rows) pack<true>(s, 32 * k, l + k * left, r + k * right);
    else pack<false>(s, 32 * k, l + k * left, r + k * right);
  for (std::int64_t i = 0; i < left; i += 2)
    for (std::int64_t j = 0; j < right; j += 2) {
      auto* const to = s.sum + 16 * i * s.sum_stride + 16 * j;
      if (i + 1 < left && j + 1 < right) sum_tiles<2, 2>(to, s.sum_stride, l + i, left, r + j, right, steps);
      else if (i + 1 < left) sum_tiles<2, 1>(to, s.sum_stride, l + i, left, r + j, right, steps);
      else if (j + 1 < right) sum_tiles<1, 2>(to, s.sum_stride, l + i, left, r + j, right, steps);
      else sum_tiles<1, 1>(to, s.sum_stride, l + i, left, r + j, right, steps);
    }
}
#undef DEW_AMX_TARGET
}  // namespace amx

}  // namespace dew::detail::tile
#endif
