// SPDX-License-Identifier: BSL-1.0
#include "dew/model/embedding_refinement.hpp"

#include <doctest/doctest.h>

#include "model/plain_networks.hpp"
#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
EmbeddingRefinement const model{{.dimension = 3, .hidden = 5, .layers = 2, .alpha = 0.3, .input_share = 0.4}};
auto made() {
  auto net = model.make(Widths::of(small_graph(4, 4)));
  net->to(at::kDouble);
  at::NoGradGuard no_grad;
  net->scale.fill_(1.7);
  return net;
}
}  // namespace

TEST_CASE("embedding refinement: what moves each hit, row by row") {
  seed();
  auto const graph = small_graph(8, 20, at::kDouble);
  auto const net = made();
  at::NoGradGuard no_grad;
  PlainNetworks const plain(*net);
  PlainNetworks::Graph edges;
  for (std::int64_t i = 0; i < 20; ++i)
    edges.emplace_back(graph[key::edge_index][0][i].item<std::int64_t>(), graph[key::edge_index][1][i].item<std::int64_t>());
  PlainNetworks::Rows x, e;
  for (auto const& row : rows_of(graph[key::hit_features])) x.push_back(plain.mlp("node_encoder", row));
  for (auto const& row : rows_of(graph[key::edge_features])) e.push_back(plain.mlp("edge_encoder", row));
  for (int layer = 0; layer < 2; ++layer) {  // skip1: from the second layer on its inputs go through a ReLU, the residual does not
    auto const input = [&](PlainNetworks::Rows rows) {
      for (auto& row : rows) row = layer == 0 ? row : at::relu(row);
      return rows;
    };
    auto const [e_new, x_new] = plain.interaction("stack.layers." + std::to_string(layer), input(x), edges, input(e));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sqrt(0.3) * x[i] + std::sqrt(0.7) * x_new[i];
    e = e_new;
  }
  auto const got = model(graph, *net, {})[key::hit_embedding];
  CHECK(got.sizes() == at::IntArrayRef{8, 3});
  for (std::int64_t i = 0; i < 8; ++i)
    CHECK(at::allclose(got[i], 1.7 * (0.4 * graph[key::hit_features][i].narrow(0, 0, 3) + 0.6 * plain.mlp("decoder", x[std::size_t(i)]))));
  for (auto const* of : {"node_encoder", "edge_encoder", "decoder"})  // no bias there
    for (auto const& p : net->named_parameters()) CHECK_FALSE((p.key().starts_with(of) && p.key().ends_with("bias")));
}

TEST_CASE("embedding refinement: gradients of all parameters and of the features") {
  seed();
  auto const graph = small_graph(6, 12, at::kDouble);
  auto const x = graph[key::hit_features].requires_grad_();
  auto const net = made();
  auto const loss = [&] { return loss_of({model(graph, *net, {})[key::hit_embedding]}); };
  check_parameter_gradients(*net, loss);
  check_gradient(x, loss);
}

TEST_CASE("embedding refinement: hits without edges, none, and what is refused") {
  auto const net = made();
  for (std::int64_t n : {0, 1, 3})
    CHECK(model(small_graph(n, 0, at::kDouble), *net, {})[key::hit_embedding].sizes() == at::IntArrayRef{n, 3});
  auto const widths = Widths::of(small_graph(4, 4));
  CHECK_THROWS_WITH_AS(EmbeddingRefinement{{.dimension = 7}}.make(widths), doctest::Contains("1 to the number of hit features, 6, got 7"),
                       Error);
  CHECK_THROWS_AS((EmbeddingRefinement{{.dimension = 3, .input_share = 1.5}}.make(widths)), Error);
}
