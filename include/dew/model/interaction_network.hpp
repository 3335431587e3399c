// SPDX-License-Identifier: BSL-1.0
// InteractionNetwork: one step of message passing on a graph.
#pragma once
#include <memory>
#include <utility>

#include "dew/model/mlp.hpp"
#include "dew/ops/message_passing.hpp"

namespace dew {

/// What an `InteractionNetwork` looks like.
struct InteractionShape {
  std::int64_t node_in = 1, edge_in = 1, node_out = 1, edge_out = 1;
  std::int64_t hidden = 0;  ///< of both MLPs; 0: each MLP's own max(in, out)
};

/// e' = MLP₃([x_t, x_s, e]); x' = MLP₃([x_t, Σ_{edges into t} e']). x [N, n], edge_index [2, E], e [E, m]. From arXiv:2103.16701.
/// The first layer on the edges is split by operand (`edge_linear`): time O(E·h²), memory O(E·h).
class InteractionNetwork : public torch::nn::Module {
 public:
  explicit InteractionNetwork(InteractionShape const& s)
      : relational_model_(register_module(
            "relational_model", std::make_shared<Mlp>(MlpShape{.in = 2 * s.node_in + s.edge_in, .out = s.edge_out, .hidden = s.hidden}))),
        object_model_(register_module(
            "object_model", std::make_shared<Mlp>(MlpShape{.in = s.node_in + s.edge_out, .out = s.node_out, .hidden = s.hidden}))) {}

  /// (x', e')
  std::pair<Tensor, Tensor> forward(Tensor const& x, Tensor const& edge_index, Tensor const& e) const {
    auto messages = message(x, edge_index, e);
    auto nodes = update(x, sum_at(messages, edge_index.select(0, 1), x.size(0)));
    return {std::move(nodes), std::move(messages)};
  }
  /// MLP₃([x_t, x_s, e]) [E, edge_out]
  Tensor message(Tensor const& x, Tensor const& edge_index, Tensor const& e) const {
    return relational_model_->from_first(edge_linear(x, edge_index.select(0, 1), edge_index.select(0, 0), {e},
                                                     relational_model_->first_weight(), relational_model_->first_bias()));
  }
  /// MLP₃([x, sums]) [N, node_out], for what came together at each node
  Tensor update(Tensor const& x, Tensor const& sums) const { return object_model_->forward(at::cat({x, sums}, 1)); }

 private:
  std::shared_ptr<Mlp> relational_model_, object_model_;
};

}  // namespace dew
