// SPDX-License-Identifier: BSL-1.0
// Stack: several interaction networks one after the other, with residual connections of a chosen kind.
#pragma once
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/model/interaction_network.hpp"
#include "dew/ops/message_passing.hpp"

namespace dew {

/// How the layers of a `Stack` are joined; the formulas stand at `Stack`.
enum class StackKind { prenorm, skip1, skip2, skip_top };
constexpr auto names_of(StackKind) { return std::array{"prenorm", "skip1", "skip2", "skip_top"}; }

/// What a `Stack` looks like. Node and edge widths are the same before and after each layer.
struct StackShape {
  StackKind kind = StackKind::prenorm;
  std::int64_t node = 1, edge = 1;
  std::int64_t hidden = 0;  ///< of the layers' MLPs; 0: each MLP's own max(in, out)
  int layers = 1;           ///< even for skip2
  double alpha = 0.5;       ///< share of the residual; 0 leaves it out (not used by prenorm)
  bool batch_norm = false;  ///< skip2: batch norm on each layer's inputs
  bool add_input = false;   ///< skip_top: the residual is the input, not the first layer's output
  Products products = Products::float32;
};

/// n layers on a graph: x [N, n], edge_index [2, E], e [E, m]. (x', e') below is what the layer's interaction network gives.
///
/// - *prenorm*: with layer norms x̂, ê and the in-degree of a node: e ← e + MLP₃([x̂_t, x̂_s, ê]), x ← x + MLP₃([x̂, Σ e / √degree]).
///   Trains fast and deep.
/// - *skip1*: from the second layer on the inputs go through a ReLU; x ← √α·x + √(1 − α)·x', with x before the ReLU; e ← e'.
/// - *skip_top*: the same, but the first layer has no residual and later ones add its raw output.
/// - *skip2*: blocks of two layers; each layer has a norm for x and one for e, applied to its inputs before the ReLU (layer 0: no ReLU);
///   the residual is the block's raw x, added after its second layer, e ← the second layer's output.
///
/// The last three are those of arXiv:2312.03823. Time O(layers · E · h²), memory O(layers · E · m) for the backward pass.
class Stack : public torch::nn::Module {
 public:
  struct Output {
    Tensor nodes;               ///< [N, n] after the last layer
    std::vector<Tensor> edges;  ///< [E, m] each: the input, then what each layer (skip2: each block) put out
  };

