// SPDX-License-Identifier: BSL-1.0
// Message passing: the first layer of a network over edges, split by operand, and the sum of messages at their targets.
// N hits, E edges, n node width, h output width.
#pragma once
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

namespace detail {
inline void check_edge_linear(Tensor const& x, Tensor const& first, Tensor const& second, at::TensorList edges, Tensor const& weight) {
  std::int64_t in = 2 * x.size(1);
  for (auto const& e : edges) {
    check(e.dim() == 2 && e.size(0) == first.size(0), "edge_linear: expected edge operands of {} rows, got {}", first.size(0),
          shape_text(e));
    in += e.size(1);
  }
  check(first.sizes() == second.sizes() && weight.size(1) == in,
        "edge_linear: expected a weight of {} columns and equally many first and second rows, got {}, {} and {}", in, shape_text(weight),
        shape_text(first), shape_text(second));
}
}  // namespace detail

/// Linear([x[first], x[second], e₁, e₂, …]), concatenated: the plain reference of `edge_linear`. Memory O(E · columns of `weight`).
inline Tensor edge_linear_reference(Tensor const& x, Tensor const& first, Tensor const& second, at::TensorList edges, Tensor const& weight,
                                    Tensor const& bias) {
  detail::check_edge_linear(x, first, second, edges, weight);
  std::vector<Tensor> operands{x.index_select(0, first), x.index_select(0, second)};
  operands.insert(operands.end(), edges.begin(), edges.end());
  return at::linear(at::cat(operands, 1), weight, bias);
}

/// The same value and gradients, split by operand: W₁x and W₂x are multiplied once a node and then gathered, W₃e is added: [E, h].
/// x [N, n]; first, second [E] rows of x; edges: any number of [E, e_i]; weight [h, 2n + Σ e_i]; bias [h] or undefined.
/// Saves the product with 2n columns an edge and the [E, 2n + Σ e_i] operand. The result is a fresh temporary.
inline Tensor edge_linear(Tensor const& x, Tensor const& first, Tensor const& second, at::TensorList edges, Tensor const& weight,
                          Tensor const& bias) {
  detail::check_edge_linear(x, first, second, edges, weight);
  auto const n = x.size(1);
  auto at_first = at::linear(x, weight.narrow(1, 0, n), bias);  // [N, h]
  auto at_second = at::linear(x, weight.narrow(1, n, n));       // [N, h]
  auto z = at_first.index_select(0, first);
  z.add_(at_second.index_select(0, second));
  auto column = 2 * n;
  for (auto const& e : edges) {
    z.addmm_(e, weight.narrow(1, column, e.size(1)).t());
    column += e.size(1);
  }
  return z;
}

/// Σ of `messages` [E, h] at their targets [E]: [rows, h]. The order of the sum is that of the edges.
inline Tensor sum_at(Tensor const& messages, Tensor const& target, std::int64_t rows) {
  return at::zeros({rows, messages.size(1)}, messages.options()).index_add(0, target, messages);
}

/// The number of edges that end at each of `rows` hits, as reals like `like`: [rows].
inline Tensor in_degree(Tensor const& target, std::int64_t rows, at::TensorOptions const& like) {
  return at::zeros({rows}, like).index_add_(0, target, at::ones({target.size(0)}, like));
}

}  // namespace dew
