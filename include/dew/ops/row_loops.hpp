// SPDX-License-Identifier: BSL-1.0
// Loops over a tile of rows that the compiler makes vectors of: looking up and adding at indices, ReLU and its mask, copies, layer norm of
// any width. A stride is the distance of two rows.
#pragma once
#include <cmath>
#include <cstdint>

#include "dew/core/simd.hpp"

namespace dew::detail::tile {

/// z = table[index], or += with `ADD`.
template <bool ADD, class T>
DEW_SIMD inline void gather(T* z, std::int64_t z_stride, std::int64_t rows, std::int64_t width, T const* table, std::int64_t stride,
                            std::int64_t const* index) {
  for (std::int64_t r = 0; r < rows; ++r, z += z_stride) {
    T const* from = table + index[r] * stride;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) z[c] = ADD ? z[c] + from[c] : from[c];
  }
}

template <class T>
DEW_SIMD inline void scatter_add(T* table, std::int64_t rows, std::int64_t width, T const* z, std::int64_t z_stride,
                                 std::int64_t const* index) {
  for (std::int64_t r = 0; r < rows; ++r, z += z_stride) {
    T* to = table + index[r] * width;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) to[c] += z[c];
  }
}

template <class T>
DEW_SIMD inline void relu(T* z, std::int64_t z_stride, std::int64_t rows, std::int64_t width, T const* from, std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, z += z_stride, from += stride)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) z[c] = from[c] < T(0) ? T(0) : from[c];  // keeps NaN
}

/// Zero where the ReLU's output is: its backward pass.
template <class T>
DEW_SIMD inline void mask(T* gradient, std::int64_t stride, std::int64_t rows, std::int64_t width, T const* activation,
                          std::int64_t activation_stride) {
  for (std::int64_t r = 0; r < rows; ++r, gradient += stride, activation += activation_stride)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) gradient[c] = activation[c] <= T(0) ? T(0) : gradient[c];
}

/// to = from, or += with `ADD`.
template <bool ADD, class T>
DEW_SIMD inline void copy(T* to, std::int64_t to_stride, std::int64_t rows, std::int64_t width, T const* from, std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, to += to_stride, from += stride)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) to[c] = ADD ? to[c] + from[c] : from[c];
}

/// `layer_norm` for any width.
template <class T>
DEW_SIMD inline void layer_norm_of_any_width(T* y, T* normal, std::int64_t stride, T* inverse, T const* x, std::int64_t rows,
                                             std::int64_t width, T const* weight, T const* bias, T eps) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += stride, normal += stride) {
    T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < width; ++c) sum += x[c];
    T const mean = sum / T(width);
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < width; ++c) squares += (x[c] - mean) * (x[c] - mean);
    T const scale = T(1) / std::sqrt(squares / T(width) + eps);
    inverse[r] = scale;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) {
      normal[c] = (x[c] - mean) * scale;
      y[c] = normal[c] * weight[c] + bias[c];
    }
  }
}

template <class T>
DEW_SIMD inline void layer_norm_backward_of_any_width(T* gradient, std::int64_t gradient_stride, T const* normal, std::int64_t stride,
                                                      T const* inverse, std::int64_t rows, std::int64_t width, T const* weight,
                                                      T* grad_weight, T* grad_bias) {
  for (std::int64_t r = 0; r < rows; ++r, gradient += gradient_stride, normal += stride) {
    T sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
    for (std::int64_t c = 0; c < width; ++c) {
      T const g = gradient[c];
      grad_bias[c] += g;
      grad_weight[c] += g * normal[c];
      sum += g * weight[c];
      along += g * weight[c] * normal[c];
    }
    T const mean = sum / T(width), slope = along / T(width);
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) gradient[c] = inverse[r] * (gradient[c] * weight[c] - mean - normal[c] * slope);
  }
}

}  // namespace dew::detail::tile
