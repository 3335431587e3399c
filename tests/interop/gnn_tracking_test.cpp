// SPDX-License-Identifier: BSL-1.0
#include "dew/interop/gnn_tracking.hpp"

#include <doctest/doctest.h>

#include "dew/graph/complete_graph.hpp"
#include "support/seed.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
auto graph(std::int64_t n = 8) {
  return Record{key::hit_features = at::randn({n, 6}),   key::edge_index = at::randint(0, n, {2, 12}, at::kLong),
                key::edge_features = at::randn({12, 4}), key::edge_score = at::rand({12}),
                key::node_embedding = at::randn({n, 5}), key::edge_embedding = at::randn({12, 3}),
                key::layer = at::arange(n, at::kLong)};
}
NamedTensors copied(NamedTensors const& tensors) {
  NamedTensors out;
  for (auto const& [name, t] : tensors) out.emplace(name, t.detach().clone());
  return out;
}
bool same(NamedTensors const& a, NamedTensors const& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto const& x, auto const& y) {
           return x.first == y.first && at::equal(x.second, y.second);
         });
}
/// There and back: every parameter has a name there, and comes back under its own in another module.
template <class P> void check_round_trip(P const& policy) {
  auto const event = graph();
  auto const one = policy.make(Widths::of(event)), two = policy.make(Widths::of(event));
  auto const there = copied(to_reference(policy, *one, "root."));
  auto const ours = dew::detail::named_tensors(*one);
  CHECK(there.size() >= ours.size());
  CHECK_FALSE(same(ours, dew::detail::named_tensors(*two)));
  load_reference<P>(*two, there, "root.");
  CHECK(same(ours, dew::detail::named_tensors(*two)));
}
EdgeClassifier classifier(StackKind kind = StackKind::skip1) {
  return {
      {.hidden = 6, .layers = 2, .stack = kind, .batch_norm = kind == StackKind::skip2, .encoder = Encoder::reference, .embeddings = true}};
}
Condenser condenser() {
  return {{.latent = 3, .hidden = 6, .layers = 2, .stack = StackKind::skip1, .encoder = Encoder::reference, .score_logit = false}};
}
}  // namespace

TEST_CASE("weights go to gnn_tracking's names and back, tensor by tensor") {
  seed();
  for (auto kind : {StackKind::skip1, StackKind::skip2, StackKind::skip_top}) check_round_trip(classifier(kind));
  check_round_trip(condenser());
  auto two = condenser();
  two.options.pixel_layers = 4;
  check_round_trip(two);
  check_round_trip(EmbeddingNetwork{{.dimension = 3, .hidden = 6, .depth = 3}});
  check_round_trip(EmbeddingRefinement{{.dimension = 3, .hidden = 6, .layers = 2}});
  check_round_trip(PointCloudNetwork{{.latent = 3, .blocks = 2, .layers = 1, .node_width = 5, .edge_width = 4}});
  check_round_trip(DeepSetEdgeFilter{{.hidden = 6}});
  check_round_trip(MlpEdgeFilter{{.hidden = 6, .depth = 2}});
}

TEST_CASE("names are those of the Python system") {
  seed();
  auto const has = [](NamedTensors const& tensors, char const* name) { return tensors.contains(name); };
  auto const event = graph();
  auto const ec = to_reference(classifier(), *classifier().make(Widths::of(event)), "ec.");
  for (auto const* name :
       {"ec.ec_node_encoder.layers.0.weight", "ec.ec_resin.network.layers.1.relational_model.layers.4.bias", "ec.W.layers.0.weight"})
    CHECK_MESSAGE(has(ec, name), name);
  auto const oc = to_reference(condenser(), *condenser().make(Widths::of(event)));
  for (auto const* name : {"hc_node_encoder._encoder.weight", "hc_in.network.layers.0.object_model.layers.2.weight",
                           "p_beta.layers.0.weight", "p_cluster.layers.4.bias", "_latent_normalization"})
    CHECK_MESSAGE(has(oc, name), name);
  auto const points = to_reference(PointCloudNetwork{{.blocks = 1}}, *PointCloudNetwork{{.blocks = 1}}.make(Widths::of(event)));
  CHECK(has(points, "layers.1.node_encoder.layers.0.weight"));
  CHECK(has(points, "layers.1.edge_conv.nn.layers.0.weight"));  // the same tensor again
}

