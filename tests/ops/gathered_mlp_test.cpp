// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/gathered_mlp.hpp"

#include "model/small_graph.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace dew;
using namespace dew::test;

namespace {

struct Case {
  std::int64_t rows = 40;
  std::vector<std::int64_t> gathered = {}, given = {};
  PartTransform transform = PartTransform::none;
  bool residual = false, bias = true, final_relu = false, late = false;
  std::vector<std::int64_t> widths = {6, 6, 3};  // of the layers' outputs
  at::ScalarType type = at::kDouble;
};

/// A call with random tensors, all of them leaves that want a gradient.
struct Call {
  MlpRows rows;
  MlpLayers mlp;
  Tensor target;
  std::int64_t const targets = 7;
  std::vector<Tensor> leaves;

  explicit Call(Case const& c) {
    auto const leaf = [&](at::IntArrayRef sizes) {
      return leaves.emplace_back(at::randn(sizes, at::TensorOptions().dtype(c.type)).requires_grad_());
    };
    std::int64_t in = 0;
    for (auto width : c.gathered) rows.gathered.push_back({leaf({9, width}), at::randint(0, 9, {c.rows}, at::kLong)}), in += width;
    for (auto width : c.given) rows.given.push_back(leaf({c.rows, width})), in += width;
    rows.transform = c.transform;
    rows.residual = c.residual;
    rows.late_gradients = c.late;
    if (c.transform == PartTransform::layer_norm) rows.norm_weight = leaf({c.given[0]}), rows.norm_bias = leaf({c.given[0]});
    for (auto width : c.widths) {
      mlp.weights.push_back(leaf({width, in}));
      if (c.bias) mlp.biases.push_back(leaf({width}));
      in = width;
    }
    mlp.final_relu = c.final_relu;
    target = at::randint(0, targets, {c.rows}, at::kLong);
  }
  Messages by_reference() const {
    auto const values = gathered_mlp_reference(rows, mlp);
    return {values, at::zeros({targets, values.size(1)}, values.options()).index_add(0, target, values)};
  }
};

/// The largest number of bytes of tensors that this thread has made and not yet given back, since this began.
class PeakMemory : public c10::MemoryReportingInfoBase {
 public:
  PeakMemory() : watch_(c10::DebugInfoKind::PROFILER_STATE, std::shared_ptr<PeakMemory>(this, [](PeakMemory*) {})) {}
  void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override {
    now_ += bytes, peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t bytes() const { return peak_; }

 private:
  std::int64_t now_ = 0, peak_ = 0;
  c10::DebugInfoGuard watch_;
};

std::vector<Tensor> gradients(Messages const& of, std::vector<Tensor> const& leaves, Tensor const& up_values, Tensor const& up_sums) {
  auto out = torch::autograd::grad({of.values, of.sums}, leaves, {up_values, up_sums}, std::nullopt, false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!out[i].defined()) out[i] = at::zeros_like(leaves[i]);
  return out;
}

void check_equal(Call const& call, double tolerance) {
  auto const got = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets), expected = call.by_reference();
  CHECK(at::allclose(got.values, expected.values, tolerance, tolerance));
  CHECK(at::allclose(got.sums, expected.sums, tolerance, tolerance * 10));
  CHECK(at::allclose(gathered_mlp(call.rows, call.mlp), expected.values, tolerance, tolerance));
  auto const up_values = at::randn_like(expected.values), up_sums = at::randn_like(expected.sums);
  auto const a = gradients(got, call.leaves, up_values, up_sums), b = gradients(expected, call.leaves, up_values, up_sums);
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    double const scale = b[i].numel() > 0 ? b[i].abs().max().item<double>() : 0;
    CHECK(at::allclose(a[i], b[i], 0, tolerance * (1 + scale)));
  }
}

}  // namespace

