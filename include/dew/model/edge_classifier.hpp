// SPDX-License-Identifier: BSL-1.0
// EdgeClassifier: a graph network that scores how likely an edge joins two hits of one particle.
#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/encoder.hpp"
#include "dew/model/stack.hpp"

namespace dew {

/// Which edge embeddings an edge classifier's head reads.
enum class HeadEdges { last, all };
constexpr auto names_of(HeadEdges) { return std::array{"last", "all"}; }

/// w = 0.001 + 0.998·σ(MLP₃([x_s, x_t, edge embeddings])) for each edge s → t, after encoders and a stack of interaction networks. From
/// arXiv:2309.16754.
///
/// Reads hit features [N, f], edges [2, E] and edge features [E, g]; writes scores [E] and, for a later stage that asks for them, the last
/// embeddings of nodes [N, node_width] and edges [E, edge_width] (width 0 unless `embeddings`). Time O(layers·E·h²), memory in training
/// O(layers·E·edge_width).
///
/// The defaults train in minutes on two cores. The Python system's network:
/// `{.encoder = Encoder::reference, .stack = StackKind::skip1, .head = HeadEdges::all}` with its widths.
struct EdgeClassifier {
  struct Options {
    std::int64_t hidden = 32;
    int layers = 3;
    std::int64_t node_width = 0;
    std::int64_t edge_width = 0;
    StackKind stack = StackKind::prenorm;
    double alpha = 0.5;
    bool batch_norm = false;
    bool add_input = false;
    Encoder encoder = Encoder::mlp;
    HeadEdges head = HeadEdges::last;
    bool head_nodes = true;
    bool embeddings = false;
    Products products = Products::float32;

    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(hidden, "", "width of the hidden layers of all MLPs"), DEW_OPTION(layers, "", "interaction networks in the stack"),
          DEW_OPTION(node_width, "", "width of a node's embedding; 0: hidden"),
          DEW_OPTION(edge_width, "", "width of an edge's embedding; 0: hidden"), DEW_OPTION(stack, "", "how the layers are joined"),
          DEW_OPTION(alpha, "", "share of the residual in skip stacks; 0: no residual"),
          DEW_OPTION(batch_norm, "", "skip2: batch norm on the layers' inputs"),
          DEW_OPTION(add_input, "", "skip_top: the residual is the input"),
          DEW_OPTION(encoder, "", "networks that encode the inputs; reference: MLPs of 2 layers without bias, with a final ReLU"),
          DEW_OPTION(head, "", "edge embeddings that the head reads"),
          DEW_OPTION(head_nodes, "", "the head reads the embeddings of both ends"),
          DEW_OPTION(embeddings, "", "write the last node and edge embeddings; false: they have width 0"),
          DEW_OPTION(products, "", "precision of the operands of the MLPs' matrix products; sums are float32"));
    }
    bool operator==(Options const&) const = default;
    std::int64_t nodes() const { return node_width > 0 ? node_width : hidden; }
    std::int64_t edges() const { return edge_width > 0 ? edge_width : hidden; }
  };
  Options options;

  static constexpr std::string_view name = "edge_classifier";
  using Reads = Keys<HitFeatures, EdgeIndex, EdgeFeatures>;
  using Writes = Keys<EdgeScore, NodeEmbedding, EdgeEmbedding>;

  struct Module : torch::nn::Module {
    std::shared_ptr<Mlp> node_encoder, edge_encoder, head;
    std::shared_ptr<Stack> stack;
  };

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    auto net = std::make_shared<Module>();
    net->node_encoder =
        net->register_module("node_encoder", detail::mlp_encoder(o.encoder, widths[key::hit_features], o.hidden, o.nodes(), o.products));
    net->edge_encoder =
        net->register_module("edge_encoder", detail::mlp_encoder(o.encoder, widths[key::edge_features], o.hidden, o.edges(), o.products));
    net->stack = net->register_module("stack", std::make_shared<Stack>(StackShape{.kind = o.stack,
                                                                                  .node = o.nodes(),
                                                                                  .edge = o.edges(),
                                                                                  .hidden = o.hidden,
                                                                                  .layers = o.layers,
                                                                                  .alpha = o.alpha,
                                                                                  .batch_norm = o.batch_norm,
                                                                                  .add_input = o.add_input,
                                                                                  .products = o.products}));
    auto const collected = o.head == HeadEdges::last ? 1 : 1 + (o.stack == StackKind::skip2 ? o.layers / 2 : o.layers);
    net->head = net->register_module(
        "head",
        std::make_shared<Mlp>(MlpShape{
            .in = (o.head_nodes ? 2 * o.nodes() : 0) + collected * o.edges(), .out = 1, .hidden = o.hidden, .products = o.products}));
    return net;
  }

  RecordOf<Writes> operator()(InputOf<EdgeClassifier> const& event, Module& net, Context const&) const {
    auto const& edge_index = event[key::edge_index];
    auto out = net.stack->forward(net.node_encoder->forward(event[key::hit_features]), edge_index,
                                  net.edge_encoder->forward(event[key::edge_features]));
    if (options.head == HeadEdges::last) out.edges = {out.edges.back()};
    MlpRows rows{.given = out.edges, .late_gradients = out.edges.size() > 1};
    if (options.head_nodes) rows.gathered = {{out.nodes, edge_index.select(0, 0)}, {out.nodes, edge_index.select(0, 1)}};
    auto const logit = gathered_mlp(rows, net.head->parameters_by_layer());
    auto const score = 0.001 + 0.998 * at::sigmoid(logit.squeeze(1));
    auto const written = [&](Tensor const& embedding) {
      return options.embeddings ? embedding : embedding.detach().narrow(1, 0, 0).clone();
    };
    return RecordOf<Writes>{key::edge_score = score, key::node_embedding = written(out.nodes),
                            key::edge_embedding = written(out.edges.back())};
  }

  bool operator==(EdgeClassifier const&) const = default;
};
static_assert(Model<EdgeClassifier>);

}  // namespace dew
