// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/message_passing.hpp"

#include "model/small_graph.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

TEST_CASE("sums at targets and degrees: by hand") {
  auto const target = at::tensor({2, 0, 2}, at::kLong);
  auto const messages = at::tensor({1.0, 2.0, 4.0, 8.0, 16.0, 32.0}, at::kDouble).reshape({3, 2});
  CHECK(at::equal(sum_at(messages, target, 4), at::tensor({4.0, 8.0, 0.0, 0.0, 17.0, 34.0, 0.0, 0.0}, at::kDouble).reshape({4, 2})));
  CHECK(at::equal(in_degree(target, 4, messages.options()), at::tensor({1.0, 0.0, 2.0, 0.0}, at::kDouble)));
}
