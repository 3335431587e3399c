// SPDX-License-Identifier: BSL-1.0
// Mlp: the small fully connected network that every other network here is made of.
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/ops/gathered_mlp.hpp"

namespace dew {

/// What an `Mlp` looks like.
struct MlpShape {
  std::int64_t in = 1;
  std::int64_t out = 1;
  std::int64_t hidden = 0;  ///< 0: max(in, out)
  int layers = 3;           ///< linear layers; 1 counts as 2
  bool bias = true;         ///< for all layers or for none
  bool final_relu = false;
  Products products = Products::float32;  ///< precision of what is multiplied
};

/// Linear in → h, then max(L − 2, 0) times (ReLU, Linear h → h), then ReLU, Linear h → out; optionally a final ReLU. [R, in] → [R, out].
///
/// Parameters are called as in a PyTorch `Sequential` of linear layers and ReLUs: `layers.0.weight`, `layers.2.weight`, …
class Mlp : public torch::nn::Module {
 public:
  explicit Mlp(MlpShape const& shape) : final_relu_(shape.final_relu), products_(shape.products) {
    check(shape.in > 0 && shape.out > 0 && shape.hidden >= 0, ErrorKind::usage, "an MLP needs widths above 0, got {} -> {}, hidden {}",
          shape.in, shape.out, shape.hidden);
    auto const hidden = shape.hidden > 0 ? shape.hidden : std::max(shape.in, shape.out);
    int const count = std::max(shape.layers, 2);
    auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
    for (int i = 0; i < count; ++i) {
      auto const options = torch::nn::LinearOptions(i == 0 ? shape.in : hidden, i + 1 == count ? shape.out : hidden).bias(shape.bias);
      layers_.push_back(layers->register_module(std::to_string(2 * i), torch::nn::Linear(options)));
    }
  }

  Tensor forward(Tensor const& x) const { return gathered_mlp({.given = {x}}, parameters_by_layer()); }

  /// Weights and biases, as `gathered_mlp` reads them.
  MlpLayers parameters_by_layer() const {
    MlpLayers out{.final_relu = final_relu_, .products = products_};
    for (auto const& layer : layers_) {
      out.weights.push_back(layer->weight);
      if (layer->bias.defined()) out.biases.push_back(layer->bias);
    }
    return out;
  }
  Tensor const& first_weight() const { return layers_.front()->weight; }  // [h, in]
  std::vector<torch::nn::Linear> const& linear_layers() const { return layers_; }

 private:
  std::vector<torch::nn::Linear> layers_;
  bool final_relu_;
  Products products_;
};

}  // namespace dew
