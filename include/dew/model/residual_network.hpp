// SPDX-License-Identifier: BSL-1.0
// ResidualNetwork: a fully connected network with residual layers, on rows of unit length.
#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch_nn.hpp"

namespace dew {

/// What a `ResidualNetwork` looks like.
struct ResidualShape {
  std::int64_t in = 1;
  std::int64_t hidden = 1;
  std::int64_t out = 1;
  int depth = 1;       ///< layers before the decoder: the encoder and depth − 1 residual ones
  double alpha = 0.6;  ///< share of the residual
  bool bias = true;
};

namespace detail {
/// A linear layer whose weights and biases start normal with a variance.
inline torch::nn::Linear normal_linear(std::int64_t in, std::int64_t out, double variance, bool bias) {
  torch::nn::Linear made(torch::nn::LinearOptions(in, out).bias(bias));
  at::NoGradGuard no_grad;
  made->weight.normal_(0.0, std::sqrt(variance));
  if (bias) made->bias.normal_(0.0, std::sqrt(variance));
  return made;
}
}  // namespace detail

/// x ← x / max(‖x‖₂, 1e-12) for each row; encoder; D − 1 times x ← √α·x + √(1 − α)·Linear(ReLU(x)); decoder(ReLU(x)). [R, in] → [R, out].
/// Weights and biases start normal with variance 1/in (encoder) or 2/h (others). From arXiv:2312.03823.
///
/// Not for inputs whose length matters: the normalisation removes it (what hits of one track have in common, with standard features).
class ResidualNetwork : public torch::nn::Module {
 public:
  explicit ResidualNetwork(ResidualShape const& shape) : alpha_(shape.alpha) {
    check(shape.in > 0 && shape.hidden > 0 && shape.out > 0 && shape.depth > 0, ErrorKind::usage,
          "a residual network needs widths and depth above 0, got {} -> {} -> {}, depth {}", shape.in, shape.hidden, shape.out,
          shape.depth);
    auto const linear = [&](std::int64_t in, std::int64_t out, double variance) {
      return detail::normal_linear(in, out, variance, shape.bias);
    };
    encoder_ = register_module("encoder", linear(shape.in, shape.hidden, 1.0 / double(shape.in)));
    auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
    for (int i = 0; i + 1 < shape.depth; ++i)
      layers_.push_back(layers->register_module(std::to_string(i), linear(shape.hidden, shape.hidden, 2.0 / double(shape.hidden))));
    decoder_ = register_module("decoder", linear(shape.hidden, shape.out, 2.0 / double(shape.hidden)));
  }

  Tensor forward(Tensor const& input) const {
    auto const length = at::linalg_vector_norm(input, 2, {-1}, /*keepdim=*/true).clamp_min(1e-12);  // [R, 1]
    auto x = apply(encoder_, input / length);
    for (auto const& layer : layers_) x = std::sqrt(alpha_) * x + std::sqrt(1 - alpha_) * apply(layer, at::relu(x));
    return apply(decoder_, at::relu(x));
  }

 private:
  static Tensor apply(torch::nn::Linear const& layer, Tensor const& x) { return at::linear(x, layer->weight, layer->bias); }

  torch::nn::Linear encoder_{nullptr}, decoder_{nullptr};
  std::vector<torch::nn::Linear> layers_;
  double alpha_;
};

}  // namespace dew
