// SPDX-License-Identifier: BSL-1.0
// Mlp, ResidualNetwork, InteractionNetwork and Stack: against their formulas.
#include "dew/model/interaction_network.hpp"
#include "dew/model/mlp.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/model/stack.hpp"
#include "model/small_graph.hpp"

#include <ATen/ops/cosine_similarity.h>
#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

TEST_CASE("mlp: layers, widths, bias and the final ReLU are as asked for") {
  seed();
  Mlp const four({.in = 3, .out = 7, .layers = 4});
  REQUIRE(four.linear_layers().size() == 4);
  CHECK(four.linear_layers()[1]->weight.sizes() == at::IntArrayRef{7, 7});
  CHECK(four.named_parameters().contains("layers.6.bias"));
  CHECK(Mlp({.in = 3, .out = 7, .layers = 1}).linear_layers().size() == 2);
  Mlp const plain({.in = 3, .out = 7, .layers = 3, .bias = false});
  CHECK_FALSE(plain.named_parameters().contains("layers.0.bias"));
  CHECK(plain.forward(at::zeros({2, 3})).abs().max().item<double>() == 0);
  auto const x = at::randn({50, 3});
  Mlp const positive({.in = 3, .out = 7, .layers = 2, .final_relu = true});
  CHECK((positive.forward(x) >= 0).all().item<bool>());
  CHECK((positive.forward(x) == 0).any().item<bool>());
  CHECK_THROWS_AS(Mlp({.in = 0, .out = 1}), Error);
}

TEST_CASE("mlp: a row's result does not depend on the others, and the input is left alone") {
  seed();
  Mlp const net({.in = 3, .out = 2, .hidden = 8});
  auto const x = at::randn({20, 3});
  auto const copy = x.clone();
  auto const y = net.forward(x);
  CHECK(at::equal(x, copy));
  CHECK(at::allclose(net.forward(x.narrow(0, 7, 1)), y.narrow(0, 7, 1), 1e-5, 1e-6));
  CHECK(net.forward(x.narrow(0, 0, 0)).sizes() == at::IntArrayRef{0, 2});
}

TEST_CASE("residual network: the length of a row is of no account, a row of zeros is allowed, gradients are right") {
  seed();
  ResidualNetwork net({.in = 4, .hidden = 8, .out = 3, .depth = 3});
  net.to(at::kDouble);
  auto const x = at::randn({10, 4}, at::kDouble);
  CHECK(at::allclose(net.forward(x), net.forward(7 * x)));
  check_parameter_gradients(net, [&] { return net.forward(x).square().sum(); });
  auto const leaf = x.clone().requires_grad_();
  check_gradient(leaf, [&] { return net.forward(leaf).square().sum(); });
  auto const zeros = at::zeros({2, 4}, at::kDouble).requires_grad_();
  net.forward(zeros).sum().backward();
  CHECK(at::isfinite(zeros.grad()).all().item<bool>());
}

TEST_CASE("residual network: weights start with the variances of their definition") {
  seed();
  ResidualNetwork const net({.in = 50, .hidden = 200, .out = 100, .depth = 2});
  auto const parameters = net.named_parameters();
  CHECK(parameters["encoder.weight"].var().item<double>() == doctest::Approx(1.0 / 50).epsilon(0.05));
  CHECK(parameters["layers.0.weight"].var().item<double>() == doctest::Approx(2.0 / 200).epsilon(0.05));
  CHECK(parameters["decoder.weight"].var().item<double>() == doctest::Approx(2.0 / 200).epsilon(0.05));
  CHECK(parameters["decoder.bias"].var().item<double>() == doctest::Approx(2.0 / 200).epsilon(0.4));
}

namespace {
/// Layer i of a stack as a network of its own, with the same weights.
InteractionNetwork layer(Stack const& stack, int i, StackShape const& s) {
  InteractionNetwork net({.node_in = s.node, .edge_in = s.edge, .node_out = s.node, .edge_out = s.edge, .hidden = s.hidden});
  at::NoGradGuard no_grad;
  auto const from = stack.named_parameters();
  for (auto const& p : net.named_parameters()) p.value().copy_(from[fmt::format("layers.{}.{}", i, p.key())]);
  return net;
}
Tensor half(Tensor const& a, Tensor const& b) { return std::sqrt(0.5) * a + std::sqrt(0.5) * b; }
}  // namespace

