// SPDX-License-Identifier: BSL-1.0
// MlpPlan: everything about a call of ops/gathered_mlp.hpp that is no tensor, and the choices in it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dew {

/// What the given parts of an MLP's rows go through before its first layer.
enum class PartTransform { none, relu, layer_norm };

/// In which precision numbers are multiplied with weights, forward and backward; sums are in float32 in both.
///
/// `bfloat16`: both operands of each product are rounded to 8 bits of precision first, the nearest and of two the even one; inputs, biases,
/// layer norms, residuals, sums at targets and what leaves (values and gradients) keep float32. On Intel processors with AMX three to six
/// times as many products a second; there numbers below 1.2e-38 count as zero. Elsewhere no faster. Tensors of another dtype than float32 are
/// multiplied in their own.
enum class Products { float32, bfloat16 };
constexpr auto names_of(Products) { return std::array{"float32", "bfloat16"}; }

namespace detail {

/// Everything about a call of `gathered_mlp` that is no tensor.
struct MlpPlan {
  std::int64_t rows = 0, gathered = 0, given = 0, layers = 0;
  bool bias = false, final_relu = false, residual = false, late = false;
  PartTransform transform = PartTransform::none;
  double eps = 0;
  std::int64_t targets = -1;  ///< −1: no sums
  Products products = Products::float32;

  std::vector<std::int64_t> numbers() const {
    return {rows, gathered, given, layers, bias, final_relu, residual, std::int64_t(transform), targets, late, std::int64_t(products)};
  }
  static MlpPlan from(std::vector<std::int64_t> const& n, double eps) {
    return {n[0], n[1], n[2], n[3], n[4] != 0, n[5] != 0, n[6] != 0, n[9] != 0, PartTransform(n[7]), eps, n[8], Products(n[10])};
  }
  /// Whether tensor i is a given part whose gradient is made later.
  bool is_late(std::size_t i) const { return late && i >= std::size_t(gathered) && i < std::size_t(gathered + given); }
};

}  // namespace detail
}  // namespace dew
