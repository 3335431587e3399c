// SPDX-License-Identifier: BSL-1.0
#include "dew/model/two_detector_network.hpp"

#include <doctest/doctest.h>

#include "model/plain_networks.hpp"
#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
auto made() {
  auto net = std::make_shared<TwoDetectorNetwork>(ResidualShape{.in = 6, .hidden = 5, .out = 3, .depth = 3, .alpha = 0.4}, 4);
  net->to(at::kDouble);
  return net;
}
}  // namespace

TEST_CASE("two detectors: each hit through the network of its layer, in the order of the hits") {
  seed();
  auto const net = made();
  auto const x = at::randn({9, 6}, at::kDouble);
  auto const layer = at::tensor({7, 0, 3, 4, 2, 9, 3, 5, 1}, at::kLong);  // 0 to 3 are pixels
  at::NoGradGuard no_grad;
  PlainNetworks const plain(*net);
  auto const got = net->forward(x, layer);
  CHECK(got.sizes() == at::IntArrayRef{9, 3});
  for (std::int64_t i = 0; i < 9; ++i)
    CHECK(at::allclose(got[i], plain.residual(layer[i].item<std::int64_t>() < 4 ? "pixel" : "strip", x[i], 0.4)));
  CHECK_FALSE(at::allclose(plain.residual("pixel", x[0], 0.4), plain.residual("strip", x[0], 0.4)));
}

TEST_CASE("two detectors: gradients of all parameters and of the features") {
  seed();
  auto const net = made();
  auto const x = at::randn({6, 6}, at::kDouble).requires_grad_();
  auto const layer = at::tensor({7, 0, 3, 4, 2, 9}, at::kLong);
  auto const loss = [&] { return loss_of({net->forward(x, layer)}); };
  check_parameter_gradients(*net, loss);
  check_gradient(x, loss);
}

TEST_CASE("two detectors: hits of one of them, no hits, and what is refused") {
  auto const net = made();
  auto const x = at::ones({3, 6}, at::kDouble);
  for (std::int64_t layer : {0, 9}) CHECK(net->forward(x, at::full({3}, layer, at::kLong)).sizes() == at::IntArrayRef{3, 3});
  CHECK(net->forward(at::ones({0, 6}, at::kDouble), at::empty({0}, at::kLong)).sizes() == at::IntArrayRef{0, 3});
  CHECK_THROWS_WITH_AS(net->forward(x, at::zeros({2}, at::kLong)), doctest::Contains("a layer for each of 3 hits"), Error);
  CHECK_THROWS_WITH_AS(TwoDetectorNetwork(ResidualShape{}, 0), doctest::Contains("at least one pixel layer"), Error);
}