TEST_CASE("gathered MLP: value and gradients of the reference, for any parts, layers, biases and transforms") {
  seed();
  using enum PartTransform;
  std::vector<Case> const cases{
      {.gathered = {5, 5}, .given = {4}},
      {.gathered = {5}, .given = {}},
      {.gathered = {}, .given = {4}},
      {.gathered = {5, 2, 3}, .given = {4, 1, 2}},
      {.gathered = {5, 5}, .given = {4}, .bias = false, .final_relu = true},
      {.gathered = {5, 5}, .given = {4}, .final_relu = true},
      {.gathered = {5, 5}, .given = {4}, .transform = relu},
      {.gathered = {5, 5}, .given = {4, 2}, .transform = relu},
      {.gathered = {5, 5}, .given = {3}, .transform = layer_norm},
      {.gathered = {5, 5}, .given = {3}, .transform = layer_norm, .residual = true},
      {.gathered = {5, 5}, .given = {3}, .transform = relu, .residual = true},
      {.gathered = {5, 5}, .given = {3}, .residual = true},
      {.gathered = {5, 5}, .given = {3}, .transform = layer_norm, .widths = {3}},
      {.gathered = {5, 5}, .given = {32}, .transform = layer_norm, .residual = true, .widths = {20, 32}},
      {.gathered = {16}, .given = {32, 16}, .transform = relu, .residual = true, .final_relu = false, .widths = {32, 32}},
      {.gathered = {5, 5}, .given = {4}, .widths = {1}},
      {.gathered = {5, 5}, .given = {4}, .widths = {33, 1}},
      {.gathered = {5, 5}, .given = {4}, .widths = {2, 17, 5, 8}},
      {.gathered = {5, 0}, .given = {4, 0}},
      {.gathered = {}, .given = {0, 4}},
      {.gathered = {5, 5}, .given = {4, 1, 2}, .late = true},
      {.gathered = {}, .given = {4}, .bias = false, .final_relu = true, .late = true},
      {.gathered = {5}, .given = {16, 32}, .late = true, .widths = {32, 1}},
      {.gathered = {5, 5}, .given = {4, 2}, .late = true, .widths = {3}},
  };
  for (std::size_t number = 0; number < cases.size(); ++number)
    for (std::int64_t rows : {0, 1, 40, 2500})
      for (auto type : {at::kDouble, at::kFloat}) {
        auto shape = cases[number];
        shape.rows = rows, shape.type = type;
        CAPTURE(number);
        CAPTURE(rows);
        CAPTURE(shape.type == at::kDouble);
        check_equal(Call(shape), type == at::kDouble ? 1e-10 : 2e-4);
      }
}

namespace {

/// Few whole numbers, so small that neither rounding to bfloat16 nor the order of a sum changes anything.
void make_whole(Call& call) {
  at::NoGradGuard no_grad;
  for (auto const& leaf : call.leaves)
    leaf.copy_(at::randint(-1, 2, leaf.sizes(), leaf.options()) * at::randint(0, 2, leaf.sizes(), leaf.options()));
}

/// Widths and rows of every oddity for whole vectors, tiles and pairs of rows.
std::vector<Case> rounded_cases() {
  using enum PartTransform;
  std::vector<Case> cases;
  for (std::int64_t rows : {0, 1, 15, 16, 17, 33, 1000}) {
    cases.push_back({.rows = rows, .gathered = {5, 5}, .given = {4}, .widths = {14, 3, 1}});
    cases.push_back({.rows = rows, .gathered = {3}, .given = {14, 1}, .transform = relu, .final_relu = true, .widths = {48, 32}});
    cases.push_back({.rows = rows, .gathered = {32, 17}, .given = {32, 3}, .residual = true, .bias = false, .widths = {64, 100, 32}});
    cases.push_back({.rows = rows, .gathered = {64, 64}, .given = {}, .widths = {48, 16}});
    cases.push_back({.rows = rows, .gathered = {}, .given = {100}, .final_relu = true, .widths = {1}});
    cases.push_back({.rows = rows, .gathered = {1}, .given = {}, .final_relu = true, .widths = {33}});
    cases.push_back({.rows = rows, .gathered = {5, 5}, .given = {4, 33, 16}, .late = true, .widths = {40, 3}});
    cases.push_back({.rows = rows, .gathered = {}, .given = {32, 1}, .late = true, .widths = {17, 1}});
    cases.push_back({.rows = rows, .gathered = {5}, .given = {16, 3}, .bias = false, .final_relu = true, .late = true, .widths = {20}});
  }
  for (auto& shape : cases) shape.type = at::kFloat;
  return cases;
}

}  // namespace

