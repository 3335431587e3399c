// SPDX-License-Identifier: BSL-1.0
#include "dew/model/condenser.hpp"

#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

namespace {
auto scored_graph(at::ScalarType type = at::kFloat) {
  auto const graph = small_graph(20, 60, type);
  return graph.with(key::edge_score = at::rand({60}, graph[key::hit_features].options()) * 0.998 + 0.001);
}
}  // namespace

TEST_CASE("condenser: encoders of two detectors see their own hits, in whatever order these come") {
  seed();
  auto const layer = at::randint(0, 6, {20}, at::kLong);
  auto const graph = small_graph(20, 60, at::kDouble).with(key::layer = layer);
  Condenser const condenser{{.latent = 3, .hidden = 8, .layers = 1, .pixel_layers = 3}};
  auto const net = condenser.make(Widths::of(graph));
  net->to(at::kDouble);
  auto const& encoder = *net->node_two_detectors;
  auto const x = graph[key::hit_features];
  auto const out = encoder.forward(x, layer);
  auto const all_pixels = encoder.forward(x, at::zeros_like(layer)), all_strips = encoder.forward(x, at::full_like(layer, 3));
  CHECK(at::allclose(out, at::where((layer < 3).unsqueeze(1), all_pixels, all_strips)));
  CHECK_FALSE(at::allclose(all_pixels, all_strips));
  auto const before = condenser(graph, *net, {}), after = condenser(permuted(graph, permutation(20)), *net, {});
  CHECK(at::allclose(after[key::latent], before[key::latent].index_select(0, permutation(20))));
  check_parameter_gradients(*net, [&] { return loss_of({condenser(graph, *net, {})[key::latent]}); });
  CHECK_THROWS_WITH_AS(condenser.require(Widths::of(small_graph(5, 4))), doctest::Contains("needs the key 'layer'"), Error);
  CHECK_THROWS_AS(encoder.forward(x, layer.narrow(0, 0, 5)), Error);
}

TEST_CASE("condenser: renaming the hits renames the rows") {
  seed();
  auto const graph = scored_graph(at::kDouble);
  Condenser const condenser{{.latent = 3, .hidden = 8, .layers = 2}};
  auto const net = condenser.make(Widths::of(graph));
  net->to(at::kDouble);
  auto const before = condenser(graph, *net, {}), after = condenser(permuted(graph, permutation(20)), *net, {});
  CHECK(at::allclose(after[key::latent], before[key::latent].index_select(0, permutation(20))));
  CHECK(at::allclose(after[key::beta], before[key::beta].index_select(0, permutation(20))));
}

TEST_CASE("condenser: gradients are those of finite differences") {
  seed();
  auto const graph = scored_graph(at::kDouble);
  for (auto kind : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top}) {
    CAPTURE(int(kind));
    Condenser const condenser{{.latent = 3,
                               .hidden = 8,
                               .layers = 2,
                               .stack = kind,
                               .encoder = kind == StackKind::prenorm ? Encoder::mlp : Encoder::reference,
                               .coordinates = 2,
                               .coordinate_share = 0.3}};
    auto const net = condenser.make(Widths::of(graph));
    net->to(at::kDouble);
    check_parameter_gradients(*net, [&] {
      auto const out = condenser(graph, *net, {});
      return loss_of({out[key::latent], out[key::beta]});
    });
    // and with respect to the score that an edge classifier would give
    auto const w = graph[key::edge_score].clone().requires_grad_();
    check_gradient(w, [&] {
      auto const out = condenser(graph.with(key::edge_score = w), *net, {});
      return loss_of({out[key::latent], out[key::beta]});
    });
  }
}

TEST_CASE("condenser: smoothing averages the coordinates along the edges, each with its gate") {
  seed();
  auto const graph = scored_graph(at::kDouble);
  auto const event = graph.with(key::edge_score = at::ones({60}, at::kDouble) * 0.5);  // logit 0: the gate is the head's alone
  auto const with_steps = [&](int steps) {
    Condenser const condenser{{.latent = 3, .hidden = 8, .layers = 2, .initial_scale = 0.5, .smoothing = steps}};
    auto const net = condenser.make(Widths::of(event));
    net->to(at::kDouble);
    at::NoGradGuard no_grad;
    std::int64_t number = 0;
    for (auto const& p : net->named_parameters()) {  // the same for any number of steps
      if (p.key().starts_with("gate_head")) p.value().zero_();
      else if (p.key() != "latent_scale")
        p.value().copy_(at::linspace(-0.4, 0.5, p.value().numel(), at::kDouble).view_as(p.value()).roll(++number));
    }
    return condenser(event, *net, {})[key::latent];
  };
  auto const before = with_steps(0), after = with_steps(2);
  auto expected = before.clone();
  auto const edges = event[key::edge_index];
  for (int step = 0; step < 2; ++step) {
    auto const last = expected.clone();
    for (std::int64_t i = 0; i < 20; ++i) {
      auto sum = last[i].clone();
      double weight = 1;
      for (std::int64_t e = 0; e < 60; ++e)
        if (edges[1][e].item<std::int64_t>() == i) sum += 0.5 * last[edges[0][e].item<std::int64_t>()], weight += 0.5;
      expected[i] = sum / weight;
    }
  }
  CHECK_FALSE(at::allclose(before, after));
  CHECK(at::allclose(after, expected));

  Condenser const condenser{{.latent = 3, .hidden = 8, .layers = 2, .smoothing = 2}};
  auto const net = condenser.make(Widths::of(graph));
  net->to(at::kDouble);
  check_parameter_gradients(*net, [&] { return loss_of({condenser(graph, *net, {})[key::latent]}); });
  auto const one = condenser(graph, *net, {}), other = condenser(permuted(graph, permutation(20)), *net, {});
  CHECK(at::allclose(other[key::latent], one[key::latent].index_select(0, permutation(20))));
  CHECK(Condenser{}.make(Widths::of(graph))->gate_head == nullptr);  // no weights that nothing reads
}

