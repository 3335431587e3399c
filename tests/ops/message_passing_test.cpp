// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/message_passing.hpp"

#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

TEST_CASE("edge linear: value and gradients of the reference, for any number of edge operands") {
  seed();
  auto const real = at::TensorOptions().dtype(at::kDouble);
  for (auto const& widths : {std::vector<std::int64_t>{}, {3}, {3, 2, 0, 4}})
    for (std::int64_t edges : {0, 1, 40}) {
      CAPTURE(widths.size());
      CAPTURE(edges);
      auto const first = at::randint(0, 9, {edges}, at::kLong), second = at::randint(0, 9, {edges}, at::kLong);
      std::int64_t in = 10;
      std::vector<Tensor> leaves{at::randn({9, 5}, real).requires_grad_()};
      for (auto width : widths) leaves.push_back(at::randn({edges, width}, real).requires_grad_()), in += width;
      leaves.push_back(at::randn({6, in}, real).requires_grad_());
      leaves.push_back(at::randn({6}, real).requires_grad_());
      auto const run = [&](auto f) {
        std::vector<Tensor> const operands(leaves.begin() + 1, leaves.end() - 2);
        return f(leaves[0], first, second, operands, leaves[leaves.size() - 2], leaves.back());
      };
      auto const got = run(edge_linear), expected = run(edge_linear_reference);
      CHECK(at::allclose(got, expected));
      auto const up = at::randn_like(got);
      auto const a = torch::autograd::grad({got}, leaves, {up}, std::nullopt, false, true),
                 b = torch::autograd::grad({expected}, leaves, {up}, std::nullopt, false, true);
      for (std::size_t i = 0; i < leaves.size(); ++i)
        CHECK(at::allclose(a[i].defined() ? a[i] : at::zeros_like(leaves[i]), b[i].defined() ? b[i] : at::zeros_like(leaves[i])));
    }
}

TEST_CASE("edge linear: without bias, and shapes that do not fit are refused") {
  seed();
  auto const x = at::randn({4, 3}), rows = at::tensor({0, 3}, at::kLong), e = at::randn({2, 2}), weight = at::randn({5, 8});
  CHECK(at::allclose(edge_linear(x, rows, rows, {e}, weight, {}), edge_linear_reference(x, rows, rows, {e}, weight, {}), 1e-5, 1e-6));
  CHECK_THROWS_WITH_AS(edge_linear(x, rows, rows, {e}, at::randn({5, 7}), {}), doctest::Contains("expected a weight of 8 columns"), Error);
  CHECK_THROWS_WITH_AS(edge_linear(x, rows, rows, {at::randn({3, 2})}, weight, {}),
                       doctest::Contains("expected edge operands of 2 rows, got [3, 2]"), Error);
}

TEST_CASE("sums at targets and degrees: by hand") {
  auto const target = at::tensor({2, 0, 2}, at::kLong);
  auto const messages = at::tensor({1.0, 2.0, 4.0, 8.0, 16.0, 32.0}, at::kDouble).reshape({3, 2});
  CHECK(at::equal(sum_at(messages, target, 4), at::tensor({4.0, 8.0, 0.0, 0.0, 17.0, 34.0, 0.0, 0.0}, at::kDouble).reshape({4, 2})));
  CHECK(at::equal(in_degree(target, 4, messages.options()), at::tensor({1.0, 0.0, 2.0, 0.0}, at::kDouble)));
}
