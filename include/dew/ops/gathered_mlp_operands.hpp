// SPDX-License-Identifier: BSL-1.0
// MlpOperands: how the tiles of ops/gathered_mlp.hpp hold what they multiply, and their products, in each precision.
#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

#include "dew/core/torch_nn.hpp"
#include "dew/ops/gathered_mlp_plan.hpp"
#include "dew/ops/rounded_products.hpp"
#include "dew/ops/tile_loops.hpp"

namespace dew::detail {

/// Rows, operands and products of a tile. Floats and doubles stand in rows of whole vectors (`tile::pad`), with zeros behind the last column;
/// operands of products in bfloat16 as halves.
template <class T, Products PRODUCTS>
struct MlpOperands {
  static constexpr bool rounds = PRODUCTS == Products::bfloat16;
  static_assert(!rounds || std::is_same_v<T, float>);

  /// Rows in memory, `stride` apart.
  struct Rows {
    T* data = nullptr;
    std::int64_t stride = 0;
  };
  struct ConstRows {
    T const* data = nullptr;
    std::int64_t stride = 0;
  };

  struct HalfRows {
    tile::Half* data = nullptr;
    std::int64_t stride = 0;
  };

  /// The left side of products, and what a weight's gradient is made of.
  using Operand = std::conditional_t<rounds, HalfRows, ConstRows>;

  /// The right side of products.
  struct Right {
    Tensor floats;           // [inner, columns] in whole vectors
    tile::RightSide halves;  // instead, in bfloat16

    explicit Right(Tensor const& matrix) {
      if constexpr (rounds) halves = {cdata(matrix), matrix.size(0), matrix.size(1), matrix.stride(0), matrix.stride(1)};
      else floats = padded(matrix);
    }
    std::int64_t columns() const { return rounds ? halves.columns : floats.size(1); }
  };

  static T* data(Tensor& t) { return t.template data_ptr<T>(); }
  static T const* cdata(Tensor const& t) { return t.template const_data_ptr<T>(); }
  static Rows rows(Tensor& t) { return {data(t), t.size(1)}; }
  static ConstRows read(Tensor const& t) { return {cdata(t), t.size(1)}; }
  static ConstRows read(Tensor const& t, std::int64_t begin) { return {cdata(t) + begin * t.size(1), t.size(1)}; }

  static Tensor padded(Tensor const& matrix) {
    auto const width = matrix.size(1), whole = tile::pad<T>(width);
    if (width == whole) return matrix.contiguous();
    auto out = at::zeros({matrix.size(0), whole}, matrix.options());
    out.narrow(1, 0, width).copy_(matrix);
    return out;
  }

  static Tensor halves(std::int64_t rows, std::int64_t width) { return at::zeros({rows, tile::pad_halves(width)}, at::kShort); }

  /// A buffer of operands.
  static Operand operand(Tensor const& t) {
    if constexpr (rounds) return {reinterpret_cast<tile::Half*>(t.data_ptr<std::int16_t>()), t.size(1)};
    else return read(t);
  }
  /// Rows as an operand: themselves, or rounded into `buffer`.
  static Operand operand(ConstRows from, std::int64_t n, std::int64_t width, std::vector<Tensor> const& buffers, std::size_t which) {
    if constexpr (rounds) {
      auto const to = operand(buffers[which]);
      tile::round_rows(to.data, to.stride, n, width, from.data, from.stride);
      return to;
    } else {
      return from;
    }
  }

  /// What a product of a tile begins with and ends in.
  struct Step {
    std::int64_t rows = 0;
    T const* bias = nullptr;
    bool add = false;  ///< to what c holds
    bool relu = false;
    Operand mask = {};
    T* totals = nullptr;  ///< the sum of the rows that come out is added
  };

  /// a · b → c, in whole vectors of b.
  static void multiply(Step const& s, ConstRows a, Right const& right, tile::Workspace&, Rows c) requires(!rounds)
  {
    auto const& b = right.floats;
    tile::product<T>({.rows = s.rows,
                      .inner = b.size(0),
                      .columns = b.size(1),
                      .a = a.data,
                      .a_row = a.stride,
                      .b = cdata(b),
                      .b_stride = b.size(1),
                      .c = c.data,
                      .c_stride = c.stride,
                      .add = s.add,
                      .bias = s.bias,
                      .relu = s.relu,
                      .mask = s.mask.data,
                      .mask_stride = s.mask.stride});
  }
  /// a · b → c and, as `width` columns of halves, `to`; either may be nowhere.
  static void multiply(Step const& s, HalfRows a, Right const& b, tile::Workspace& space, Rows c, HalfRows to = {}, std::int64_t width = 0,
                       std::vector<tile::Lookup> const& lookups = {}) requires rounds
  {
    tile::product({.rows = s.rows,
                   .a = a.data,
                   .a_stride = a.stride,
                   .b = &b.halves,
                   .bias = s.bias,
                   .lookups = lookups.data(),
                   .lookup_count = std::int64_t(lookups.size()),
                   .d = s.add ? c.data : nullptr,
                   .d_stride = c.stride,
                   .relu = s.relu,
                   .mask = s.mask.data,
                   .mask_stride = s.mask.stride,
                   .c = c.data,
                   .c_stride = c.stride,
                   .halves = to.data,
                   .halves_stride = to.stride,
                   .width = width,
                   .totals = s.totals},
                  space);
  }

  /// sum += aᵀ · b over n rows.
  static void add_transposed(Tensor& sum, std::int64_t n, Operand a, std::int64_t a_width, Operand b, std::int64_t b_width,
                             tile::Workspace& space) {
    if constexpr (rounds)
      tile::add_transposed({.rows = n,
                            .left = a.data,
                            .left_stride = a.stride,
                            .left_width = a_width,
                            .right = b.data,
                            .right_stride = b.stride,
                            .right_width = b_width,
                            .sum = data(sum),
                            .sum_stride = sum.size(1)},
                           space);
    else
      tile::product<T>({.rows = a_width,
                        .inner = n,
                        .columns = sum.size(1),
                        .a = a.data,
                        .a_row = 1,
                        .a_column = a.stride,
                        .b = b.data,
                        .b_stride = b.stride,
                        .c = data(sum),
                        .c_stride = sum.size(1),
                        .add = true});
  }

  /// Where aᵀ · b of these widths is added up: in whole vectors, and in whole tiles where operands are halves.
  static Tensor zeros_for_sums(std::int64_t a_width, std::int64_t b_width, at::TensorOptions const& options) {
    return at::zeros({rounds ? tile::pad<T>(a_width) : a_width, tile::pad<T>(b_width)}, options);
  }
};

}  // namespace dew::detail