TEST_CASE("gathered MLP in bfloat16: on small whole numbers the numbers of float32, in value and gradient") {
  seed();
  auto const threads = at::get_num_threads();
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    for (auto const& shape : rounded_cases()) {
      CAPTURE(shape.rows);
      CAPTURE(shape.widths.front());
      CAPTURE(n);
      Call call(shape);
      make_whole(call);
      auto const expected = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets);
      call.mlp.products = Products::bfloat16;
      auto const got = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets);
      double const largest = shape.rows > 0 ? expected.values.abs().max().item<double>() : 0;
      REQUIRE(largest < 256);
      CHECK(at::equal(got.values, expected.values));
      CHECK(at::equal(got.sums, expected.sums));
      auto const up = at::randint(-1, 2, expected.values.sizes(), expected.values.options()), no_sums = at::zeros_like(expected.sums);
      auto const a = gradients(got, call.leaves, up, no_sums), b = gradients(expected, call.leaves, up, no_sums);
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        if (shape.rows < 1000) CHECK(at::equal(a[i], b[i]));
        else CHECK((a[i] - b[i]).norm().item<double>() <= 4e-3 * b[i].norm().item<double>());  // a node's sum may not fit into 8 bits
      }
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("gathered MLP in bfloat16: its reference in value and gradient, near float32 and not the same") {
  seed();
  auto cases = rounded_cases();
  for (std::int64_t width : {3, 32, 48, 64})
    for (bool residual : {false, true})
      cases.push_back({.rows = 700,
                       .gathered = {5, 5},
                       .given = {width},
                       .transform = PartTransform::layer_norm,
                       .residual = residual,
                       .widths = {40, width},
                       .type = at::kFloat});
  auto const relative = [](Tensor const& a, Tensor const& b) {
    return b.numel() == 0 ? 0. : ((a - b).norm() / (b.norm() + 1e-6)).item<double>();
  };
  for (auto const& shape : cases) {
    CAPTURE(shape.rows);
    CAPTURE(shape.widths.front());
    Call call(shape);
    auto const exact = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets);
    call.mlp.products = Products::bfloat16;
    auto const got = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets), expected = call.by_reference();
    CHECK(relative(got.values, expected.values) < 1e-3);
    CHECK(relative(got.sums, expected.sums) < 1e-3);
    CHECK(relative(dew::detail::gathered_mlp_by_operations(call.rows, call.mlp), expected.values) < 1e-3);
    CHECK(relative(got.values, exact.values) < 2e-2);
    if (shape.rows == 1000) CHECK(relative(got.values, exact.values) > 1e-4);
    auto const up_values = at::randn_like(expected.values), up_sums = at::randn_like(expected.sums);
    auto const a = gradients(got, call.leaves, up_values, up_sums), b = gradients(expected, call.leaves, up_values, up_sums);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(i);
      CHECK(relative(a[i], b[i]) < 1e-2);
    }
  }
}

TEST_CASE("gathered MLP in bfloat16: the same bits each time, in any number of threads") {
  seed();
  auto const threads = at::get_num_threads();
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    Call call({.rows = 5000,
               .gathered = {40, 40},
               .given = {48},
               .transform = PartTransform::layer_norm,
               .residual = true,
               .widths = {64, 48},
               .type = at::kFloat});
    call.mlp.products = Products::bfloat16;
    auto const run = [&] { return gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets); };
    auto const once = run(), again = run();
    CHECK(at::equal(once.values, again.values));
    CHECK(at::equal(once.sums, again.sums));
    auto const up_values = at::randn_like(once.values), up_sums = at::randn_like(once.sums);
    auto const a = gradients(once, call.leaves, up_values, up_sums), b = gradients(again, call.leaves, up_values, up_sums);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(at::equal(a[i], b[i]));
  }
  at::set_num_threads(threads);
}

TEST_CASE("gathered MLP in bfloat16: late gradients are rounded where all others are") {
  seed();
  for (auto shape : rounded_cases())
    if (shape.late) {
      CAPTURE(shape.rows);
      CAPTURE(shape.widths.front());
      Call call(shape);
      call.mlp.products = Products::bfloat16;
      auto const run = [&](bool late) {
        call.rows.late_gradients = late;
        return gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets);
      };
      auto const late = run(true), early = run(false);
      auto const up_values = at::randn_like(late.values), up_sums = at::randn_like(late.sums);
      auto const a = gradients(late, call.leaves, up_values, up_sums), b = gradients(early, call.leaves, up_values, up_sums);
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CHECK(at::allclose(a[i], b[i], 1e-6, 1e-6 * (1 + (b[i].numel() > 0 ? b[i].abs().max().item<double>() : 0))));
      }
    }
  auto const first = at::randn({12, 3}).requires_grad_(), weight = at::randn({2, 6}).requires_grad_();
  auto const twice = [&](bool late) {
    auto const values =
        gathered_mlp({.given = {first, first.square()}, .late_gradients = late}, {.weights = {weight}, .products = Products::bfloat16});
    auto const gradient = torch::autograd::grad({values.pow(3).sum()}, {first}, {}, std::nullopt, /*create_graph=*/true)[0];
    auto out = torch::autograd::grad({gradient.square().sum()}, {first, weight});
    out.push_back(gradient);
    return out;
  };
  auto const got = twice(true), expected = twice(false);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(((got[i] - expected[i]).norm() / expected[i].norm()).item<double>() < 5e-3);
}