  explicit Stack(StackShape const& shape) : shape_(shape) {
    check(shape.layers > 0, ErrorKind::usage, "a stack needs at least one layer, got {}", shape.layers);
    check(shape.kind != StackKind::skip2 || shape.layers % 2 == 0, ErrorKind::usage, "a skip2 stack needs an even number of layers, got {}",
          shape.layers);
    auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
    InteractionShape const layer{.node_in = shape.node,
                                 .edge_in = shape.edge,
                                 .node_out = shape.node,
                                 .edge_out = shape.edge,
                                 .hidden = shape.hidden,
                                 .products = shape.products};
    for (int i = 0; i < shape.layers; ++i)
      layers_.push_back(layers->register_module(std::to_string(i), std::make_shared<InteractionNetwork>(layer)));
    if (shape.kind == StackKind::prenorm) {
      make_norms(layer_norms_, [](std::int64_t width) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})); });
    } else if (shape.kind == StackKind::skip2 && shape.batch_norm) {
      make_norms(batch_norms_, [](std::int64_t width) { return torch::nn::BatchNorm1d(width); });
    }
  }

  Output forward(Tensor const& x, Tensor const& edge_index, Tensor const& e) const {
    switch (shape_.kind) {
      case StackKind::prenorm: return prenorm(x, edge_index, e);
      case StackKind::skip2: return skip2(x, edge_index, e);
      default: return skip(x, edge_index, e);
    }
  }

 private:
  template <class Norm>
  struct Norms {
    std::vector<Norm> nodes, edges;  // one a layer
  };

  template <class Norm, class Make>
  void make_norms(Norms<Norm>& norms, Make make) {
    auto nodes = register_module("node_norms", std::make_shared<torch::nn::Module>());
    auto edges = register_module("edge_norms", std::make_shared<torch::nn::Module>());
    for (int i = 0; i < shape_.layers; ++i) {
      norms.nodes.push_back(nodes->register_module(std::to_string(i), make(shape_.node)));
      norms.edges.push_back(edges->register_module(std::to_string(i), make(shape_.edge)));
    }
  }

  static Tensor normalised(torch::nn::LayerNorm const& norm, Tensor const& x) {
    return at::layer_norm(x, {x.size(1)}, norm->weight, norm->bias);
  }
  static Tensor normalised(torch::nn::BatchNorm1d const& norm, Tensor const& x) {
    bool const from_batch = norm->is_training() && x.size(0) > 1;  // one row has no variance
    return at::batch_norm(x, norm->weight, norm->bias, norm->running_mean, norm->running_var, from_batch,
                          norm->options.momentum().value_or(0.1), norm->options.eps(), false);
  }
  Tensor joined(Tensor const& residual, Tensor const& x) const {
    return shape_.alpha == 0 ? x : std::sqrt(shape_.alpha) * residual + std::sqrt(1 - shape_.alpha) * x;
  }

  /// (x', e') of layer i; from the second layer on its inputs go through a ReLU.
  std::pair<Tensor, Tensor> step(std::size_t i, Tensor const& x, Tensor const& edge_index, Tensor const& e) const {
    if (i == 0) return layers_[i]->forward(x, edge_index, e);
    auto const nodes = at::relu(x);
    auto made = layers_[i]->message(nodes, edge_index, {.given = {e}, .transform = PartTransform::relu});
    return {layers_[i]->update(nodes, made.sums), std::move(made.values)};
  }

  Output prenorm(Tensor x, Tensor const& edge_index, Tensor e) const {
    auto const target = edge_index.select(0, 1);
    auto const scale = in_degree(target, x.size(0), x.options().requires_grad(false)).clamp_min_(1).rsqrt_().unsqueeze(1);  // [N, 1]
    Output out{{}, {e}};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      auto const normal = normalised(layer_norms_.nodes[i], x);
      auto const& norm = layer_norms_.edges[i];
      auto made = layers_[i]->message(normal, edge_index,
                                      {.given = {e},
                                       .transform = PartTransform::layer_norm,
                                       .norm_weight = norm->weight,
                                       .norm_bias = norm->bias,
                                       .norm_eps = norm->options.eps(),
                                       .residual = true});
      e = std::move(made.values);
      x = layers_[i]->update(normal, made.sums * scale) + x;
      out.edges.push_back(e);
    }
    out.nodes = std::move(x);
    return out;
  }

  Output skip(Tensor x, Tensor const& edge_index, Tensor e) const {
    bool const top = shape_.kind == StackKind::skip_top;
    Tensor residual = top && shape_.add_input ? x : Tensor();
    Output out{{}, {e}};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      auto [x_new, e_new] = step(i, x, edge_index, e);
      if (!top) x = joined(x, x_new);
      else if (i == 0) x = x_new;
      else x = joined(residual, x_new);
      if (!residual.defined()) residual = x;
      e = std::move(e_new);
      out.edges.push_back(e);
    }
    out.nodes = std::move(x);
    return out;
  }

  Output skip2(Tensor x, Tensor const& edge_index, Tensor e) const {
    Output out{{}, {e}};
    Tensor residual;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      bool const first = i % 2 == 0;
      if (first) residual = x;
      if (shape_.batch_norm) x = normalised(batch_norms_.nodes[i], x), e = normalised(batch_norms_.edges[i], e);
      std::tie(x, e) = step(i, x, edge_index, e);
      if (first) continue;
      x = joined(residual, x);
      out.edges.push_back(e);
    }
    out.nodes = std::move(x);
    return out;
  }

  StackShape shape_;
  std::vector<std::shared_ptr<InteractionNetwork>> layers_;
  Norms<torch::nn::LayerNorm> layer_norms_;
  Norms<torch::nn::BatchNorm1d> batch_norms_;
};

}  // namespace dew
