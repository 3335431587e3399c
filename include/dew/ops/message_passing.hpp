// SPDX-License-Identifier: BSL-1.0
// Message passing: the sum of messages at their targets. E edges, h width of a message. For networks over edges see ops/gathered_mlp.hpp.
#pragma once
#include "dew/core/torch.hpp"

namespace dew {

/// Σ of `messages` [E, h] at their targets [E]: [rows, h]. The order of the sum is that of the edges.
inline Tensor sum_at(Tensor const& messages, Tensor const& target, std::int64_t rows) {
  return at::zeros({rows, messages.size(1)}, messages.options()).index_add(0, target, messages);
}

/// The number of edges that end at each of `rows` hits, as reals like `like`: [rows].
inline Tensor in_degree(Tensor const& target, std::int64_t rows, at::TensorOptions const& like) {
  return at::zeros({rows}, like).index_add_(0, target, at::ones({target.size(0)}, like));
}

}  // namespace dew
