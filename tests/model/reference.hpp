// SPDX-License-Identifier: BSL-1.0
// Reference values of networks: weights under the Python system's names, outputs and gradients.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/torch_nn.hpp"
#include "dew/event/schema.hpp"
#include "support/golden.hpp"

#include <doctest/doctest.h>

namespace dew::test {

/// The reference's names (their beginnings) and ours; names that begin with none of them belong to another module.
using Names = std::vector<std::pair<std::string, std::string>>;

inline Names const edge_classifier_names{{"ec_node_encoder.", "node_encoder."},
                                         {"ec_edge_encoder.", "edge_encoder."},
                                         {"ec_resin.network._node_batch_norms.", "stack.node_norms."},
                                         {"ec_resin.network._edge_batch_norms.", "stack.edge_norms."},
                                         {"ec_resin.network.", "stack."},
                                         {"W.", "head."}};
inline Names const condenser_names{{"hc_node_encoder._", "node_encoder."}, {"hc_edge_encoder.", "edge_encoder."},
                                   {"hc_in.network.", "stack."},           {"p_beta.", "beta_head."},
                                   {"p_cluster.", "latent_head."},         {"_latent_normalization", "latent_scale"}};

/// The tensors of `file` under `group` ("model." or "grad."), then `root`, by our names.
inline std::map<std::string, Tensor> renamed(SafeTensors const& file, std::string const& group, std::string const& root,
                                             Names const& names) {
  std::map<std::string, Tensor> out;
  for (auto const& [name, tensor] : file.tensors) {
    if (!name.starts_with(group + root)) continue;
    auto const rest = name.substr(group.size() + root.size());
    for (auto const& [theirs, ours] : names) {
      if (!rest.starts_with(theirs)) continue;
      out.emplace(ours + rest.substr(theirs.size()), tensor);
      break;
    }
  }
  return out;
}

/// Copies the reference's weights into a module; every one of its parameters and buffers must be there.
inline void load_reference(torch::nn::Module& net, SafeTensors const& file, std::string const& root, Names const& names) {
  auto const weights = renamed(file, "model.", root, names);
  at::NoGradGuard no_grad;
  std::size_t copied = 0;
  auto const copy = [&](std::string const& name, Tensor tensor) {
    INFO(name);
    auto const at = weights.find(name);
    REQUIRE(at != weights.end());
    REQUIRE(at->second.sizes() == tensor.sizes());
    tensor.copy_(at->second);
    ++copied;
  };
  for (auto const& p : net.named_parameters()) copy(p.key(), p.value());
  for (auto const& b : net.named_buffers()) copy(b.key(), b.value());
  CHECK(copied == weights.size());
}

/// The largest difference, relative to the largest value.
inline double relative_difference(Tensor const& got, Tensor const& expected) {
  if (got.sizes() != expected.sizes()) return 1e9;
  if (expected.numel() == 0) return 0;
  auto const scale = expected.abs().max().item<double>();
  return (got.detach() - expected).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

inline void check_gradients(torch::nn::Module const& net, SafeTensors const& file, std::string const& root, Names const& names) {
  auto const expected = renamed(file, "grad.", root, names);
  CHECK_FALSE(expected.empty());
  for (auto const& [name, gradient] : expected) {
    INFO(name);
    auto const parameters = net.named_parameters();
    auto const* parameter = parameters.find(name);
    REQUIRE(parameter != nullptr);
    REQUIRE(parameter->grad().defined());
    CHECK(relative_difference(parameter->grad(), gradient) < 1e-3);
  }
}

inline auto graph_of(SafeTensors const& file) {
  return Record{key::hit_features = file.tensors.at("x"), key::edge_index = file.tensors.at("edge_index"),
                key::edge_features = file.tensors.at("edge_attr")};
}

/// The loss whose gradients the files hold: Σ over outputs of the mean of their squares.
inline Tensor reference_loss(std::vector<Tensor> const& outputs) {
  auto sum = at::zeros({});
  for (auto const& output : outputs) sum = sum + output.square().mean();
  return sum;
}

}  // namespace dew::test
