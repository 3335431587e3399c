// SPDX-License-Identifier: BSL-1.0
// Encoder: the choice of networks that turn a model's inputs into the widths of its stack.
#pragma once
#include <array>
#include <memory>

#include "dew/model/mlp.hpp"

namespace dew {

/// Which networks encode the inputs of a model.
enum class Encoder {
  mlp,        ///< MLP₃ for nodes and for edges: what trains in minutes
  reference,  ///< those of the Python system: without bias, with a final ReLU, as each model says
};
constexpr auto names_of(Encoder) { return std::array{"mlp", "reference"}; }

namespace detail {
/// MLP₃, or the reference's MLP₂ without bias and with a final ReLU.
inline std::shared_ptr<Mlp> mlp_encoder(Encoder kind, std::int64_t in, std::int64_t hidden, std::int64_t out,
                                        Products products = Products::float32) {
  if (kind == Encoder::mlp)
    return std::make_shared<Mlp>(MlpShape{.in = in, .out = out, .hidden = hidden, .layers = 3, .products = products});
  return std::make_shared<Mlp>(
      MlpShape{.in = in, .out = out, .hidden = hidden, .layers = 2, .bias = false, .final_relu = true, .products = products});
}
}  // namespace detail

}  // namespace dew
