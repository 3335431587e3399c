// SPDX-License-Identifier: BSL-1.0
// Condenser: a graph network that puts the hits of one particle together in a latent space (object condensation).
#pragma once
#include <array>
#include <cmath>
#include <memory>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/encoder.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/model/stack.hpp"
#include "dew/model/two_detector_network.hpp"

namespace dew {

/// Whether a model uses an input that not every pipeline has.
enum class Use {
  never,
  if_written,  ///< when an earlier stage writes it
  always,      ///< and it is an error when none does
};
constexpr auto names_of(Use) { return std::array{"never", "if_written", "always"}; }

/// β = 1e-6 + (1 − 2e-6)·σ(MLP(x)) and H = s·MLP(x) for each hit, with x from encoders and a stack of interaction networks and one learned
/// scale s. From arXiv:2002.03605 (object condensation) and arXiv:2312.03823 (this network).
///
/// Reads hit features [N, f], edges [2, E], edge features [E, g]; where an edge classifier stands in front also its score w [E] and its
/// embeddings, as the options say: edges with w ≤ `score_min` are left out here (the record keeps all of them and their scores), w and
/// logit(w)/3 are inputs of the others, and gradients reach the classifier unless it is frozen. Writes H [N, latent] and β [N]. Time
/// O(layers·E·h²), memory in training O(layers·E·h).
///
/// The defaults train in minutes on two cores. The Python system's network: `{.encoder = Encoder::reference, .stack = StackKind::skip1,
/// .score_logit = false}` with its widths. Not for graphs whose tracks fall apart: hits without an edge are placed by their own features
/// alone.
struct Condenser {
  struct Options {
    std::int64_t latent = 12;
    std::int64_t hidden = 64;
    int layers = 5;
    std::int64_t node_width = 0;
    std::int64_t edge_width = 0;
    StackKind stack = StackKind::prenorm;
    double alpha = 0.5;
    bool batch_norm = false;
    bool add_input = false;
    Encoder encoder = Encoder::mlp;
    int beta_layers = 3;
    int latent_layers = 3;
    double score_min = 0.4;
    Use score = Use::if_written;
    bool score_logit = true;
    Use node_embedding = Use::if_written;
    Use edge_embedding = Use::if_written;
    std::int64_t coordinates = 0;
    double coordinate_share = 0;
    std::int64_t pixel_layers = 0;
    double initial_scale = 1;
    int smoothing = 0;
    Products products = Products::float32;

    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(latent, "", "dimension of the latent space"), DEW_OPTION(hidden, "", "width of the hidden layers of all MLPs"),
          DEW_OPTION(layers, "", "interaction networks in the stack"),
          DEW_OPTION(node_width, "", "width of a node inside the stack; 0: hidden"),
          DEW_OPTION(edge_width, "", "width of an edge inside the stack; 0: hidden"), DEW_OPTION(stack, "", "how the layers are joined"),
          DEW_OPTION(alpha, "", "share of the residual in skip stacks; 0: no residual"),
          DEW_OPTION(batch_norm, "", "skip2: batch norm on the layers' inputs"),
          DEW_OPTION(add_input, "", "skip_top: the residual is the input"),
          DEW_OPTION(encoder, "",
                     "networks that encode the inputs; reference: a row-normalised linear pair for nodes, an MLP of 2 layers for edges, "
                     "without bias"),
          DEW_OPTION(beta_layers, "", "linear layers of the MLP that gives beta"),
          DEW_OPTION(latent_layers, "", "linear layers of the MLP that gives the coordinates"),
          DEW_OPTION(score_min, "", "edges with an edge classifier's score of at most this are left out; 0 keeps all"),
          DEW_OPTION(score, "", "the edge classifier's score is an input of the edges"),
          DEW_OPTION(score_logit, "", "with the score, logit(score) / 3 is an input too"),
          DEW_OPTION(node_embedding, "", "the edge classifier's node embedding is an input of the nodes"),
          DEW_OPTION(edge_embedding, "", "the edge classifier's edge embedding is an input of the edges"),
          DEW_OPTION(coordinates, "", "number of first hit features that are added to the first latent coordinates; 0: none"),
          DEW_OPTION(coordinate_share, "", "share a of them: sqrt(a) * features + sqrt(1 - a) * MLP; 0: none"),
          DEW_OPTION(pixel_layers, "",
                     "hits on the first so many layers have an encoder of their own, all others another one, both row-normalised "
                     "residual networks; 0: one encoder"),
          DEW_OPTION(initial_scale, "", "learned factor of all coordinates before training"),
          DEW_OPTION(smoothing, "", "times that coordinates are averaged along the edges, each with a learned weight; 0: never"),
          DEW_OPTION(products, "", "precision of the operands of the MLPs' matrix products; sums are float32"));
    }
    bool operator==(Options const&) const = default;
    std::int64_t nodes() const { return node_width > 0 ? node_width : hidden; }
    std::int64_t edges() const { return edge_width > 0 ? edge_width : hidden; }
  };
  Options options;

  static constexpr std::string_view name = "condenser";
  using Reads = Keys<HitFeatures, EdgeIndex, EdgeFeatures>;
  using MayRead = Keys<EdgeScore, NodeEmbedding, EdgeEmbedding, Layer>;
  using Writes = Keys<Latent, Beta>;

  struct Module : torch::nn::Module {
    std::shared_ptr<Mlp> node_mlp;  ///< one of the three
    std::shared_ptr<ResidualNetwork> node_residual;
    std::shared_ptr<TwoDetectorNetwork> node_two_detectors;
    std::shared_ptr<Mlp> edge_encoder, beta_head, latent_head;
    std::shared_ptr<Mlp> gate_head;  ///< where `smoothing` is on
    std::shared_ptr<Stack> stack;
    Tensor latent_scale;  ///< [1]
    bool reads_score = false, reads_node_embedding = false, reads_edge_embedding = false;
  };

  /// Throws when an option asks for a key that no earlier stage writes. Called before anything runs.
  void require(Widths const& available) const {
    auto const need = [&](Use use, std::string_view option, auto const& key) {
      check(use != Use::always || available.has(key), ErrorKind::usage,
            "{}.{} = \"always\" needs the key '{}', but no earlier stage writes it", name, option, key.name);
    };
    need(options.score, "score", key::edge_score);
    need(options.node_embedding, "node_embedding", key::node_embedding);
    need(options.edge_embedding, "edge_embedding", key::edge_embedding);
    check(options.pixel_layers <= 0 || available.has(key::layer), ErrorKind::usage,
          "{}.pixel_layers = {} needs the key '{}', but no earlier stage writes it", name, options.pixel_layers, key::layer.name);
  }

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    require(widths);
    check(o.latent > 0, ErrorKind::usage, "{}.latent: expected a dimension above 0, got {}", name, o.latent);
    check(o.coordinate_share >= 0 && o.coordinate_share <= 1, ErrorKind::usage, "{}.coordinate_share: expected a number in [0, 1], got {}",
          name, o.coordinate_share);
    check(o.coordinates >= 0 && o.coordinates <= std::min(o.latent, widths[key::hit_features]), ErrorKind::usage,
          "{}.coordinates: expected at most the latent dimension {} and the number of hit features {}, got {}", name, o.latent,
          widths[key::hit_features], o.coordinates);
    auto const width = [&](Use use, std::string_view option, auto const& key) {
      auto const n = use != Use::never && widths.has(key) ? widths[key] : 0;
      check(use != Use::always || n > 0, ErrorKind::usage,
            "{}.{} = \"always\" needs the key '{}', but the earlier stage's options leave it empty", name, option, key.name);
      return n;
    };
    auto const node_embedding = width(o.node_embedding, "node_embedding", key::node_embedding);
    auto const edge_embedding = width(o.edge_embedding, "edge_embedding", key::edge_embedding);

    auto net = std::make_shared<Module>();
    net->reads_score = width(o.score, "score", key::edge_score) > 0;
    net->reads_node_embedding = node_embedding > 0;
    net->reads_edge_embedding = edge_embedding > 0;
    auto const node_in = widths[key::hit_features] + node_embedding;
    auto const edge_in = widths[key::edge_features] + edge_embedding + (net->reads_score ? (o.score_logit ? 2 : 1) : 0);
    ResidualShape const residual{.in = node_in, .hidden = o.hidden, .out = o.nodes(), .depth = 1, .alpha = 0, .bias = false};
    if (o.pixel_layers > 0) {
      auto deeper = residual;
      deeper.depth = 2;
      net->node_two_detectors = net->register_module("node_encoder", std::make_shared<TwoDetectorNetwork>(deeper, o.pixel_layers));
    } else if (o.encoder == Encoder::mlp)
      net->node_mlp = net->register_module("node_encoder", detail::mlp_encoder(o.encoder, node_in, o.hidden, o.nodes(), o.products));
    else net->node_residual = net->register_module("node_encoder", std::make_shared<ResidualNetwork>(residual));
    net->edge_encoder = net->register_module("edge_encoder", detail::mlp_encoder(o.encoder, edge_in, o.hidden, o.edges(), o.products));
    net->stack = net->register_module("stack", std::make_shared<Stack>(StackShape{.kind = o.stack,
                                                                                  .node = o.nodes(),
                                                                                  .edge = o.edges(),
                                                                                  .hidden = o.hidden,
                                                                                  .layers = o.layers,
                                                                                  .alpha = o.alpha,
                                                                                  .batch_norm = o.batch_norm,
                                                                                  .add_input = o.add_input,
                                                                                  .products = o.products}));
    net->beta_head = net->register_module(
        "beta_head",
        std::make_shared<Mlp>(MlpShape{.in = o.nodes(), .out = 1, .hidden = o.hidden, .layers = o.beta_layers, .products = o.products}));
    net->latent_head = net->register_module(
        "latent_head", std::make_shared<Mlp>(MlpShape{
                           .in = o.nodes(), .out = o.latent, .hidden = o.hidden, .layers = o.latent_layers, .products = o.products}));
    if (o.smoothing > 0)
      net->gate_head = net->register_module(
          "gate_head", std::make_shared<Mlp>(MlpShape{.in = o.edges(), .out = 1, .hidden = o.hidden, .layers = 2, .products = o.products}));
    net->latent_scale = net->register_parameter("latent_scale", at::full({1}, o.initial_scale, at::kFloat));
    return net;
  }

  RecordOf<Writes> operator()(InputOf<Condenser> const& event, Module& net, Context const&) const {
    auto const& features = event[key::hit_features];
    auto edge_index = event[key::edge_index];
    std::vector<Tensor> node_inputs{features}, edge_inputs{event[key::edge_features]};
    if (net.reads_node_embedding) node_inputs.push_back(demand(event.find(key::node_embedding), key::node_embedding.name));
    if (net.reads_edge_embedding) edge_inputs.push_back(demand(event.find(key::edge_embedding), key::edge_embedding.name));
    auto const* score = event.find(key::edge_score);
    if (net.reads_score) edge_inputs.push_back(demand(score, key::edge_score.name).unsqueeze(1));
    if (score != nullptr && options.score_min > 0) {
      auto const kept = at::nonzero(*score > options.score_min).squeeze(1);
      edge_index = edge_index.index_select(1, kept);
      for (auto& input : edge_inputs) input = input.index_select(0, kept);
    }
    Tensor logit;  // [E, 1] of the score
    if (net.reads_score) {
      auto const w = edge_inputs.back().clamp(1e-6, 1 - 1e-6);
      logit = at::log(w / (1 - w));
      if (options.score_logit) edge_inputs.push_back(logit / 3);
    }
    auto const x = at::cat(node_inputs, 1), e = at::cat(edge_inputs, 1);
    auto const nodes = net.node_mlp        ? net.node_mlp->forward(x)
                       : net.node_residual ? at::relu(net.node_residual->forward(x))
                                           : at::relu(net.node_two_detectors->forward(x, demand(event.find(key::layer), key::layer.name)));
    auto const stack = net.stack->forward(nodes, edge_index, net.edge_encoder->forward(e));
    auto const& out = stack.nodes;

    auto const beta = 1e-6 + (1 - 2e-6) * at::sigmoid(net.beta_head->forward(out).squeeze(1));
    auto latent = net.latent_head->forward(out);
    if (options.coordinates > 0 && options.coordinate_share > 0) {
      latent = std::sqrt(1 - options.coordinate_share) * latent;
      auto const n = options.coordinates;
      latent = at::cat({latent.narrow(1, 0, n) + std::sqrt(options.coordinate_share) * features.narrow(1, 0, n),
                        latent.narrow(1, n, options.latent - n)},
                       1);
    }
    if (net.gate_head) {
      auto const gate = net.gate_head->forward(stack.edges.back());
      latent = smoothed(latent, edge_index, at::sigmoid(logit.defined() ? gate + logit : gate));
    }
    return RecordOf<Writes>{key::latent = net.latent_scale * latent, key::beta = beta};
  }

  bool operator==(Condenser const&) const = default;

 private:
  /// `smoothing` times h ← (h + Σ g h_s) / (1 + Σ g) over the edges into each hit. h [N, d], g [E, 1].
  Tensor smoothed(Tensor h, Tensor const& edge_index, Tensor const& gate) const {
    auto const source = edge_index.select(0, 0), target = edge_index.select(0, 1);
    auto const weight = 1 + sum_at(gate, target, h.size(0));
    for (int i = 0; i < options.smoothing; ++i) h = (h + sum_at(gate * h.index_select(0, source), target, h.size(0))) / weight;
    return h;
  }
  static Tensor const& demand(Tensor const* tensor, std::string_view key) {
    check(tensor != nullptr, "{} was made with the key '{}' as an input, but this event does not hold it", name, key);
    return *tensor;
  }
};
static_assert(Model<Condenser>);

}  // namespace dew
