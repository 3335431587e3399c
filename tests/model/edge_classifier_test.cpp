// SPDX-License-Identifier: BSL-1.0
#include "dew/model/edge_classifier.hpp"

#include "model/reference.hpp"
#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

namespace {
EdgeClassifier reference_classifier(StackKind kind, int layers, bool batch_norm = false) {
  return {{.hidden = 16,
           .layers = layers,
           .node_width = 8,
           .edge_width = 7,
           .stack = kind,
           .batch_norm = batch_norm,
           .encoder = Encoder::reference,
           .head = HeadEdges::all,
           .embeddings = true}};
}

void check_against(char const* name, EdgeClassifier const& classifier) {
  auto const file = golden(name);
  if (!file) return;
  auto const graph = graph_of(*file);
  auto const net = classifier.make(Widths::of(graph));
  net->eval();
  load_reference(*net, *file, "", edge_classifier_names);
  auto const out = classifier(graph, *net, {});
  CHECK(relative_difference(out[key::edge_score], file->tensors.at("out.W")) < 1e-4);
  CHECK(relative_difference(out[key::node_embedding], file->tensors.at("out.node_embedding")) < 1e-4);
  CHECK(relative_difference(out[key::edge_embedding], file->tensors.at("out.edge_embedding")) < 1e-4);
  auto const loss = reference_loss({out[key::edge_score], out[key::node_embedding], out[key::edge_embedding]});
  CHECK(loss.item<double>() == doctest::Approx(file->tensors.at("loss").item<double>()).epsilon(1e-4));
  loss.backward();
  check_gradients(*net, *file, "", edge_classifier_names);
}
}  // namespace

TEST_CASE("edge classifier: skip1, as the reference") { check_against("ec_skip1", reference_classifier(StackKind::skip1, 3)); }
TEST_CASE("edge classifier: skip2 with batch norm, as the reference") {
  check_against("ec_skip2", reference_classifier(StackKind::skip2, 2, true));
}
TEST_CASE("edge classifier: skip_top, as the reference") { check_against("ec_skip_top", reference_classifier(StackKind::skip_top, 3)); }

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
      return reference_loss({out[key::edge_score], out[key::node_embedding], out[key::edge_embedding]});
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

TEST_CASE("edge classifier: few hits, no edges, no hits; in training with batch norm too") {
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