TEST_CASE("stack: skip2 adds a block's raw input after the block's second layer") {
  seed();
  StackShape const shape{.kind = StackKind::skip2, .node = 5, .edge = 4, .hidden = 8, .layers = 4};
  Stack const stack(shape);
  auto const x = at::randn({7, 5}), e = at::randn({11, 4}), edges = at::randint(0, 7, {2, 11}, at::kLong);
  auto const [x1, e1] = layer(stack, 0, shape).forward(x, edges, e);
  auto const [x2, e2] = layer(stack, 1, shape).forward(x1.relu(), edges, e1.relu());
  auto const middle = half(x, x2);
  auto const [x3, e3] = layer(stack, 2, shape).forward(middle.relu(), edges, e2.relu());
  auto const [x4, e4] = layer(stack, 3, shape).forward(x3.relu(), edges, e3.relu());
  auto const out = stack.forward(x, edges, e);
  CHECK(at::allclose(out.nodes, half(middle, x4), 1e-5, 1e-6));
  REQUIRE(out.edges.size() == 3);
  CHECK(at::equal(out.edges[0], e));
  CHECK(at::allclose(out.edges[1], e2, 1e-5, 1e-6));
  CHECK(at::allclose(out.edges[2], e4, 1e-5, 1e-6));
}

TEST_CASE("stack: skip_top adds the first layer's output, or the input") {
  seed();
  for (bool add_input : {false, true}) {
    StackShape const shape{.kind = StackKind::skip_top, .node = 5, .edge = 4, .hidden = 8, .layers = 3, .add_input = add_input};
    Stack const stack(shape);
    auto const x = at::randn({7, 5}), e = at::randn({11, 4}), edges = at::randint(0, 7, {2, 11}, at::kLong);
    auto const [x1, e1] = layer(stack, 0, shape).forward(x, edges, e);
    auto const [x2, e2] = layer(stack, 1, shape).forward(x1.relu(), edges, e1.relu());
    auto const second = half(add_input ? x : x1, x2);
    auto const [x3, e3] = layer(stack, 2, shape).forward(second.relu(), edges, e2.relu());
    CHECK(at::allclose(stack.forward(x, edges, e).nodes, half(add_input ? x : x1, x3), 1e-5, 1e-6));
  }
}

TEST_CASE("stack: prenorm is its formula") {
  seed();
  StackShape const shape{.node = 5, .edge = 4, .hidden = 8, .layers = 2};
  Stack const stack(shape);
  auto const edges = at::randint(0, 7, {2, 11}, at::kLong);
  auto x = at::randn({7, 5}), e = at::randn({11, 4});
  auto const out = stack.forward(x, edges, e);
  auto const degree = at::zeros({7}).index_add(0, edges[1], at::ones({11})).clamp_min(1);
  auto const unit = [](Tensor const& t) { return (t - t.mean(1, true)) / (t.var(1, false, true) + 1e-5).sqrt(); };
  for (int i = 0; i < 2; ++i) {
    auto const net = layer(stack, i, shape);
    e = e + net.message(unit(x), edges, {.given = {unit(e)}}).values;
    x = x + net.update(unit(x), at::zeros({7, 4}).index_add(0, edges[1], e) / degree.sqrt().unsqueeze(1));
    CHECK(at::allclose(out.edges[std::size_t(i) + 1], e, 1e-4, 1e-5));
  }
  CHECK(at::allclose(out.nodes, x, 1e-4, 1e-5));
}

TEST_CASE("stack: without alpha a skip1 stack has no residual") {
  seed();
  StackShape const shape{.kind = StackKind::skip1, .node = 5, .edge = 4, .hidden = 8, .layers = 1, .alpha = 0};
  Stack const stack(shape);
  auto const x = at::randn({7, 5}), e = at::randn({11, 4}), edges = at::randint(0, 7, {2, 11}, at::kLong);
  CHECK(at::equal(stack.forward(x, edges, e).nodes, layer(stack, 0, shape).forward(x, edges, e).first));
}
