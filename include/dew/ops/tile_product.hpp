// SPDX-License-Identifier: BSL-1.0
// C (+)= A · B for a tile of rows and matrices that fit into the cache, as the networks of a few dozen columns need it: a general product's
// copies into its own order would cost as much as the product.
#pragma once
#include <cstdint>

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

/// The next width whose rows are whole vectors of every machine (64 bytes).
template <class T>
constexpr std::int64_t pad(std::int64_t width) {
  constexpr std::int64_t vector = 64 / sizeof(T);
  return (width + vector - 1) / vector * vector;
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace avx512 {
#define DEW_TILE_BYTES 64
#define DEW_TILE_COLUMNS 4
#define DEW_TILE_TARGET __attribute__((target("avx512f,fma")))
#include "dew/ops/tile_product_body.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace avx512
namespace avx2 {
#define DEW_TILE_BYTES 32
#define DEW_TILE_COLUMNS 2
#define DEW_TILE_TARGET __attribute__((target("avx2,fma")))
#include "dew/ops/tile_product_body.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace avx2
#endif
namespace any {
#define DEW_TILE_BYTES 16
#define DEW_TILE_COLUMNS 2
#define DEW_TILE_TARGET
#include "dew/ops/tile_product_body.inc"
#undef DEW_TILE_BYTES
#undef DEW_TILE_COLUMNS
#undef DEW_TILE_TARGET
}  // namespace any

template <class T>
inline void product(Product<T> const& p) {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  static bool const has_avx512 = __builtin_cpu_supports("avx512f") != 0;
  static bool const has_avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (has_avx512) return avx512::product(p);
  if (has_avx2) return avx2::product(p);
#endif
  any::product(p);
}

}  // namespace dew::detail::tile
