// SPDX-License-Identifier: BSL-1.0
#include "dew/model/embedding_network.hpp"

#include <doctest/doctest.h>

#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
auto hits(std::int64_t n) { return small_graph(n, 0, at::kDouble).with(key::layer = at::arange(n, at::kLong) % 5); }
auto made(EmbeddingNetwork const& model, std::int64_t n = 10) {
  auto net = model.make(Widths::of(hits(n)));
  net->to(at::kDouble);
  return net;
}
}  // namespace

TEST_CASE("embedding network: one learned scale times its networks, by hand") {
  seed();
  auto const event = hits(12);
  auto const &x = event[key::hit_features], &layer = event[key::layer];
  auto const by_layer = [&](Tensor const& pixels, Tensor const& strips) { return at::where((layer < 2).unsqueeze(1), pixels, strips); };
  auto const zeros = at::zeros_like(layer), nines = at::full_like(layer, 9);

  EmbeddingNetwork const one{{.dimension = 3, .hidden = 7, .depth = 2}};
  auto net = made(one);
  at::NoGradGuard no_grad;
  net->scale.fill_(2.5);
  CHECK(at::allclose(one(event, *net, {})[key::hit_embedding], 2.5 * net->network->forward(x)));

  EmbeddingNetwork const two{{.dimension = 3, .hidden = 7, .depth = 2, .detectors = Detectors::two_networks, .pixel_layers = 2}};
  net = made(two);
  net->scale.fill_(2.5);
  CHECK(at::allclose(two(event, *net, {})[key::hit_embedding],
                     2.5 * by_layer(net->two_detectors->forward(x, zeros), net->two_detectors->forward(x, nines))));

  EmbeddingNetwork const encoders{{.dimension = 3, .hidden = 7, .depth = 2, .detectors = Detectors::two_encoders, .pixel_layers = 2}};
  net = made(encoders);
  auto const code = by_layer(net->two_detectors->forward(x, zeros), net->two_detectors->forward(x, nines));
  CHECK(code.size(1) == 7);
  CHECK(at::allclose(encoders(event, *net, {})[key::hit_embedding], net->network->forward(at::relu(code))));
}

TEST_CASE("embedding network: no bias anywhere, and the length of a hit's features does not matter") {
  seed();
  EmbeddingNetwork const model{{.dimension = 3, .hidden = 7, .depth = 3}};
  auto const net = made(model);
  for (auto const& p : net->named_parameters()) CHECK(p.key().find("bias") == std::string::npos);
  auto const event = hits(8);
  CHECK(at::allclose(model(event, *net, {})[key::hit_embedding],
                     model(event.with(key::hit_features = 3 * event[key::hit_features]), *net, {})[key::hit_embedding]));
}

TEST_CASE("embedding network: two detectors need layers") {
  EmbeddingNetwork const model{{.hidden = 7, .detectors = Detectors::two_networks}};
  auto const bare = small_graph(5, 0);
  CHECK_THROWS_WITH_AS(model.require(Widths::of(bare)), doctest::Contains("detectors = \"two_networks\" needs the key 'layer'"), Error);
  CHECK_THROWS_AS(EmbeddingNetwork{{.dimension = 0}}.make(Widths::of(bare)), Error);
  auto const net = made(model);
  CHECK_THROWS_WITH_AS(model(small_graph(5, 0, at::kDouble), *net, {}), doctest::Contains("was made with the key 'layer'"), Error);
}

TEST_CASE("embedding network: events of one kind of hits and without hits") {
  for (auto detectors : {Detectors::one, Detectors::two_networks, Detectors::two_encoders}) {
    EmbeddingNetwork const model{{.dimension = 3, .hidden = 7, .depth = 2, .detectors = detectors, .pixel_layers = 2}};
    auto const net = made(model);
    for (std::int64_t n : {0, 1, 2}) CHECK(model(hits(n), *net, {})[key::hit_embedding].sizes() == at::IntArrayRef{n, 3});
  }
}
