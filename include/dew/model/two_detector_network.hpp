// SPDX-License-Identifier: BSL-1.0
// TwoDetectorNetwork: one residual network for the hits of the pixel layers and another for all others.
#pragma once
#include <memory>
#include <tuple>

#include "dew/model/residual_network.hpp"

namespace dew {

/// A `ResidualNetwork` for hits on layers 0 … first − 1 (pixels) and a second one of the same shape for the others (strips): the two kinds of
/// hits are measured with other precisions. [N, in], layers [N] → [N, out], rows in the order of the input. Cost that of one network.
/// From arXiv:2312.03823 (whose code returns the pixel hits first).
class TwoDetectorNetwork : public torch::nn::Module {
 public:
  TwoDetectorNetwork(ResidualShape const& shape, std::int64_t first_strip_layer) : first_strip_layer_(first_strip_layer) {
    check(first_strip_layer > 0, ErrorKind::usage, "a network of two detectors needs at least one pixel layer, got {}", first_strip_layer);
    pixel_ = register_module("pixel", std::make_shared<ResidualNetwork>(shape));
    strip_ = register_module("strip", std::make_shared<ResidualNetwork>(shape));
  }

  Tensor forward(Tensor const& x, Tensor const& layer) const {
    check(layer.dim() == 1 && layer.size(0) == x.size(0), "a network of two detectors needs a layer for each of {} hits, got {}", x.size(0),
          shape_text(layer));
    auto const is_pixel = layer < first_strip_layer_;
    auto const rows = at::cat({at::nonzero(is_pixel).squeeze(1), at::nonzero(is_pixel.logical_not()).squeeze(1)});  // pixels first
    auto const pixels = is_pixel.sum().item<std::int64_t>();
    auto const sorted = x.index_select(0, rows);
    auto const out = at::cat({pixel_->forward(sorted.narrow(0, 0, pixels)), strip_->forward(sorted.narrow(0, pixels, x.size(0) - pixels))});
    return out.index_select(0, at::argsort(rows));
  }

 private:
  std::shared_ptr<ResidualNetwork> pixel_, strip_;
  std::int64_t first_strip_layer_;
};

}  // namespace dew
