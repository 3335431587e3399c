// SPDX-License-Identifier: BSL-1.0
// DeepSetEdgeFilter: a small network that scores the many edges of a learned graph by their hits alone.
#pragma once
#include <memory>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/mlp.hpp"

namespace dew {

/// w = 1e-8 + (1 − 2e-8)·σ(z), z = MLP([|a_s − a_t|, a_s + a_t]) with a = MLP(x) of each hit, x on rows of unit length. No bias. The same for an
/// edge and its reverse. From arXiv:2312.03823.
///
/// Reads hit features [N, f] and edges [2, E]; writes scores [E]; a `ScoreCut` behind it drops edges. Time O(N·h² + E·h²), memory in training
/// O(E·h).
struct DeepSetEdgeFilter {
  struct Options {
    std::int64_t hidden = 64;
    int layers = 3;
    Products products = Products::float32;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(hidden, "", "width of a hit's code; the edges' network is twice as wide"),
                              DEW_OPTION(layers, "", "linear layers of each of the two networks"),
                              DEW_OPTION(products, "", "precision of the operands of the MLPs' matrix products; sums are float32"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "deep_set_edge_filter";
  using Reads = Keys<HitFeatures, EdgeIndex>;
  using Writes = Keys<EdgeScore>;

  struct Module : torch::nn::Module { std::shared_ptr<Mlp> hits, edges; };

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const h = options.hidden;
    auto net = std::make_shared<Module>();
    net->hits = net->register_module("hits", std::make_shared<Mlp>(MlpShape{.in = widths[key::hit_features],
                                                                            .out = h,
                                                                            .hidden = h,
                                                                            .layers = options.layers,
                                                                            .bias = false,
                                                                            .final_relu = true,
                                                                            .products = options.products}));
    net->edges = net->register_module(
        "edges", std::make_shared<Mlp>(MlpShape{
                     .in = 2 * h, .out = 1, .hidden = 2 * h, .layers = options.layers, .bias = false, .products = options.products}));
    return net;
  }

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    auto const& x = event[key::hit_features];
    auto const code = net.hits->forward(x / at::linalg_vector_norm(x, 2, {-1}, true).clamp_min(1e-12));
    auto const& edge_index = event[key::edge_index];
    auto const source = code.index_select(0, edge_index.select(0, 0)), target = code.index_select(0, edge_index.select(0, 1));
    auto const z = net.edges->forward(at::cat({(source - target).abs(), source + target}, 1)).squeeze(1);
    return RecordOf<Writes>{key::edge_score = 1e-8 + (1 - 2e-8) * at::sigmoid(z)};
  }
  bool operator==(DeepSetEdgeFilter const&) const = default;
};
static_assert(Model<DeepSetEdgeFilter>);

}  // namespace dew
