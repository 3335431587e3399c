// SPDX-License-Identifier: BSL-1.0
#include "dew/model/deep_set_edge_filter.hpp"

#include <doctest/doctest.h>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("deep set filter: its formula, edge by edge, and the same score for an edge and its reverse") {
  seed();
  auto const graph = small_graph(10, 30, at::kDouble);
  DeepSetEdgeFilter const filter{{.hidden = 5, .layers = 3}};
  auto const net = filter.make(Widths::of(graph));
  net->to(at::kDouble);
  auto const w = filter(graph, *net, {})[key::edge_score];
  auto const x = graph[key::hit_features];
  auto const code = [&](std::int64_t i) {
    auto a = x[i] / x[i].norm();
    for (auto const& layer : net->hits->linear_layers()) a = at::relu(at::matmul(layer->weight, a));
    return a;
  };
  for (std::int64_t e = 0; e < 30; e += 7) {
    auto const edge = graph[key::edge_index].select(1, e);
    auto const s = code(edge[0].item<std::int64_t>()), t = code(edge[1].item<std::int64_t>());
    auto z = at::cat({(s - t).abs(), s + t});
    auto const& layers = net->edges->linear_layers();
    for (std::size_t l = 0; l < layers.size(); ++l) z = at::matmul(layers[l]->weight, l == 0 ? z : at::relu(z));
    CHECK(w[e].item<double>() == doctest::Approx(1e-8 + (1 - 2e-8) / (1 + std::exp(-z.item<double>()))));
  }
  auto const reversed = filter(graph.with(key::edge_index = graph[key::edge_index].flip(0)), *net, {})[key::edge_score];
  CHECK(at::allclose(w, reversed));
}
