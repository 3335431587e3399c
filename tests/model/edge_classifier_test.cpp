// SPDX-License-Identifier: BSL-1.0
#include "dew/model/edge_classifier.hpp"

#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

TEST_CASE("edge classifier: renaming the hits and reordering the edges reorders the scores") {
  seed();
  auto const graph = small_graph(20, 60, at::kDouble);
  for (auto kind : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top}) {
    CAPTURE(int(kind));
    EdgeClassifier const classifier{{.hidden = 8, .layers = 2, .stack = kind, .head = HeadEdges::all}};
    auto const net = classifier.make(Widths::of(graph));
    net->to(at::kDouble);
    auto const before = classifier(graph, *net, {})[key::edge_score],
               after = classifier(permuted(graph, permutation(20)), *net, {})[key::edge_score];
    CHECK(at::allclose(after, before.flip({0})));
    CHECK_FALSE(at::allclose(after, before));
  }
}

TEST_CASE("edge classifier: gradients are those of finite differences") {
  seed();
  auto const graph = small_graph(12, 30, at::kDouble);
  for (bool head_nodes : {true, false}) {
    EdgeClassifier const classifier{{.hidden = 8, .layers = 2, .head_nodes = head_nodes, .embeddings = true}};
    auto const net = classifier.make(Widths::of(graph));
    net->to(at::kDouble);
    check_parameter_gradients(*net, [&] {
      auto const out = classifier(graph, *net, {});
      return loss_of({out[key::edge_score], out[key::node_embedding], out[key::edge_embedding]});
    });
  }
}

TEST_CASE("edge classifier: embeddings are as wide as asked for, and empty when they are not asked for") {
  auto const graph = small_graph(20, 60);
  auto const widths = [&](EdgeClassifier const& classifier) {
    auto const net = classifier.make(Widths::of(graph));
    auto const out = classifier(graph, *net, {});
    return std::pair{out[key::node_embedding].size(1), out[key::edge_embedding].size(1)};
  };
  CHECK(widths({{.hidden = 8, .layers = 1, .node_width = 5, .edge_width = 6, .embeddings = true}}) ==
        std::pair<std::int64_t, std::int64_t>{5, 6});
  CHECK(widths({{.hidden = 8, .layers = 1}}) == std::pair<std::int64_t, std::int64_t>{0, 0});
}

TEST_CASE("edge classifier: few hits, no edges, no hits - in training with batch norm too") {
  for (auto kind : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top}) {
    CAPTURE(int(kind));
    EdgeClassifier const classifier{{.hidden = 8, .layers = 2, .stack = kind, .batch_norm = true, .head = HeadEdges::all}};
    auto const net = classifier.make(Widths::of(small_graph(5, 4)));
    net->train();
    for (auto const& [hits, edges] : {std::pair{1, 0}, {1, 1}, {2, 1}, {0, 0}}) {
      auto const w = classifier(small_graph(hits, edges), *net, {.training = true})[key::edge_score];
      CHECK(w.size(0) == edges);
      CHECK(at::isfinite(w).all().item<bool>());
      w.sum().backward();
    }
  }
}

TEST_CASE("edge classifier: scores keep away from 0 and 1, and no gradient is needed to have them") {
  seed();
  EdgeClassifier const classifier{{.hidden = 8, .layers = 1}};
  auto const graph = small_graph(6, 9);
  auto const net = classifier.make(Widths::of(graph));
  at::NoGradGuard no_grad;
  for (double bias : {-1e4, 1e4}) {
    net->head->linear_layers().back()->bias.fill_(bias);
    auto const w = classifier(graph, *net, {})[key::edge_score];
    CHECK(at::allclose(w, at::full_like(w, bias < 0 ? 0.001 : 0.999)));
  }
}
