// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/tile_loops.hpp"

#include "dew/core/torch_nn.hpp"
#include "support/seed.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace dew::test;
namespace tile = dew::detail::tile;
using at::Tensor;

namespace {

template <class T>
using Way = void (*)(tile::Product<T> const&);

/// The product of each kind of machine that this one can be.
template <class T>
std::vector<std::pair<std::string, Way<T>>> ways() {
  std::vector<std::pair<std::string, Way<T>>> out{{"best", &tile::product<T>}, {"any", &tile::any::product<T>}};
#ifdef DEW_X86_KINDS
  if (dew::detail::has_avx512()) out.emplace_back("avx512", &tile::avx512::product<T>);
  if (dew::detail::has_avx2()) out.emplace_back("avx2", &tile::avx2::product<T>);
#endif
  return out;
}

template <class T>
struct LayerNorms {
  decltype(&tile::layer_norm<T>) forward;
  decltype(&tile::layer_norm_backward<T>) backward;
};
template <class T>
std::vector<std::pair<std::string, LayerNorms<T>>> layer_norms() {
  std::vector<std::pair<std::string, LayerNorms<T>>> out{{"best", {&tile::layer_norm<T>, &tile::layer_norm_backward<T>}},
                                                         {"any", {&tile::any::layer_norm<T>, &tile::any::layer_norm_backward<T>}}};
#ifdef DEW_X86_KINDS
  if (dew::detail::has_avx512()) out.push_back({"avx512", {&tile::avx512::layer_norm<T>, &tile::avx512::layer_norm_backward<T>}});
  if (dew::detail::has_avx2()) out.push_back({"avx2", {&tile::avx2::layer_norm<T>, &tile::avx2::layer_norm_backward<T>}});
#endif
  return out;
}

/// [rows, columns] in rows of whole vectors; what is behind the last column is not looked at.
template <class T>
Tensor in_whole_vectors(Tensor const& matrix) {
  auto out = at::full({matrix.size(0), tile::pad<T>(matrix.size(1))}, 7, matrix.options());
  out.narrow(1, 0, matrix.size(1)).copy_(matrix);
  return out;
}

enum class Start { zero, bias, add };

template <class T>
void compare(std::int64_t rows, std::int64_t inner, std::int64_t columns, bool transposed, Start start, bool relu, bool masked) {
  auto const options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
  auto const a = at::randn({rows, inner}, options), b = at::randn({inner, columns}, options), c = at::randn({rows, columns}, options),
             bias = at::randn({1, columns}, options), mask = at::randn({rows, columns}, options);
  auto expected = at::mm(a.to(at::kDouble), b.to(at::kDouble));
  if (start == Start::bias) expected = expected + bias;
  if (start == Start::add) expected = expected + c;
  if (relu) expected = at::relu(expected);
  if (masked) expected = at::where(mask > 0, expected, at::zeros_like(expected));

  auto const left = (transposed ? a.t() : a).contiguous();
  auto const right = in_whole_vectors<T>(b), first = in_whole_vectors<T>(bias), holes = in_whole_vectors<T>(mask);
  for (auto const& [name, product] : ways<T>()) {
    INFO(name << ": " << rows << " x " << inner << " x " << columns << (transposed ? ", transposed" : ""));
    auto out = in_whole_vectors<T>(c);
    product({.rows = rows,
             .inner = inner,
             .columns = right.size(1),
             .a = left.template data_ptr<T>(),
             .a_row = transposed ? 1 : inner,
             .a_column = transposed ? rows : 1,
             .b = right.template data_ptr<T>(),
             .b_stride = right.size(1),
             .c = out.template data_ptr<T>(),
             .c_stride = out.size(1),
             .add = start == Start::add,
             .bias = start == Start::bias ? first.template data_ptr<T>() : nullptr,
             .relu = relu,
             .mask = masked ? holes.template data_ptr<T>() : nullptr,
             .mask_stride = holes.size(1)});
    auto const tolerance = 20 * double(std::numeric_limits<T>::epsilon()) * std::sqrt(double(inner) + 1);
    CHECK(at::allclose(out.narrow(1, 0, columns).to(at::kDouble), expected, tolerance, tolerance));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("tile product: a matrix product for any sizes and orders, on each kind of machine", T, float, double) {
  seed(1);
  for (std::int64_t rows : {1, 2, 5, 6, 7, 12, 13, 31, 96})
    for (std::int64_t columns : {1, 8, 15, 16, 17, 33, 48, 63, 64, 65, 130})
      for (std::int64_t inner : {1, 4, 37})
        for (bool transposed : {false, true}) compare<T>(rows, inner, columns, transposed, Start::zero, false, false);
}

TEST_CASE_TEMPLATE("tile product: begins with zero, a bias or what is there, and ends with a ReLU or its mask", T, float, double) {
  seed(2);
  for (auto start : {Start::zero, Start::bias, Start::add})
    for (bool relu : {false, true})
      for (bool masked : {false, true}) compare<T>(27, 9, 40, false, start, relu, masked);
  compare<T>(5, 0, 20, false, Start::bias, true, false);  // nothing to multiply
}

TEST_CASE("tile product: NaN goes through a ReLU, and through a mask that is not above zero only where it is NaN itself") {
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> a{nan, 1}, b(16, 1.f), mask(32, 1.f), c(32);
  mask[1] = 0, mask[17] = nan, mask[18] = -1;
  tile::Product<float> p{
      .rows = 2, .inner = 1, .columns = 16, .a = a.data(), .a_row = 1, .b = b.data(), .b_stride = 16, .c = c.data(), .c_stride = 16};
  p.relu = true, p.mask = mask.data(), p.mask_stride = 16;
  for (auto const& [name, product] : ways<float>()) {
    INFO(name);
    product(p);
    CHECK(std::isnan(c[0]));
    CHECK(c[1] == 0);
    CHECK(c[16] == 1);
    CHECK(c[17] == 1);
    CHECK(c[18] == 0);
  }
}

TEST_CASE_TEMPLATE("tile loops: layer norm and its gradient are LibTorch's, on each kind of machine", T, float, double) {
  seed(3);
  auto const options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
  auto const tolerance = 200 * double(std::numeric_limits<T>::epsilon());
  double const eps = 1e-5;
  for (std::int64_t rows : {1, 3, 4, 9})
    for (std::int64_t width : {16, 32, 80}) {
      auto const x = (at::randn({rows, width}, options) + 3).requires_grad_(), weight = at::randn({width}, options).requires_grad_(),
                 bias = at::randn({width}, options).requires_grad_(), up = at::randn({rows, width}, options);
      auto const expected = at::layer_norm(x, {width}, weight, bias, eps);
      auto const gradients = torch::autograd::grad({expected}, {x, weight, bias}, {up});
      std::int64_t const stride = width + 16;
      for (auto const& [name, how] : layer_norms<T>()) {
        INFO(name << ": " << rows << " x " << width);
        auto y = at::zeros({rows, stride}, options), normal = at::zeros({rows, stride}, options), inverse = at::zeros({rows}, options);
        tile::LayerNorm<T> const n{.width = width,
                                   .weight = weight.template const_data_ptr<T>(),
                                   .bias = bias.template const_data_ptr<T>(),
                                   .eps = T(eps),
                                   .normal = normal.template data_ptr<T>(),
                                   .stride = stride};
        how.forward(n, rows, y.template data_ptr<T>(), inverse.template data_ptr<T>(), x.template const_data_ptr<T>());
        CHECK(at::allclose(y.narrow(1, 0, width), expected, tolerance, tolerance));

        auto g = up.clone(), by_weight = at::ones({width}, options), by_bias = at::ones({width}, options);
        how.backward(n, rows, g.template data_ptr<T>(), width, inverse.template const_data_ptr<T>(), by_weight.template data_ptr<T>(),
                     by_bias.template data_ptr<T>());
        CHECK(at::allclose(g, gradients[0], tolerance, tolerance));
        CHECK(at::allclose(by_weight, gradients[1] + 1, tolerance, tolerance));  // added to what is there
        CHECK(at::allclose(by_bias, gradients[2] + 1, tolerance, tolerance));
      }
    }
}