TEST_CASE("condenser: cut edges are as if they were not there, and gradients reach the scores of the others") {
  seed();
  auto const graph = scored_graph();
  auto const kept = graph[key::edge_score] > 0.6;
  Condenser const cutting{{.latent = 3, .hidden = 8, .layers = 2, .score_min = 0.6}},
      whole{{.latent = 3, .hidden = 8, .layers = 2, .score_min = 0}};
  auto const net = cutting.make(Widths::of(graph));
  auto const w = graph[key::edge_score].clone().requires_grad_();
  auto const cut = cutting(graph.with(key::edge_score = w), *net, {}), fewer = whole(graph.select(kept, Edges{}), *net, {});
  CHECK(at::allclose(cut[key::latent], fewer[key::latent], 1e-5, 1e-6));
  CHECK_FALSE(at::allclose(cut[key::latent], whole(graph, *net, {})[key::latent], 1e-5, 1e-6));
  cut[key::latent].square().sum().backward();
  auto const reached = w.grad() != 0;
  CHECK_FALSE(reached.logical_and(kept.logical_not()).any().item<bool>());
  CHECK(reached.sum().item<std::int64_t>() > kept.sum().item<std::int64_t>() / 2);  // not where every ReLU is off
}

TEST_CASE("condenser: optional inputs are used when they are there, and demanded when they must be") {
  auto const graph = small_graph(20, 60);
  auto const with_score = graph.with(key::edge_score = at::rand({60}));
  Condenser const condenser{{.hidden = 8, .layers = 1}};
  auto const width = [](Condenser const& c, Widths const& w) { return c.make(w)->edge_encoder->first_weight().size(1); };
  CHECK(width(condenser, Widths::of(graph)) == 4);
  CHECK(width(condenser, Widths::of(with_score)) == 6);
  CHECK(width({{.hidden = 8, .layers = 1, .score_logit = false}}, Widths::of(with_score)) == 5);
  CHECK(width({{.hidden = 8, .layers = 1, .score = Use::never}}, Widths::of(with_score)) == 4);
  auto const needs = [](Condenser::Options o) { return Condenser{o}; };
  CHECK_THROWS_WITH_AS(needs({.score = Use::always}).require(Widths::of(graph)),
                       doctest::Contains("condenser.score = \"always\" needs the key 'edge_score'"), Error);
  CHECK_THROWS_WITH_AS(needs({.node_embedding = Use::always}).require(Widths::of(graph)), doctest::Contains("'node_embedding'"), Error);
  CHECK_THROWS_WITH_AS(needs({.edge_embedding = Use::always}).require(Widths::of(graph)), doctest::Contains("'edge_embedding'"), Error);
  needs({.score = Use::always}).require(Widths::of(with_score));
  auto const empty = graph.with(key::node_embedding = at::zeros({20, 0}));
  CHECK_THROWS_WITH_AS(needs({.node_embedding = Use::always}).make(Widths::of(empty)), doctest::Contains("leave it empty"), Error);
  auto const net = condenser.make(Widths::of(with_score));
  CHECK_THROWS_WITH_AS(condenser(graph, *net, {}), doctest::Contains("was made with the key 'edge_score'"), Error);
}

TEST_CASE("condenser: refuses options without meaning") {
  auto const widths = Widths::of(small_graph(5, 4));
  CHECK_THROWS_AS(Condenser{{.latent = 0}}.make(widths), Error);
  CHECK_THROWS_AS(Condenser{{.layers = 0}}.make(widths), Error);
  CHECK_THROWS_AS((Condenser{{.layers = 3, .stack = StackKind::skip2}}.make(widths)), Error);
  CHECK_THROWS_AS((Condenser{{.coordinates = 9, .coordinate_share = 0.5}}.make(widths)), Error);
  CHECK_THROWS_AS(Condenser{{.coordinate_share = 1.5}}.make(widths), Error);
}

TEST_CASE("condenser: few hits, no edges, no hits") {
  for (auto kind : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top}) {
    CAPTURE(int(kind));
    Condenser const condenser{{.latent = 3, .hidden = 8, .layers = 2, .stack = kind, .batch_norm = true}};
    auto const net = condenser.make(Widths::of(small_graph(5, 4)));
    for (auto const& [hits, edges] : {std::pair{1, 0}, {2, 1}, {3, 0}, {0, 0}}) {
      auto const out = condenser(small_graph(hits, edges), *net, {});
      CHECK(out[key::latent].size(0) == hits);
      CHECK(at::isfinite(out[key::latent]).all().item<bool>());
      (out[key::latent].sum() + out[key::beta].sum()).backward();
      for (auto const& p : net->parameters())
        if (p.grad().defined()) CHECK(at::isfinite(p.grad()).all().item<bool>());
    }
  }
}

TEST_CASE("condenser: beta keeps away from 0 and 1") {
  Condenser const condenser{{.hidden = 8, .layers = 1}};
  auto const graph = small_graph(5, 4);
  auto const net = condenser.make(Widths::of(graph));
  at::NoGradGuard no_grad;
  for (double bias : {-1e4, 1e4}) {
    net->beta_head->linear_layers().back()->bias.fill_(bias);
    auto const charge = at::atanh(condenser(graph, *net, {})[key::beta]);
    CHECK(at::isfinite(charge).all().item<bool>());
    CHECK((charge > 0).all().item<bool>());
  }
}
