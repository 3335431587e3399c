// SPDX-License-Identifier: BSL-1.0
#include "dew/model/point_cloud_network.hpp"

#include <doctest/doctest.h>

#include "model/plain_networks.hpp"
#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// A block by its definition: the k nearest of each hit, itself included, by sorting all distances.
PlainNetworks::Rows block(PlainNetworks const& net, std::string const& name, PlainNetworks::Rows const& x, std::size_t k, int layers,
                          double alpha) {
  PlainNetworks::Graph edges;
  PlainNetworks::Rows h, e;
  for (std::size_t t = 0; t < x.size(); ++t) {
    std::vector<std::pair<double, std::size_t>> near;
    for (std::size_t s = 0; s < x.size(); ++s) near.emplace_back((x[s] - x[t]).norm().item<double>(), s);
    std::sort(near.begin(), near.end());
    Tensor sum;
    for (std::size_t n = 0; n < std::min(k, near.size()); ++n) {
      auto const s = near[n].second;
      edges.emplace_back(s, t);
      auto const m = net.mlp(name + ".node_encoder", at::cat({x[t], x[s] - x[t]}));
      sum = sum.defined() ? sum + m : m;
    }
    h.push_back(at::relu(sum));
  }
  for (auto const& [s, t] : edges) e.push_back(at::relu(net.mlp(name + ".edge_encoder", at::cat({h[s], h[t]}))));
  for (int i = 0; i < layers; ++i) {
    auto [e_new, h_new] = net.interaction(name + ".layers." + std::to_string(i), h, edges, e);
    for (std::size_t t = 0; t < h.size(); ++t) h[t] = alpha * h[t] + (1 - alpha) * h_new[t];
    e = std::move(e_new);
  }
  return h;
}
PointCloudNetwork const model{
    {.latent = 3, .blocks = 2, .layers = 2, .node_width = 5, .edge_width = 4, .block_hidden = 7, .head_hidden = 6, .alpha = 0.3}};
auto made(std::int64_t hits = 7) {
  auto net = model.make(Widths::of(small_graph(hits, 0)));
  net->to(at::kDouble);
  return net;
}
}  // namespace

TEST_CASE("point cloud network: its blocks with 2, 2 and 1 neighbours and its heads, row by row") {
  seed();
  auto const event = small_graph(7, 0, at::kDouble);
  auto const net = made();
  at::NoGradGuard no_grad;
  PlainNetworks const plain(*net);
  auto x = rows_of(event[key::hit_features]);
  x = block(plain, "blocks.0", x, 2, 2, 0.3), x = block(plain, "blocks.1", x, 2, 2, 0.3), x = block(plain, "blocks.2", x, 1, 2, 0.3);
  auto const out = model(event, *net, {});
  CHECK(out[key::latent].sizes() == at::IntArrayRef{7, 3});
  for (std::size_t t = 0; t < x.size(); ++t) {
    CHECK(at::allclose(out[key::latent][std::int64_t(t)], plain.mlp("latent_head", x[t])));
    CHECK(out[key::beta][std::int64_t(t)].item<double>() ==
          doctest::Approx(1 / (1 + std::exp(-plain.mlp("beta_head", x[t]).item<double>())) + 1e-11));
  }
}

TEST_CASE("point cloud network: gradients of all parameters and of the features") {
  seed();
  auto const x = small_graph(6, 0, at::kDouble)[key::hit_features].requires_grad_();
  auto const net = made();
  auto const loss = [&] {
    auto const out = model(Record{key::hit_features = x}, *net, {});
    return loss_of({out[key::latent], out[key::beta]});
  };
  check_parameter_gradients(*net, loss);
  check_gradient(x, loss);
}

TEST_CASE("point cloud network: fewer hits than neighbours, none, and a beta whose artanh is finite") {
  auto const net = made();
  for (std::int64_t n : {0, 1, 2}) {
    auto const out = model(small_graph(n, 0, at::kDouble), *net, {});
    CHECK(out[key::latent].sizes() == at::IntArrayRef{n, 3});
    CHECK(out[key::beta].sizes() == at::IntArrayRef{n});
  }
  at::NoGradGuard no_grad;
  net->named_parameters()["beta_head.layers.4.bias"].fill_(100);
  CHECK(at::isfinite(at::atanh(model(small_graph(5, 0, at::kDouble), *net, {})[key::beta])).all().item<bool>());
  CHECK_THROWS_AS(PointCloudNetwork{{.blocks = 0}}.make(Widths::of(small_graph(2, 0))), Error);
}