TEST_CASE("gathered MLP in bfloat16: NaN and infinity stay in their rows, doubles keep their precision") {
  seed();
  auto const infinity = std::numeric_limits<float>::infinity();
  for (float lost : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(), infinity}) {
    Call call({.rows = 40, .gathered = {5}, .given = {14}, .widths = {14, 3}, .type = at::kFloat});
    call.mlp.products = Products::bfloat16;
    at::NoGradGuard no_grad;
    call.rows.given[0][3][7] = lost;
    auto const got = gathered_mlp(call.rows, call.mlp), expected = gathered_mlp_reference(call.rows, call.mlp);
    CHECK(at::equal(at::isnan(got), at::isnan(expected)));
    CHECK(at::equal(at::isinf(got), at::isinf(expected)));
    auto const lost_rows = at::isfinite(got).logical_not().any(1);
    CHECK(lost_rows[3].item<bool>());
    CHECK(lost_rows.sum().item<int>() == 1);
  }
  Call call({.gathered = {5, 5}, .given = {4}});
  auto const exact = gathered_mlp(call.rows, call.mlp);
  call.mlp.products = Products::bfloat16;
  CHECK(at::equal(gathered_mlp(call.rows, call.mlp), exact));
}

TEST_CASE("gathered MLP in bfloat16: a gradient to be differentiated again is that of the reference") {
  seed();
  Call call({.gathered = {5, 5}, .given = {3}, .transform = PartTransform::relu, .type = at::kFloat});
  call.mlp.products = Products::bfloat16;
  auto const penalty = [&](Tensor const& values) {
    auto const first = torch::autograd::grad({values.pow(3).sum()}, {call.leaves[0]}, {}, std::nullopt, /*create_graph=*/true)[0];
    return torch::autograd::grad({first.square().sum()}, {call.leaves[0], call.mlp.weights[1]});
  };
  auto const got = penalty(gathered_mlp(call.rows, call.mlp)), expected = penalty(gathered_mlp_reference(call.rows, call.mlp));
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(((got[i] - expected[i]).norm() / expected[i].norm()).item<double>() < 2e-2);
}

