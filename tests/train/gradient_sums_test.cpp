// SPDX-License-Identifier: BSL-1.0
#include "dew/train/gradient_sums.hpp"

#include "support/fake_processes.hpp"

using namespace dew;
using dew::test::FakeProcesses;

namespace {
Tensor parameter(std::vector<std::int64_t> const& sizes, at::ScalarType type = at::kFloat) {
  return at::ones(sizes, type).requires_grad_(true);
}
/// Two layers, of which the second is used last.
struct Net {
  NamedParameters parameters{{"first", parameter({3, 2})}, {"second", parameter({4})}, {"unused", parameter({5})}};
  Tensor loss() const { return (parameters[0].second * 2).sum() + (parameters[1].second * 3).sum(); }
};
constexpr double one_each = 1e-6;  // MB: each parameter is a bucket
}  // namespace

TEST_CASE("buckets hold parameters from the last to the first, of one kind, up to a size") {
  NamedParameters const list{{"a", parameter({10})}, {"b", parameter({10})}, {"c", parameter({1000})},
                             {"d", parameter({10})}, {"e", parameter({10})}, {"f", parameter({5}, at::kDouble)}};
  using Buckets = std::vector<std::vector<std::size_t>>;
  CHECK(plan_buckets(list, 80) == Buckets{{5}, {4, 3}, {2}, {1, 0}});
  CHECK(plan_buckets(list, 79) == Buckets{{5}, {4}, {3}, {2}, {1}, {0}});
  CHECK(plan_buckets(list, 1e9) == Buckets{{5}, {4, 3, 2, 1, 0}});
  CHECK(plan_buckets({}, 80).empty());
}

TEST_CASE("gradients become the sums over the processes, and one that no process has stays undefined") {
  for (double const mb : {one_each, 2.0}) {
    Net const net;
    FakeProcesses group(0, 2, {.bucket_mb = mb});
    group.others = [](Tensor const& t) { t.mul_(3); };  // as if the other had twice as much
    GradientSums sums(group, net.parameters);
    for (int step = 0; step < 3; ++step) {
      for (auto const& [name, t] : net.parameters) t.mutable_grad() = Tensor();
      net.loss().backward();  // of one event, and of another one
      sums.last_backward_follows();
      net.loss().backward();
      sums.start_all();
      sums.finish();
      CHECK(at::equal(net.parameters[0].second.grad(), at::full({3, 2}, 12.0)));
      CHECK(at::equal(net.parameters[1].second.grad(), at::full({4}, 18.0)));
      CHECK(!net.parameters[2].second.grad().defined());
    }
    CHECK(group.waited == group.started);
  }
}

TEST_CASE("a process without an event adds nothing and gets the others' gradients") {
  Net const net;
  FakeProcesses group(1, 2);
  group.others = [](Tensor const& t) {  // flags and gradients of the other: third, second, first parameter
    CHECK(at::equal(t, at::zeros({3 + 5 + 4 + 6})));
    t.copy_(at::cat({at::tensor({0.0f, 1.0f, 1.0f}), at::zeros({5}), at::full({4}, 3.0), at::full({6}, 2.0)}));
  };
  GradientSums sums(group, net.parameters);
  sums.finish();
  CHECK(at::equal(net.parameters[0].second.grad(), at::full({3, 2}, 2.0)));
  CHECK(at::equal(net.parameters[1].second.grad(), at::full({4}, 3.0)));
  CHECK(!net.parameters[2].second.grad().defined());
}

TEST_CASE("a gradient that is missing for a step adds nothing, whatever was there a step before") {
  Net const net;
  FakeProcesses group(0, 2);
  GradientSums sums(group, net.parameters);
  net.loss().backward();
  sums.finish();
  for (auto const& [name, t] : net.parameters) t.mutable_grad() = Tensor();
  group.others = [](Tensor const& t) { t.add_(1); };  // the other one has gradients of ones, for all three
  sums.finish();
  for (auto const& [name, t] : net.parameters) CHECK(at::equal(t.grad(), at::ones(t.sizes())));
}

TEST_CASE("buckets start during the last backward pass, in their order") {
  Net net;
  std::swap(net.parameters[0], net.parameters[2]);  // the unused one is in the last bucket
  FakeProcesses group(0, 2, {.bucket_mb = one_each});
  GradientSums sums(group, net.parameters);
  net.parameters[2].second.mutable_grad() = Tensor();
  auto const loss = (net.parameters[2].second * 2).sum() + (net.parameters[1].second * 3).sum();
  loss.backward();
  CHECK(group.started == 0);  // there may be another event
  sums.last_backward_follows();
  ((net.parameters[2].second * 2).sum() + (net.parameters[1].second * 3).sum()).backward();
  CHECK(group.started == 2);
  CHECK(group.waited == 0);
  sums.finish();
  CHECK(group.started == 3);
  CHECK(group.waited == 3);

  // a first bucket that never comes holds the later ones back
  std::swap(net.parameters[0], net.parameters[2]);
  FakeProcesses held(0, 2, {.bucket_mb = one_each});
  GradientSums others(held, net.parameters);
  others.last_backward_follows();
  ((net.parameters[0].second * 2).sum() + (net.parameters[1].second * 3).sum()).backward();
  CHECK(held.started == 0);
  others.finish();
  CHECK(held.started == 3);
}

TEST_CASE("a gradient that comes after its bucket has left is an error") {
  Net const net;
  FakeProcesses group(0, 2, {.bucket_mb = one_each});
  NamedParameters const used{net.parameters[0], net.parameters[1]};
  GradientSums sums(group, used);
  sums.last_backward_follows();
  net.loss().backward();
  CHECK_THROWS_AS(net.loss().backward(), Error);
}

TEST_CASE("a process alone has no hooks, and the hooks of several go with the object") {
  Net const net;
  OneProcess one;
  GradientSums sums(one, net.parameters);
  sums.last_backward_follows();
  net.loss().backward();
  sums.finish();
  CHECK(at::equal(net.parameters[0].second.grad(), at::full({3, 2}, 2.0)));
  {
    FakeProcesses two(0, 2);
    GradientSums const gone(two, net.parameters);
    CHECK(torch::autograd::impl::post_acc_grad_hooks(net.parameters[0].second) != nullptr);
  }
  net.loss().backward();  // would call into what is gone
  for (auto const& [name, t] : net.parameters) CHECK(torch::autograd::impl::post_acc_grad_hooks(t) == nullptr);
}

TEST_CASE("parameters of other numbers are refused by name") {
  FakeProcesses group(0, 2);
  CHECK_THROWS_WITH_AS((GradientSums{group, {{"net.weight", parameter({2}, at::kBFloat16)}}}),
                       "net.weight: several processes train parameters of float32 or float64, not of BFloat16", Error);
}
