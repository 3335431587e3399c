// SPDX-License-Identifier: BSL-1.0
// Products of small matrices whose elements are rounded to bfloat16 while sums stay in float: on Intel's tile registers (AMX), elsewhere by
// the loops of ops/tile_loops.hpp. What is multiplied stands in the same form for both.
#pragma once
#include <cstddef>
#include <cstdint>

#include "dew/core/simd.hpp"
#include "dew/ops/rounded_operands.hpp"
#include "dew/ops/rounded_products_amx.hpp"
#include "dew/ops/tile_loops.hpp"

namespace dew::detail::tile {

/// By the loops for float: no faster than those, the same numbers as on tile registers but for the order of sums.
namespace any {

/// Rows of floats as halves, what stands behind `width` stays.
DEW_SIMD inline void round_rows(Half* to, std::int64_t to_stride, std::int64_t rows, std::int64_t width, float const* from,
                                std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, to += to_stride, from += stride)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) {
      std::uint32_t bits = 0;
      __builtin_memcpy(&bits, from + c, sizeof bits);
      auto const nearest = (bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U, nan = bits >> 16U | 0x40U;
      to[c] = Half((bits & 0x7fffffffU) > 0x7f800000U ? nan : nearest);
    }
}

inline void product(RoundedProduct const& p, Workspace& space) {
  auto const inner = p.b->inner, columns = p.b->columns;
  space.a.resize(std::size_t(p.rows * inner)), space.b.resize(std::size_t(inner * columns)), space.c.resize(std::size_t(p.rows * columns));
  widen_rows(space.a.data(), inner, p.rows, inner, p.a, p.a_stride);
  for (std::int64_t i = 0; i < inner; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      space.b[std::size_t(i * columns + j)] =
          widened(p.b->tiles[std::size_t(i / 32 * (columns / 16) + j / 16)].at[i % 32 / 2][2 * (j % 16) + i % 2]);
  for (std::int64_t r = 0; r < p.rows; ++r)
    for (std::int64_t j = 0; j < columns; ++j) {
      float start = p.bias != nullptr ? p.bias[j] : 0.F;
      for (std::int64_t k = 0; k < p.lookup_count; ++k) start += p.lookups[k].table[p.lookups[k].index[r] * p.lookups[k].stride + j];
      space.c[std::size_t(r * columns + j)] = p.d != nullptr ? start + p.d[r * p.d_stride + j] : start;
    }
  tile::product<float>({.rows = p.rows,
                        .inner = inner,
                        .columns = columns,
                        .a = space.a.data(),
                        .a_row = inner,
                        .b = space.b.data(),
                        .b_stride = columns,
                        .c = space.c.data(),
                        .c_stride = columns,
                        .add = true,
                        .relu = p.relu});
  for (std::int64_t r = 0; r < p.rows; ++r) {
    float* const c = space.c.data() + r * columns;
    for (std::int64_t j = 0; j < columns; ++j) {
      if (p.mask != nullptr && widened(p.mask[r * p.mask_stride + j]) <= 0) c[j] = 0;
      if (p.c != nullptr) p.c[r * p.c_stride + j] = c[j];
      if (p.halves != nullptr) p.halves[r * p.halves_stride + j] = j < p.width ? rounded(c[j]) : Half(0);
      if (p.totals != nullptr) p.totals[j] += c[j];
    }
  }
}

inline void add_transposed(RoundedSum const& s, Workspace& space) {
  auto const columns = 16 * blocks_of(s.right_width);
  space.a.resize(std::size_t(s.rows * s.left_width)), space.b.resize(std::size_t(s.rows * columns));
  widen_rows(space.a.data(), s.left_width, s.rows, s.left_width, s.left, s.left_stride);
  widen_rows(space.b.data(), columns, s.rows, columns, s.right, s.right_stride);
  tile::product<float>({.rows = s.left_width,
                        .inner = s.rows,
                        .columns = columns,
                        .a = space.a.data(),
                        .a_row = 1,
                        .a_column = s.left_width,
                        .b = space.b.data(),
                        .b_stride = columns,
                        .c = s.sum,
                        .c_stride = s.sum_stride,
                        .add = true});
}

}  // namespace any

/// Sets this thread's tile registers up for the products below, where there are any, until it goes.
class Registers {
 public:
  Registers() {
#ifdef DEW_AMX
    if (has_amx_bf16()) amx::set_up();
#endif
  }
  ~Registers() {
#ifdef DEW_AMX
    if (has_amx_bf16()) amx::release();
#endif
  }
  Registers(Registers const&) = delete;
  Registers& operator=(Registers const&) = delete;
};

inline void round_rows(Half* to, std::int64_t to_stride, std::int64_t rows, std::int64_t width, float const* from, std::int64_t stride) {
#ifdef DEW_AMX
  if (has_amx_bf16()) return amx::round_rows(to, to_stride, rows, width, from, stride);
#endif
  any::round_rows(to, to_stride, rows, width, from, stride);
}

/// In a thread with `Registers`.
inline void product(RoundedProduct const& p, Workspace& space) {
#ifdef DEW_AMX
  if (has_amx_bf16()) return amx::product(p, space);
#endif
  any::product(p, space);
}

inline void add_transposed(RoundedSum const& s, Workspace& space) {
#ifdef DEW_AMX
  if (has_amx_bf16()) return amx::add_transposed(s, space);
#endif
  any::add_transposed(s, space);
}

}  // namespace dew::detail::tile
