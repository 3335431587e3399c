// SPDX-License-Identifier: BSL-1.0
// Small random graphs for tests of models, and gradients against finite differences.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <vector>

#include "dew/core/torch_nn.hpp"
#include "dew/event/schema.hpp"
#include "support/seed.hpp"

#include <ATen/ops/allclose.h>
#include <doctest/doctest.h>

namespace dew::test {

/// `hits` hits with 6 features and `edges` edges with 4, at random. All standard normal.
inline auto small_graph(std::int64_t hits, std::int64_t edges, at::ScalarType type = at::kFloat) {
  auto const real = at::TensorOptions().dtype(type);
  return Record{key::hit_features = at::randn({hits, 6}, real),
                key::edge_index = edges > 0 ? at::randint(0, hits, {2, edges}, at::kLong) : at::empty({2, 0}, at::kLong),
                key::edge_features = at::randn({edges, 4}, real)};
}

/// Σ over outputs of the mean of their squares: some loss.
inline Tensor loss_of(std::vector<Tensor> const& outputs) {
  auto sum = at::zeros({});
  for (auto const& output : outputs) sum = sum + output.square().mean();
  return sum;
}

/// An order of n rows that is not the identity.
inline Tensor permutation(std::int64_t n) { return at::arange(n - 1, -1, -1, at::kLong).roll({n / 3}); }

/// The same graph with its hits in the order `order`, and its edges in the opposite order.
template <class R> R permuted(R const& graph, Tensor const& order) {
  auto const place = at::argsort(order);
  auto const edges = at::arange(graph.template rows<Edges>() - 1, -1, -1, at::kLong);
  R out;
  graph.for_each([&]<class K>(K, Tensor const& t) {
    auto moved = t.index_select(K::row_dim, std::is_same_v<typename K::Domain, Hits> ? order : edges);
    if constexpr (std::is_same_v<K, EdgeIndex>) moved = place.index_select(0, moved.flatten()).reshape(moved.sizes());
    out = R(out.with(set<K>(moved)));
  });
  return out;
}

/// d f / d leaf against central differences, in double.
inline void check_gradient(Tensor const& leaf, std::function<Tensor()> const& f, double tolerance = 1e-5) {
  leaf.mutable_grad() = Tensor();
  f().backward();
  auto const gradient =
      leaf.grad().defined() ? leaf.grad().flatten().clone() : at::zeros({leaf.numel()}, leaf.options().requires_grad(false));
  auto const values = leaf.detach().view({-1});
  at::NoGradGuard no_grad;
  double const step = 1e-6;
  double worst = 0;
  for (std::int64_t i = 0; i < values.size(0); i += std::max<std::int64_t>(1, values.size(0) / 7)) {
    double const before = values[i].item<double>();
    values[i].fill_(before + step);
    double const above = f().item<double>();
    values[i].fill_(before - step);
    double const below = f().item<double>();
    values[i].fill_(before);
    double const expected = (above - below) / (2 * step);
    worst = std::max(worst, std::abs(gradient[i].item<double>() - expected) / std::max(1.0, std::abs(expected)));
  }
  CHECK(worst < tolerance);
}

/// The same for every parameter of a module.
inline void check_parameter_gradients(torch::nn::Module& net, std::function<Tensor()> const& f, double tolerance = 1e-5) {
  for (auto const& p : net.named_parameters()) {
    INFO(p.key());
    net.zero_grad();
    check_gradient(p.value(), f, tolerance);
  }
}

}  // namespace dew::test
