// SPDX-License-Identifier: BSL-1.0
// EmbeddingNetwork: puts each hit, by its own features alone, where its neighbours on a track are near.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/model/two_detector_network.hpp"

namespace dew {

/// How an embedding network treats hits of two detectors.
enum class Detectors {
  one,           ///< all hits alike
  two_networks,  ///< a network each
  two_encoders,  ///< a network each into a common width, then one for both
};
constexpr auto names_of(Detectors) { return std::array{"one", "two_networks", "two_encoders"}; }

/// H = s·F(x) for each hit, F residual networks without bias on rows of unit length, s one learned scale. From arXiv:2312.03823.
///
/// Reads hit features [N, f] (and layers [N] for two detectors), writes the embedding [N, dimension], in which a learned graph joins near
/// neighbours. With `two_encoders`, H = s·F(ReLU(F_detector(x))); each network normalises its own input rows. Time O(N·depth·h²), memory in
/// training O(N·depth·h). Trained with `HingeAttraction` and `HingeRepulsion`. Knows no other hit: what it cannot see, a graph network must.
struct EmbeddingNetwork {
  struct Options {
    std::int64_t dimension = 8;
    std::int64_t hidden = 256;
    int depth = 5;
    double alpha = 0.6;
    Detectors detectors = Detectors::one;
    std::int64_t pixel_layers = 18;
    std::int64_t encoder_hidden = 0;
    int encoder_depth = 2;

    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(dimension, "", "dimension of the embedding"), DEW_OPTION(hidden, "", "width of the hidden layers"),
                              DEW_OPTION(depth, "", "layers before the last one"), DEW_OPTION(alpha, "", "share of the residual"),
                              DEW_OPTION(detectors, "", "networks for hits of two detectors"),
                              DEW_OPTION(pixel_layers, "", "with two detectors: hits on the first so many layers belong to the first"),
                              DEW_OPTION(encoder_hidden, "", "two_encoders: width of the encoders' hidden layers; 0: hidden"),
                              DEW_OPTION(encoder_depth, "", "two_encoders: layers of an encoder before its last one"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "embedding_network";
  using Reads = Keys<HitFeatures>;
  using MayRead = Keys<Layer>;
  using Writes = Keys<HitEmbedding>;

  struct Module : torch::nn::Module {
    std::shared_ptr<TwoDetectorNetwork> two_detectors;  ///< the whole network, or the encoders before `network`
    std::shared_ptr<ResidualNetwork> network;
    Tensor scale;  ///< [1]
  };

  /// Throws when two detectors are to be told apart and no layers are there. Called before anything runs.
  void require(Widths const& available) const {
    check(options.detectors == Detectors::one || available.has(key::layer), ErrorKind::usage,
          "{}.detectors = {} needs the key '{}', but no earlier stage writes it", name, to_text(options.detectors), key::layer.name);
  }

  std::shared_ptr<Module> make(Widths const& widths) const {
    auto const& o = options;
    require(widths);
    check(o.dimension > 0, ErrorKind::usage, "{}.dimension: expected a dimension above 0, got {}", name, o.dimension);
    auto net = std::make_shared<Module>();
    ResidualShape shape{
        .in = widths[key::hit_features], .hidden = o.hidden, .out = o.dimension, .depth = o.depth, .alpha = o.alpha, .bias = false};
    if (o.detectors == Detectors::two_networks)
      net->two_detectors = net->register_module("networks", std::make_shared<TwoDetectorNetwork>(shape, o.pixel_layers));
    if (o.detectors == Detectors::two_encoders) {
      auto encoder = shape;
      encoder.hidden = o.encoder_hidden > 0 ? o.encoder_hidden : o.hidden;
      encoder.depth = o.encoder_depth;
      encoder.out = shape.in = o.hidden;
      net->two_detectors = net->register_module("encoders", std::make_shared<TwoDetectorNetwork>(encoder, o.pixel_layers));
    }
    if (o.detectors != Detectors::two_networks) net->network = net->register_module("network", std::make_shared<ResidualNetwork>(shape));
    net->scale = net->register_parameter("scale", at::ones({1}));
    return net;
  }

  RecordOf<Writes> operator()(InputOf<EmbeddingNetwork> const& event, Module& net, Context const&) const {
    auto x = event[key::hit_features];
    if (net.two_detectors) {
      auto const* layer = event.find(key::layer);
      check(layer != nullptr, "{} was made with the key '{}' as an input, but this event does not hold it", name, key::layer.name);
      x = net.two_detectors->forward(x, *layer);
      if (net.network) x = at::relu(x);
    }
    if (net.network) x = net.network->forward(x);
    return RecordOf<Writes>{key::hit_embedding = net.scale * x};
  }

  bool operator==(EmbeddingNetwork const&) const = default;
};
static_assert(Model<EmbeddingNetwork>);

}  // namespace dew
