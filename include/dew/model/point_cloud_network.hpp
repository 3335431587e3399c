// SPDX-License-Identifier: BSL-1.0
// PointCloudNetwork: object condensation without a graph builder; each block makes its own graph of near neighbours.
#pragma once
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/interaction_network.hpp"
#include "dew/model/mlp.hpp"
#include "dew/ops/message_passing.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

/// n + 1 blocks that join each hit with its k nearest in the block's input, itself included, k = n, n, n − 1, …, 1. Block on rows x:
/// h = ReLU(Σ_s MLP₂([x_t, x_s − x_t])), e = ReLU(MLP₂([h_s, h_t])), then L interaction networks h ← α·h + (1 − α)·h', e ← e' without ReLU
/// between. Behind the last block H = MLP₃(h), β = σ(MLP₃(h)) + 1e-11, at most 1 − 1e-6 (artanh β stays finite). From arXiv:2312.03823; the edges are those of arXiv:1801.07829.
///
/// Reads hit features [N, f]; writes H [N, latent], β [N]. Time O(N·k·h²) and the neighbour searches, memory in training O(N·k·h). The search has
/// no gradient. Not for hits whose features do not tell neighbours on a track: the first graph is made of them.
struct PointCloudNetwork {
  struct Options {
    std::int64_t latent = 12;
    int blocks = 4;
    int layers = 3;
    std::int64_t node_width = 32;
    std::int64_t edge_width = 32;
    std::int64_t block_hidden = 100;
    std::int64_t head_hidden = 64;
    double alpha = 0.5;
    Products products = Products::float32;

    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(latent, "", "dimension of the latent space"),
          DEW_OPTION(blocks, "", "n: there are n + 1 blocks, and the first joins n neighbours, the hit itself among them"),
          DEW_OPTION(layers, "", "interaction networks in a block"), DEW_OPTION(node_width, "", "width of a node behind a block"),
          DEW_OPTION(edge_width, "", "width of an edge in a block"),
          DEW_OPTION(block_hidden, "", "width of the hidden layers of the blocks' MLPs"),
          DEW_OPTION(head_hidden, "", "width of the hidden layers of the heads"), DEW_OPTION(alpha, "", "share of the residual"),
          DEW_OPTION(products, "", "precision of the operands of the MLPs' matrix products; sums are float32"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "point_cloud_network";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Latent, Beta>;

  /// One block; see above.
  struct Block : torch::nn::Module {
    std::int64_t neighbours;
    double alpha;
    std::shared_ptr<Mlp> node_encoder, edge_encoder;
    std::vector<std::shared_ptr<InteractionNetwork>> networks;

    Block(Options const& o, std::int64_t in, std::int64_t k) : neighbours(k), alpha(o.alpha) {
      node_encoder = register_module(
          "node_encoder", std::make_shared<Mlp>(
                              MlpShape{.in = 2 * in, .out = o.node_width, .hidden = o.block_hidden, .layers = 2, .products = o.products}));
      edge_encoder = register_module("edge_encoder", std::make_shared<Mlp>(MlpShape{.in = 2 * o.node_width,
                                                                                    .out = o.edge_width,
                                                                                    .hidden = o.block_hidden,
                                                                                    .layers = 2,
                                                                                    .final_relu = true,
                                                                                    .products = o.products}));
      auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
      for (int i = 0; i < o.layers; ++i)
        networks.push_back(
            layers->register_module(std::to_string(i), std::make_shared<InteractionNetwork>(InteractionShape{.node_in = o.node_width,
                                                                                                             .edge_in = o.edge_width,
                                                                                                             .node_out = o.node_width,
                                                                                                             .edge_out = o.edge_width,
                                                                                                             .hidden = o.block_hidden,
                                                                                                             .products = o.products})));
    }

    Tensor forward(Tensor const& x) const {  // [N, in] → [N, node_width]
      auto const edge_index =
          nearest_neighbours(x.detach(), neighbours, std::numeric_limits<double>::infinity(), Self::included).edge_index();
      auto const source = edge_index.select(0, 0), target = edge_index.select(0, 1);
      auto const here = x.index_select(0, target);
      auto h = at::relu(sum_at(node_encoder->forward(at::cat({here, x.index_select(0, source) - here}, 1)), target, x.size(0)));
      auto e = gathered_mlp({.gathered = {{h, source}, {h, target}}}, edge_encoder->parameters_by_layer());
      for (auto const& network : networks) {
        auto const [h_new, e_new] = network->forward(h, edge_index, e);
        h = alpha * h + (1 - alpha) * h_new;
        e = e_new;
      }
      return h;
    }
  };

  struct Module : torch::nn::Module {
    std::vector<std::shared_ptr<Block>> blocks;
    std::shared_ptr<Mlp> beta_head, latent_head;
  };

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    check(o.latent > 0 && o.blocks > 0 && o.layers >= 0, ErrorKind::usage,
          "{}: expected a latent dimension and a number of blocks above 0, got {} and {}", name, o.latent, o.blocks);
    auto net = std::make_shared<Module>();
    auto blocks = net->register_module("blocks", std::make_shared<torch::nn::Module>());
    for (int i = 0; i <= o.blocks; ++i)
      net->blocks.push_back(blocks->register_module(
          std::to_string(i),
          std::make_shared<Block>(o, i == 0 ? widths[key::hit_features] : o.node_width, i == 0 ? o.blocks : o.blocks - i + 1)));
    net->beta_head = net->register_module(
        "beta_head", std::make_shared<Mlp>(MlpShape{.in = o.node_width, .out = 1, .hidden = o.head_hidden, .products = o.products}));
    net->latent_head = net->register_module(
        "latent_head",
        std::make_shared<Mlp>(MlpShape{.in = o.node_width, .out = o.latent, .hidden = o.head_hidden, .products = o.products}));
    return net;
  }

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    auto x = event[key::hit_features];
    for (auto const& block : net.blocks) x = block->forward(x);
    return RecordOf<Writes>{key::latent = net.latent_head->forward(x),
                            key::beta = (at::sigmoid(net.beta_head->forward(x).squeeze(1)) + 1e-11).clamp_max(1 - 1e-6)};
  }

  bool operator==(PointCloudNetwork const&) const = default;
};
static_assert(Model<PointCloudNetwork>);

}  // namespace dew
