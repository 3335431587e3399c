// SPDX-License-Identifier: BSL-1.0
// Loops over a tile of rows, with the widest vectors of the machine: C (+)= A · B for matrices that fit into the cache, as networks of a few
// dozen columns need it (a general product's copies into its own order would cost as much as the product), layer norm, sums of columns.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "dew/core/simd.hpp"

namespace dew::detail::tile {

/// C [rows, columns] (+)= A [rows, inner] · B [inner, columns], then a ReLU or the mask of one.
///
/// `columns` is a multiple of `pad(1)`, and rows of B, C, bias and mask hold as many. A may lie in any order: a transposed one costs nothing.
template <class T>
struct Product {
  std::int64_t rows = 0, inner = 0, columns = 0;
  T const* a = nullptr;
  std::int64_t a_row = 0, a_column = 1;  ///< distance of A's rows and columns
  T const* b = nullptr;
  std::int64_t b_stride = 0;
  T* c = nullptr;
  std::int64_t c_stride = 0;
  bool add = false;         ///< to what C holds
  T const* bias = nullptr;  ///< [columns], where nothing is added to
  bool relu = false;
  T const* mask = nullptr;  ///< [rows, columns]: C becomes zero where it is not above zero
  std::int64_t mask_stride = 0;
};

/// y = x̂ · weight + bias with x̂ = (x − mean) / √(variance + eps) for rows of a width that is a multiple of `pad(1)`.
template <class T>
struct LayerNorm {
  std::int64_t width = 0;
  T const *weight = nullptr, *bias = nullptr;  ///< [width]
  T eps = 0;
  T* normal = nullptr;      ///< [rows, stride]: x̂, kept for the way back
  std::int64_t stride = 0;  ///< of x̂ and y; x lies side by side
};

/// The next width whose rows are whole vectors of every machine (64 bytes).
template <class T>
constexpr std::int64_t pad(std::int64_t width) {
  constexpr std::int64_t vector = 64 / sizeof(T);
  return (width + vector - 1) / vector * vector;
}

#ifdef DEW_X86_KINDS
namespace avx512 {
#define DEW_TILE_BYTES 64
#define DEW_TILE_COLUMNS 4
#define DEW_TILE_TARGET __attribute__((target("avx512f,fma")))
#include "dew/ops/tile_loops.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace avx512
namespace avx2 {
#define DEW_TILE_BYTES 32
#define DEW_TILE_COLUMNS 2
#define DEW_TILE_TARGET __attribute__((target("avx2,fma")))
#include "dew/ops/tile_loops.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace avx2
#endif
namespace any {
#define DEW_TILE_BYTES 16
#define DEW_TILE_COLUMNS 2
#define DEW_TILE_TARGET
#include "dew/ops/tile_loops.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace any

#ifdef DEW_X86_KINDS
#define DEW_TILE_BEST(call)              \
  if (has_avx512()) return avx512::call; \
  if (has_avx2()) return avx2::call;     \
  return any::call
#else
#define DEW_TILE_BEST(call) return any::call
#endif

template <class T>
inline void product(Product<T> const& p) {
  DEW_TILE_BEST(product(p));
}

/// y and 1 / √(variance + eps) of the rows of x [rows, width].
template <class T>
inline void layer_norm(LayerNorm<T> const& n, std::int64_t rows, T* y, T* inverse, T const* x) {
  DEW_TILE_BEST(layer_norm(n, rows, y, inverse, x));
}

/// In place: the gradient by y becomes that by x; those by weight and bias are added up.
template <class T>
inline void layer_norm_backward(LayerNorm<T> const& n, std::int64_t rows, T* gradient, std::int64_t stride, T const* inverse,
                                T* grad_weight, T* grad_bias) {
  DEW_TILE_BEST(layer_norm_backward(n, rows, gradient, stride, inverse, grad_weight, grad_bias));
}

/// sums += the sum of all rows of z [rows, width].
template <class T>
inline void column_sums(T* sums, std::int64_t rows, std::int64_t width, T const* z, std::int64_t stride) {
  DEW_TILE_BEST(column_sums(sums, rows, width, z, stride));
}
#undef DEW_TILE_BEST

}  // namespace dew::detail::tile
