// SPDX-License-Identifier: BSL-1.0
// MlpEdgeFilter: a small network that scores the many edges of a learned graph, each by itself.
#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/ops/gathered_mlp.hpp"

namespace dew {

/// w = 0.001 + 0.998·σ(Linear(ReLU(z))), z = Linear([x_s, x_t, e]) and D − 1 times z ← √(1 − b)·z + √b·Linear(ReLU(z)). No bias. Weights start
/// normal with variance 1/in (first) or 2/h (others). From arXiv:2312.03823.
///
/// Reads hit features [N, f], edges [2, E], edge features [E, g]; writes scores [E]. Time O(E·depth·h²), memory in training O(E·depth·h).
struct MlpEdgeFilter {
  struct Options {
    std::int64_t hidden = 64;
    int depth = 3;
    double beta = 0.4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(hidden, "", "width of the hidden layers"), DEW_OPTION(depth, "", "layers before the last one"),
                              DEW_OPTION(beta, "", "share b of what a layer adds; the rest is residual"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "mlp_edge_filter";
  using Reads = Keys<HitFeatures, EdgeIndex, EdgeFeatures>;
  using Writes = Keys<EdgeScore>;

  struct Module : torch::nn::Module {
    torch::nn::Linear encoder{nullptr}, decoder{nullptr};
    std::vector<torch::nn::Linear> layers;
  };

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    check(o.depth > 0 && o.beta >= 0 && o.beta <= 1, ErrorKind::usage, "{}: expected a depth above 0 and beta in [0, 1], got {} and {}",
          name, o.depth, o.beta);
    auto net = std::make_shared<Module>();
    auto const linear = [](std::int64_t in, std::int64_t out, double variance) { return detail::normal_linear(in, out, variance, false); };
    auto const in = 2 * widths[key::hit_features] + widths[key::edge_features];
    net->encoder = net->register_module("encoder", linear(in, o.hidden, 1.0 / double(in)));
    auto layers = net->register_module("layers", std::make_shared<torch::nn::Module>());
    for (int i = 0; i + 1 < o.depth; ++i)
      net->layers.push_back(layers->register_module(std::to_string(i), linear(o.hidden, o.hidden, 2.0 / double(o.hidden))));
    net->decoder = net->register_module("decoder", linear(o.hidden, 1, 2.0 / double(o.hidden)));
    return net;
  }

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    auto const& edge_index = event[key::edge_index];
    auto const& x = event[key::hit_features];
    auto z = gathered_mlp({.gathered = {{x, edge_index.select(0, 0)}, {x, edge_index.select(0, 1)}}, .given = {event[key::edge_features]}},
                          {.weights = {net.encoder->weight}});
    for (auto const& layer : net.layers)
      z = std::sqrt(1 - options.beta) * z + std::sqrt(options.beta) * at::linear(at::relu(z), layer->weight);
    return RecordOf<Writes>{key::edge_score = 0.001 + 0.998 * at::sigmoid(at::linear(at::relu(z), net.decoder->weight).squeeze(1))};
  }
  bool operator==(MlpEdgeFilter const&) const = default;
};
static_assert(Model<MlpEdgeFilter>);

}  // namespace dew
