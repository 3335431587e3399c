// SPDX-License-Identifier: BSL-1.0
// InteractionNetwork: one step of message passing on a graph.
#pragma once
#include <memory>
#include <utility>

#include "dew/model/mlp.hpp"
#include "dew/ops/gathered_mlp.hpp"

namespace dew {

/// What an `InteractionNetwork` looks like.
struct InteractionShape {
  std::int64_t node_in = 1, edge_in = 1, node_out = 1, edge_out = 1;
  std::int64_t hidden = 0;  ///< of both MLPs; 0: each MLP's own max(in, out)
  Products products = Products::float32;
};

/// e' = MLP₃([x_t, x_s, e]); x' = MLP₃([x_t, Σ_{edges into t} e']). x [N, n], edge_index [2, E], e [E, m]. From arXiv:2103.16701.
/// Both go through `gathered_mlp`: time O(E·h²), memory O(E·m).
class InteractionNetwork : public torch::nn::Module {
 public:
  explicit InteractionNetwork(InteractionShape const& s)
      : relational_model_(register_module(
            "relational_model", std::make_shared<Mlp>(MlpShape{
                                    .in = 2 * s.node_in + s.edge_in, .out = s.edge_out, .hidden = s.hidden, .products = s.products}))),
        object_model_(register_module(
            "object_model",
            std::make_shared<Mlp>(MlpShape{.in = s.node_in + s.edge_out, .out = s.node_out, .hidden = s.hidden, .products = s.products}))) {
  }

  /// (x', e')
  std::pair<Tensor, Tensor> forward(Tensor const& x, Tensor const& edge_index, Tensor const& e) const {
    auto made = message(x, edge_index, {.given = {e}});
    return {update(x, made.sums), std::move(made.values)};
  }
  /// MLP₃([x_t, x_s, e]) [E, edge_out] and its sum at each target [N, edge_out]; `edges`: e, and what it goes through on its way.
  Messages message(Tensor const& x, Tensor const& edge_index, MlpRows edges) const {
    edges.gathered = {{x, edge_index.select(0, 1)}, {x, edge_index.select(0, 0)}};
    return gathered_mlp_and_sum(edges, relational_model_->parameters_by_layer(), edge_index.select(0, 1), x.size(0));
  }
  /// MLP₃([x, sums]) [N, node_out], for what came together at each node
  Tensor update(Tensor const& x, Tensor const& sums) const {
    return gathered_mlp({.given = {x, sums}}, object_model_->parameters_by_layer());
  }

 private:
  std::shared_ptr<Mlp> relational_model_, object_model_;
};

}  // namespace dew
