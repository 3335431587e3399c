// SPDX-License-Identifier: BSL-1.0
// EmbeddingRefinement: moves embedded hits by what their neighbours on a graph say.
#pragma once
#include <memory>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/mlp.hpp"
#include "dew/model/stack.hpp"

namespace dew {

/// H = s·(a·x[:, :d] + (1 − a)·δ), δ = MLP₂(x″), x″ behind a skip1 stack on x' = MLP₂(x), e' = MLP₂(e), all MLPs without bias, s one learned
/// scale. From arXiv:2312.03823.
///
/// Reads hit features [N, f], f ≥ d (the embedding first, where a learned graph puts it there), edges [2, E], edge features [E, g]; writes the
/// embedding [N, d]. Time O(layers·E·h²), memory in training O(layers·E·h).
struct EmbeddingRefinement {
  struct Options {
    std::int64_t dimension = 8;
    std::int64_t hidden = 64;
    int layers = 3;
    double alpha = 0.5;
    double input_share = 0.5;
    Products products = Products::float32;

    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(dimension, "", "dimension of the embedding; so many first hit features are what is moved"),
                              DEW_OPTION(hidden, "", "width of nodes, edges and hidden layers"),
                              DEW_OPTION(layers, "", "interaction networks in the stack"),
                              DEW_OPTION(alpha, "", "share of the residual in the stack; 0: no residual"),
                              DEW_OPTION(input_share, "", "share a of the input: a * features + (1 - a) * network"),
                              DEW_OPTION(products, "", "precision of the operands of the MLPs' matrix products; sums are float32"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "embedding_refinement";
  using Reads = Keys<HitFeatures, EdgeIndex, EdgeFeatures>;
  using Writes = Keys<HitEmbedding>;

  struct Module : torch::nn::Module {
    std::shared_ptr<Mlp> node_encoder, edge_encoder, decoder;
    std::shared_ptr<Stack> stack;
    Tensor scale;  ///< [1]
  };

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    check(o.dimension > 0 && o.dimension <= widths[key::hit_features], ErrorKind::usage,
          "{}.dimension: expected 1 to the number of hit features, {}, got {}", name, widths[key::hit_features], o.dimension);
    check(o.input_share >= 0 && o.input_share <= 1, ErrorKind::usage, "{}.input_share: expected a number in [0, 1], got {}", name,
          o.input_share);
    auto net = std::make_shared<Module>();
    auto const mlp = [&](char const* of, std::int64_t in, std::int64_t out) {
      return net->register_module(of, std::make_shared<Mlp>(MlpShape{
                                          .in = in, .out = out, .hidden = o.hidden, .layers = 2, .bias = false, .products = o.products}));
    };
    net->node_encoder = mlp("node_encoder", widths[key::hit_features], o.hidden);
    net->edge_encoder = mlp("edge_encoder", widths[key::edge_features], o.hidden);
    net->stack = net->register_module("stack", std::make_shared<Stack>(StackShape{.kind = StackKind::skip1,
                                                                                  .node = o.hidden,
                                                                                  .edge = o.hidden,
                                                                                  .hidden = o.hidden,
                                                                                  .layers = o.layers,
                                                                                  .alpha = o.alpha,
                                                                                  .products = o.products}));
    net->decoder = mlp("decoder", o.hidden, o.dimension);
    net->scale = net->register_parameter("scale", at::ones({1}));
    return net;
  }

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    auto const& x = event[key::hit_features];
    auto const nodes =
        net.stack->forward(net.node_encoder->forward(x), event[key::edge_index], net.edge_encoder->forward(event[key::edge_features]))
            .nodes;
    auto const a = options.input_share;
    return RecordOf<Writes>{key::hit_embedding =
                                net.scale * (a * x.narrow(1, 0, options.dimension) + (1 - a) * net.decoder->forward(nodes))};
  }

  bool operator==(EmbeddingRefinement const&) const = default;
};
static_assert(Model<EmbeddingRefinement>);

}  // namespace dew