TEST_CASE("gathered MLP: wide layers, and rows that are no multiple of a tile, in any number of threads") {
  seed();
  auto const threads = at::get_num_threads();
  for (int n : {1, 2, 3}) {
    at::set_num_threads(n);
    for (std::int64_t rows : {63, 64, 65, 1024, 1025, 5000}) {
      CAPTURE(n);
      CAPTURE(rows);
      Call const call({.rows = rows, .gathered = {40, 40}, .given = {64}, .widths = {700, 64, 64}});
      check_equal(call, 1e-9);
      auto const once = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets),
                 again = gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets);
      CHECK(at::equal(once.sums, again.sums));
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("gathered MLP: only the gradients that are asked for, with one of two outputs used, and none at all") {
  seed();
  Call const call({.gathered = {5, 5}, .given = {3}, .transform = PartTransform::layer_norm, .residual = true});
  auto const values_only = [](Messages const& m) { return m.values.square().sum(); };
  auto const sums_only = [](Messages const& m) { return m.sums.square().sum(); };
  for (auto const& loss : {+values_only, +sums_only})
    for (auto const& leaf : call.leaves) {
      auto const got = torch::autograd::grad({loss(gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets))}, {leaf})[0],
                 expected = torch::autograd::grad({loss(call.by_reference())}, {leaf})[0];
      CHECK(at::allclose(got, expected));
    }
  for (std::size_t frozen = 0; frozen < call.leaves.size(); ++frozen) {
    call.leaves[frozen].requires_grad_(false);
    auto wanted = call.leaves;
    wanted.erase(wanted.begin() + std::ptrdiff_t(frozen));
    auto const got = torch::autograd::grad({values_only(gathered_mlp_and_sum(call.rows, call.mlp, call.target, call.targets))}, wanted),
               expected = torch::autograd::grad({values_only(call.by_reference())}, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(at::allclose(got[i], expected[i]));
    call.leaves[frozen].requires_grad_(true);
  }
  at::NoGradGuard no_grad;
  CHECK_FALSE(gathered_mlp(call.rows, call.mlp).requires_grad());
}

TEST_CASE("gathered MLP: a gradient can be differentiated again") {
  seed();
  Call const call({.gathered = {5, 5}, .given = {3}, .transform = PartTransform::relu});
  auto const penalty = [&](Tensor const& values) {
    auto const first = torch::autograd::grad({values.pow(3).sum()}, {call.leaves[0]}, {}, std::nullopt, /*create_graph=*/true)[0];
    return torch::autograd::grad({first.square().sum()}, {call.leaves[0], call.mlp.weights[1]});
  };
  auto const got = penalty(gathered_mlp(call.rows, call.mlp)), expected = penalty(gathered_mlp_reference(call.rows, call.mlp));
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(at::allclose(got[i], expected[i]));
}

TEST_CASE("gathered MLP: a gradient to be differentiated again is a partial one, though one part is made of another") {
  seed();
  auto const first = at::randn({12, 3}, at::kDouble).requires_grad_(), weight = at::randn({2, 6}, at::kDouble).requires_grad_();
  auto const gradients = [&](auto const& mlp) {
    MlpRows const rows{.given = {first, first.square()}};
    auto const out = mlp(rows, MlpLayers{.weights = {weight}});
    auto const gradient = torch::autograd::grad({out.square().sum()}, {first}, {}, std::nullopt, /*create_graph=*/true)[0];
    return std::pair{gradient, torch::autograd::grad({gradient.square().sum()}, {first})[0]};
  };
  auto const got = gradients(gathered_mlp), expected = gradients(gathered_mlp_reference);
  CHECK(at::allclose(got.first, expected.first));
  CHECK(at::allclose(got.second, expected.second));
}

TEST_CASE("gathered MLP: late gradients can be differentiated again, and need no gradient of a part or of the weights") {
  seed();
  auto const first = at::randn({12, 3}, at::kDouble).requires_grad_(), weight = at::randn({2, 6}, at::kDouble).requires_grad_();
  auto const run = [&](bool late, Tensor const& a, Tensor const& b) {
    return gathered_mlp({.given = {a, b}, .late_gradients = late}, {.weights = {weight}}).pow(3).sum();
  };
  auto const twice = [&](bool late) {
    auto const gradient = torch::autograd::grad({run(late, first, first.square())}, {first}, {}, std::nullopt, /*create_graph=*/true)[0];
    auto out = torch::autograd::grad({gradient.square().sum()}, {first, weight});
    out.push_back(gradient);
    return out;
  };
  auto const got = twice(true), expected = twice(false);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(at::allclose(got[i], expected[i]));
  CHECK(at::allclose(torch::autograd::grad({run(true, first.detach(), first.square())}, {weight})[0],
                     torch::autograd::grad({run(false, first.detach(), first.square())}, {weight})[0]));
  weight.requires_grad_(false);
  CHECK(at::allclose(torch::autograd::grad({run(true, first, first.square())}, {first})[0],
                     torch::autograd::grad({run(false, first, first.square())}, {first})[0]));
}

TEST_CASE("gathered MLP: late gradients of parts that are made one from another are never there all at once") {
  seed();
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  constexpr std::int64_t count = 20000, width = 32, parts = 6;
  auto const weight = at::randn({width, width * parts}), step = at::randn({width, width});
  auto const peak_in_rows = [&](bool late) {
    std::vector<Tensor> made{at::randn({count, width}).requires_grad_()};
    while (std::ssize(made) < parts) made.push_back(gathered_mlp({.given = {made.back()}}, {.weights = {step}}));
    auto const out = gathered_mlp({.given = made, .late_gradients = late}, {.weights = {weight, at::randn({1, width})}});
    auto const leaf = made.front();
    made.clear();
    PeakMemory peak;
    out.backward(at::ones_like(out));
    return double(peak.bytes()) / double(count * width * std::int64_t(sizeof(float)));
  };
  CHECK(peak_in_rows(false) > 5);
  CHECK(peak_in_rows(true) < 3.5);
  at::set_num_threads(threads);
}

TEST_CASE("gathered MLP: a gradient that nobody else holds is written over, and no other") {
  seed();
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  constexpr std::int64_t count = 20000, width = 32, layers = 4;
  auto const first = at::randn({count, width}).requires_grad_(), weight = at::randn({width, width});
  auto const through = [&](auto const& mlp) {
    std::vector<Tensor> made{first};
    while (std::ssize(made) <= layers)
      made.push_back(mlp(MlpRows{.given = {made.back()}, .residual = true}, MlpLayers{.weights = {0.1 * weight}}));
    return made;
  };
  auto const up = at::randn({count, width}), before = up.clone();
  auto const expected = torch::autograd::grad({through(gathered_mlp_reference).back()}, {first}, {up})[0];
  auto const peak_in_rows = [&](bool held) {
    auto made = through(gathered_mlp);
    std::vector<Tensor> seen;
    if (held)
      for (auto const& layer : made) layer.register_hook([&](Tensor const& gradient) { seen.push_back(gradient); });
    auto const out = made.back();
    made.clear();
    PeakMemory peak;
    auto const gradient = torch::autograd::grad({out}, {first}, {up})[0];
    double const rows = double(peak.bytes()) / double(count * width * std::int64_t(sizeof(float)));
    CHECK(at::allclose(gradient, expected, 1e-4, 1e-4));
    CHECK(at::equal(up, before));
    if (held) {
      CHECK(seen.size() == layers + 1);
      for (std::size_t i = 1; i < seen.size(); ++i) CHECK(!at::equal(seen[i], seen[i - 1]));
    }
    return rows;
  };
  CHECK(peak_in_rows(false) < 1.5);
  CHECK(peak_in_rows(true) > 1.5);
  at::set_num_threads(threads);
}

TEST_CASE("gathered MLP: other dtypes go through torch operations, and NaN stays what it is") {
  seed();
  Call const call({.gathered = {5, 5}, .given = {4}, .type = at::kBFloat16});
  bool const same_type = gathered_mlp(call.rows, call.mlp).scalar_type() == at::kBFloat16;
  CHECK(same_type);
  Call lost({.gathered = {5}, .given = {4}});
  at::NoGradGuard no_grad;
  lost.rows.given[0][3][0] = std::numeric_limits<double>::quiet_NaN();
  auto const is_nan = at::isnan(gathered_mlp(lost.rows, lost.mlp)).any(1);
  CHECK(is_nan[3].item<bool>());
  CHECK(is_nan.sum().item<int>() == 1);
}

TEST_CASE("gathered MLP: what does not fit is refused") {
  seed();
  auto const x = at::randn({4, 3}), index = at::tensor({0, 3}, at::kLong), e = at::randn({2, 2});
  auto const run = [&](MlpRows const& rows, std::vector<Tensor> const& weights) { return gathered_mlp(rows, {.weights = weights}); };
  CHECK_THROWS_WITH_AS(run({.gathered = {{x, index}}, .given = {e}}, {at::randn({5, 7})}), doctest::Contains("a weight of 5 columns"),
                       Error);
  CHECK_THROWS_WITH_AS(run({.gathered = {{x, index}}, .given = {at::randn({3, 2})}}, {at::randn({5, 5})}),
                       doctest::Contains("given parts of 2 rows, got [3, 2]"), Error);
  CHECK_THROWS_WITH_AS(run({.gathered = {{x, at::tensor({0, 4}, at::kLong)}}}, {at::randn({5, 3})}),
                       doctest::Contains("index 4 is out of range: there are 4 rows"), Error);
  CHECK_THROWS_WITH_AS(run({.gathered = {{x, at::tensor({-1, 0}, at::kLong)}}}, {at::randn({5, 3})}),
                       doctest::Contains("index -1 is out of range"), Error);
  CHECK_THROWS_WITH_AS(run({.given = {e}, .residual = true}, {at::randn({5, 2})}), doctest::Contains("a residual needs"), Error);
  CHECK_THROWS_WITH_AS(run({.given = {e}, .transform = PartTransform::layer_norm}, {at::randn({5, 2})}),
                       doctest::Contains("a layer norm needs"), Error);
  CHECK_THROWS_WITH_AS(run({}, {at::randn({5, 2})}), doctest::Contains("the rows have no part"), Error);
  CHECK_THROWS_WITH_AS(gathered_mlp_and_sum({.given = {e}}, {.weights = {at::randn({5, 2})}}, at::tensor({0, 1, 2}, at::kLong), 3),
                       doctest::Contains("expected 2 targets, got [3]"), Error);
  CHECK_THROWS_WITH_AS(gathered_mlp_and_sum({.given = {e}}, {.weights = {at::randn({5, 2})}}, at::tensor({0, 3}, at::kLong), 3),
                       doctest::Contains("index 3 is out of range: there are 3 rows"), Error);
}
