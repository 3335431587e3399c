// SPDX-License-Identifier: BSL-1.0
// Networks by their definition, row by row, on the parameters of a module: oracles for models.
#pragma once
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/torch_nn.hpp"

namespace dew::test {

class PlainNetworks {
 public:
  using Rows = std::vector<Tensor>;
  using Graph = std::vector<std::pair<std::size_t, std::size_t>>;  // source, target

  explicit PlainNetworks(torch::nn::Module const& module) {
    for (auto const& p : module.named_parameters()) parameters_[p.key()] = p.value().detach();
  }
  Tensor operator[](std::string const& name) const { return parameters_.at(name); }

  /// Linear layers 0, 2, 4, … of `name`, ReLUs between them.
  Tensor mlp(std::string const& name, Tensor x) const {
    for (int i = 0; parameters_.contains(layer(name, i) + ".weight"); i += 2) x = linear(layer(name, i), i == 0 ? x : at::relu(x));
    return x;
  }
  /// A residual network of one row.
  Tensor residual(std::string const& name, Tensor x, double alpha) const {
    x = linear(name + ".encoder", x / x.norm());
    for (int i = 0; parameters_.contains(layer(name, i) + ".weight"); ++i)
      x = std::sqrt(alpha) * x + std::sqrt(1 - alpha) * linear(layer(name, i), at::relu(x));
    return linear(name + ".decoder", at::relu(x));
  }
  /// e' of each edge and x' of each node.
  std::pair<Rows, Rows> interaction(std::string const& name, Rows const& x, Graph const& edges, Rows const& e) const {
    Rows messages, nodes;
    for (std::size_t i = 0; i < edges.size(); ++i)
      messages.push_back(mlp(name + ".relational_model", at::cat({x[edges[i].second], x[edges[i].first], e[i]})));
    for (std::size_t t = 0; t < x.size(); ++t) {
      auto sum = at::zeros_like(messages.at(0));
      for (std::size_t i = 0; i < edges.size(); ++i)
        if (edges[i].second == t) sum = sum + messages[i];
      nodes.push_back(mlp(name + ".object_model", at::cat({x[t], sum})));
    }
    return {messages, nodes};
  }

 private:
  static std::string layer(std::string const& name, int i) { return name + ".layers." + std::to_string(i); }
  Tensor linear(std::string const& name, Tensor const& x) const {
    auto const y = at::matmul(parameters_.at(name + ".weight"), x);
    auto const bias = parameters_.find(name + ".bias");
    return bias == parameters_.end() ? y : y + bias->second;
  }
  std::map<std::string, Tensor> parameters_;
};

/// The rows of a tensor.
inline PlainNetworks::Rows rows_of(Tensor const& x) { return x.unbind(0); }

}  // namespace dew::test
