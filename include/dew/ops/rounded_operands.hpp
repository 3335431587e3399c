// SPDX-License-Identifier: BSL-1.0
// What ops/rounded_products.hpp multiplies and how it is said: numbers of bfloat16, matrices of them, a product and a sum over rows.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dew/core/simd.hpp"

namespace dew::detail::tile {

/// The upper half of a float: a bfloat16.
using Half = std::uint16_t;

/// The nearest bfloat16, the even one of two; NaN stays NaN.
constexpr Half rounded(float x) {
  auto const bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return Half(bits >> 16U | 0x40U);
  return Half((bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U);
}
constexpr float widened(Half x) { return std::bit_cast<float>(std::uint32_t(x) << 16U); }

/// The next width whose rows of halves are whole tiles (64 bytes).
constexpr std::int64_t pad_halves(std::int64_t width) { return (width + 31) / 32 * 32; }
constexpr std::int64_t blocks_of(std::int64_t width) { return (width + 15) / 16; }

/// 32 rows of 16 columns, each two rows interleaved: what a tile register holds of a product's right side.
struct alignas(64) HalfTile {
  Half at[16][32];  ///< [row / 2][2 * column + row % 2]
};

/// B [inner, columns] as a product's right side: tiles of 32 x 16, the tiles of 16 columns side by side. Zeros around B.
struct RightSide {
  std::int64_t inner = 0, columns = 0;
  std::vector<HalfTile> tiles = {};

  RightSide() = default;
  /// Of b [inner, columns], `row` and `column` elements apart.
  RightSide(float const* b, std::int64_t rows, std::int64_t width, std::int64_t row, std::int64_t column)
      : inner(rows), columns(16 * blocks_of(width)), tiles(std::size_t(pad_halves(rows) / 32 * blocks_of(width))) {
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < width; ++j)
        tiles[std::size_t(i / 32 * blocks_of(width) + j / 16)].at[i % 32 / 2][2 * (j % 16) + i % 2] = rounded(b[i * row + j * column]);
  }
};

/// Rows of a table that are looked up.
struct Lookup {
  float const* table = nullptr;
  std::int64_t stride = 0;
  std::int64_t const* index = nullptr;
};

/// C [rows, columns] = A [rows, inner] · B + bias + looked-up rows + D, then a ReLU or the mask of one.
struct RoundedProduct {
  std::int64_t rows = 0;
  Half const* a = nullptr;    ///< [rows up to a multiple of 16, pad_halves(inner)], zeros behind `inner`
  std::int64_t a_stride = 0;  ///< distance of two rows, here and below
  RightSide const* b = nullptr;
  float const* bias = nullptr;  ///< [columns], like all floats here
  Lookup const* lookups = nullptr;
  std::int64_t lookup_count = 0;
  float const* d = nullptr;
  std::int64_t d_stride = 0;
  bool relu = false;
  Half const* mask = nullptr;  ///< C becomes zero where it is not above zero
  std::int64_t mask_stride = 0;
  float* c = nullptr;  ///< or nowhere
  std::int64_t c_stride = 0;
  Half* halves = nullptr;  ///< C rounded, or nowhere
  std::int64_t halves_stride = 0;
  std::int64_t width = 0;   ///< of C; behind it `halves` gets zeros
  float* totals = nullptr;  ///< [columns]: the sum of C's rows is added, or nowhere
};

/// sum [16 · blocks_of(left_width), …] += Lᵀ · R for L [rows, left_width] and R [rows, right_width], both with zeros behind their width.
struct RoundedSum {
  std::int64_t rows = 0;
  Half const* left = nullptr;
  std::int64_t left_stride = 0, left_width = 0;
  Half const* right = nullptr;
  std::int64_t right_stride = 0, right_width = 0;
  float* sum = nullptr;
  std::int64_t sum_stride = 0;
};

/// Memory that products use on their way, of one thread.
struct Workspace {
  std::vector<HalfTile> left, right;
  std::vector<float> a, b, c;
};

DEW_SIMD inline void widen_rows(float* to, std::int64_t to_stride, std::int64_t rows, std::int64_t width, Half const* from,
                                std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, to += to_stride, from += stride)
    for (std::int64_t c = 0; c < width; ++c) to[c] = widened(from[c]);
}

}  // namespace dew::detail::tile
