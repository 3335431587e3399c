// SPDX-License-Identifier: BSL-1.0
#include "dew/model/mlp_edge_filter.hpp"

#include <doctest/doctest.h>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("mlp filter: its formula, edge by edge") {
  seed();
  auto const graph = small_graph(10, 30, at::kDouble);
  MlpEdgeFilter const filter{{.hidden = 5, .depth = 3, .beta = 0.3}};
  auto const net = filter.make(Widths::of(graph));
  net->to(at::kDouble);
  auto const w = filter(graph, *net, {})[key::edge_score];
  CHECK(net->layers.size() == 2);
  for (std::int64_t e = 0; e < 30; e += 7) {
    auto const edge = graph[key::edge_index].select(1, e);
    auto z = at::matmul(net->encoder->weight,
                        at::cat({graph[key::hit_features][edge[0]], graph[key::hit_features][edge[1]], graph[key::edge_features][e]}));
    for (auto const& layer : net->layers) z = std::sqrt(0.7) * z + std::sqrt(0.3) * at::matmul(layer->weight, at::relu(z));
    auto const last = at::matmul(net->decoder->weight, at::relu(z)).item<double>();
    CHECK(w[e].item<double>() == doctest::Approx(0.001 + 0.998 / (1 + std::exp(-last))));
  }
  CHECK_THROWS_AS(MlpEdgeFilter{{.depth = 0}}.make(Widths::of(graph)), Error);
  CHECK_THROWS_AS(MlpEdgeFilter{{.beta = 2}}.make(Widths::of(graph)), Error);
}