TEST_CASE("a mismatch lists every missing, unexpected and wrongly shaped tensor, and nothing is copied") {
  seed();
  auto const event = graph();
  auto const policy = condenser();
  auto const net = policy.make(Widths::of(event));
  auto tensors = copied(to_reference(policy, *net));
  for (auto& [name, t] : tensors) t.add_(1);
  tensors.erase("p_beta.layers.0.weight");
  tensors["hc_in.network.layers.7.object_model.layers.0.weight"] = at::zeros({1});
  tensors["_latent_normalization"] = at::zeros({2});
  auto const before = copied(dew::detail::named_tensors(*net));
  try {
    load_reference<Condenser>(*net, tensors, "", "some file");
    FAIL("accepted");
  } catch (Error const& e) {
    std::string const what = e.what();
    for (auto const* words : {"some file", "missing: beta_head.layers.0.weight", "unexpected: stack.layers.7.object_model.layers.0.weight",
                              "latent_scale [2] instead of [1]"})
      CHECK_MESSAGE(what.find(words) != std::string::npos, what);
  }
  CHECK(same(before, dew::detail::named_tensors(*net)));
  auto more = copied(to_reference(policy, *net));
  more["hc_out.weight"] = at::zeros({1});
  CHECK_THROWS_WITH_AS(load_reference<Condenser>(*net, more), doctest::Contains("unexpected: hc_out.weight"), Error);
  more.erase("hc_out.weight");
  more["ec.W.layers.0.bias"] = at::zeros({1});  // its classifier's
  load_reference<Condenser>(*net, more);
}

TEST_CASE("a whole pipeline takes the weights of one checkpoint, however its model is wrapped, or none at all") {
  seed();
  auto const pipeline = Pipeline{CompleteGraph{}, classifier(), condenser()};
  auto const sample = ToySource{}.labelled(1);
  Trained from(pipeline, sample, 1), into(pipeline, sample, 2);
  NamedTensors checkpoint;
  for (auto const& [name, t] : to_reference(classifier(), from.module<1>(), "model._orig_mod._gtcn.ec."))
    checkpoint.emplace(name, t.detach());
  for (auto const& [name, t] : to_reference(condenser(), from.module<2>(), "model._orig_mod._gtcn.")) checkpoint.emplace(name, t.detach());
  auto const before = copied(into.tensors());
  auto more = checkpoint;
  more["model._gtcn.p_track_param.weight"] = at::zeros({3});
  CHECK_THROWS_WITH_AS(load_reference(into, more), doctest::Contains("unexpected: p_track_param.weight"), Error);
  auto fewer = checkpoint;
  fewer.erase("model._orig_mod._gtcn.ec.W.layers.0.bias");
  CHECK_THROWS_WITH_AS(load_reference(into, fewer), doctest::Contains("missing: edge_classifier.head.layers.0.bias"), Error);
  CHECK(same(before, into.tensors()));
  load_reference(into, checkpoint);
  CHECK(same(from.tensors(), into.tensors()));
}

TEST_CASE("a plain network goes there and back") {
  seed();
  Mlp const one({.in = 3, .out = 2}), two({.in = 3, .out = 2});
  load_reference<Mlp>(two, copied(to_reference(one)));
  CHECK(same(dew::detail::named_tensors(one), dew::detail::named_tensors(two)));
  ResidualNetwork const residual({.in = 3, .hidden = 4, .out = 2, .depth = 2});
  CHECK(to_reference(residual).contains("_layers.0.weight"));
}

TEST_CASE("what has no counterpart there is named") {
  seed();
  auto const event = graph();
  Condenser const ours{{.latent = 3, .hidden = 6, .layers = 1}};
  CHECK_THROWS_WITH_AS((void)to_reference(ours, *ours.make(Widths::of(event))), doctest::Contains("no counterpart of condenser"), Error);
  for (auto bend : {+[](Condenser::Options& o) { o.score_logit = true; }, +[](Condenser::Options& o) { o.beta_layers = 2; },
                    +[](Condenser::Options& o) { o.encoder = Encoder::mlp; }}) {
    auto other = condenser();
    bend(other.options);
    CHECK_THROWS_AS((void)to_reference(other, *other.make(Widths::of(event))), Error);
  }
}
