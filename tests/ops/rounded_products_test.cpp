// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/rounded_products.hpp"

#include "dew/core/torch_nn.hpp"
#include "support/seed.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace dew::test;
namespace tile = dew::detail::tile;
using at::Tensor;

namespace {

struct Way {
  std::string name;
  void (*product)(tile::RoundedProduct const&, tile::Workspace&);
  void (*add_transposed)(tile::RoundedSum const&, tile::Workspace&);
};

/// The products of each kind of machine that this one can be.
std::vector<Way> ways() {
  std::vector<Way> out{{"best", &tile::product, &tile::add_transposed}, {"any", &tile::any::product, &tile::any::add_transposed}};
#ifdef DEW_AMX
  if (dew::detail::has_amx_bf16()) out.push_back({"amx", &tile::amx::product, &tile::amx::add_transposed});
#endif
  return out;
}

Tensor in_bfloat16(Tensor const& x) { return x.to(at::kBFloat16).to(at::kFloat); }

/// Rows of halves with zeros behind `width`; behind the last row NaN, that nobody may use.
std::vector<tile::Half> halves(Tensor const& matrix) {
  auto const rows = matrix.size(0), width = matrix.size(1), stride = tile::pad_halves(width);
  std::vector<tile::Half> out(std::size_t((rows + 32) * stride), tile::Half(0x7fc0));
  auto const from = matrix.contiguous();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < stride; ++c) out[std::size_t(r * stride + c)] = 0;
    tile::round_rows(&out[std::size_t(r * stride)], stride, 1, width, from.const_data_ptr<float>() + r * width, width);
  }
  return out;
}

Tensor padded(Tensor const& matrix, double with = 0) {
  auto out = at::full({matrix.size(0), 16 * tile::blocks_of(matrix.size(1))}, with, at::kFloat);
  out.narrow(1, 0, matrix.size(1)).copy_(matrix);
  return out;
}

tile::RightSide right_side(Tensor const& b) { return {b.const_data_ptr<float>(), b.size(0), b.size(1), b.stride(0), b.stride(1)}; }

struct Ends { bool bias = false, lookup = false, add = false, relu = false, mask = false; };

/// What stands behind the last column of a bias and of rows that are added may be anything.
void compare(std::int64_t rows, std::int64_t inner, std::int64_t columns, Ends const& ends, bool transposed = false) {
  tile::Registers const registers;
  auto const a = at::randn({rows, inner}), weight = transposed ? at::randn({columns, inner}).t() : at::randn({inner, columns}),
             bias = padded(at::randn({1, columns}), 3), d = padded(at::randn({rows, columns}), 3),
             table = padded(at::randn({7, columns}), 3), index = at::randint(0, 7, {rows}, at::kLong),
             mask = in_bfloat16(at::randn({rows, columns}));
  auto expected = at::mm(in_bfloat16(a).to(at::kDouble), in_bfloat16(weight).to(at::kDouble));
  if (ends.bias) expected = expected + bias.narrow(1, 0, columns);
  if (ends.lookup) expected = expected + 2 * table.narrow(1, 0, columns).index_select(0, index);
  if (ends.add) expected = expected + d.narrow(1, 0, columns);
  if (ends.relu) expected = at::relu(expected);
  if (ends.mask) expected = at::where(mask > 0, expected, at::zeros_like(expected));

  auto const left = halves(a), holes = halves(padded(mask));
  auto const right = right_side(weight);
  auto const whole = right.columns, stride = tile::pad_halves(columns);
  tile::Lookup const lookup{table.const_data_ptr<float>(), table.size(1), index.const_data_ptr<std::int64_t>()};
  std::vector<tile::Lookup> const lookups(ends.lookup ? 2 : 0, lookup);
  for (auto const& way : ways()) {
    INFO(way.name << ": " << rows << " x " << inner << " x " << columns);
    auto c = at::full({rows + 1, whole}, 7, at::kFloat), totals = at::ones({whole}, at::kFloat);
    std::vector<tile::Half> out(std::size_t((rows + 1) * stride), tile::Half(0));
    tile::Workspace space;
    way.product({.rows = rows,
                 .a = left.data(),
                 .a_stride = tile::pad_halves(inner),
                 .b = &right,
                 .bias = ends.bias ? bias.const_data_ptr<float>() : nullptr,
                 .lookups = lookups.data(),
                 .lookup_count = std::int64_t(lookups.size()),
                 .d = ends.add ? d.const_data_ptr<float>() : nullptr,
                 .d_stride = whole,
                 .relu = ends.relu,
                 .mask = ends.mask ? holes.data() : nullptr,
                 .mask_stride = tile::pad_halves(whole),
                 .c = c.data_ptr<float>(),
                 .c_stride = whole,
                 .halves = out.data(),
                 .halves_stride = stride,
                 .width = columns,
                 .totals = totals.data_ptr<float>()},
                space);
    auto const values = c.narrow(0, 0, rows).narrow(1, 0, columns);
    CHECK(at::allclose(values.to(at::kDouble), expected, 2e-5, 2e-5));
    CHECK(at::allclose(totals.narrow(0, 0, columns).to(at::kDouble), expected.sum(0) + 1, 1e-4, 1e-4));
    CHECK((c[rows] == 7).all().item<bool>());  // nothing behind the last row
    auto rounded = at::zeros({rows + 1, stride}, at::kFloat);
    tile::widen_rows(rounded.data_ptr<float>(), stride, rows + 1, stride, out.data(), stride);
    CHECK(at::equal(rounded.narrow(0, 0, rows).narrow(1, 0, columns), in_bfloat16(values)));
    CHECK((rounded[rows] == 0).all().item<bool>());
    CHECK((rounded.narrow(1, columns, stride - columns) == 0).all().item<bool>());
  }
}

void compare_sums(std::int64_t rows, std::int64_t left_width, std::int64_t right_width) {
  tile::Registers const registers;
  auto const left = at::randn({rows, left_width}), right = at::randn({rows, right_width}),
             start = padded(at::randn({16 * tile::blocks_of(left_width), right_width}));
  auto const expected = at::mm(in_bfloat16(left).to(at::kDouble).t(), in_bfloat16(right).to(at::kDouble)) +
                        start.narrow(0, 0, left_width).narrow(1, 0, right_width);
  auto const l = halves(left), r = halves(right);
  for (auto const& way : ways()) {
    INFO(way.name << ": " << rows << " x " << left_width << " x " << right_width);
    auto sum = start.clone();
    tile::Workspace space;
    way.add_transposed({.rows = rows,
                        .left = l.data(),
                        .left_stride = tile::pad_halves(left_width),
                        .left_width = left_width,
                        .right = r.data(),
                        .right_stride = tile::pad_halves(right_width),
                        .right_width = right_width,
                        .sum = sum.data_ptr<float>(),
                        .sum_stride = sum.size(1)},
                       space);
    CHECK(at::allclose(sum.narrow(0, 0, left_width).narrow(1, 0, right_width).to(at::kDouble), expected, 2e-5, 1e-4));
  }
}

}  // namespace

TEST_CASE("rounded products: a product of rounded matrices for any sizes, on each kind of machine") {
  seed(1);
  for (std::int64_t rows : {1, 2, 15, 16, 17, 31, 32, 33, 96})
    for (std::int64_t columns : {1, 3, 16, 17, 32, 48, 63, 100})
      for (std::int64_t inner : {1, 14, 32, 33, 64}) compare(rows, inner, columns, {}, rows % 2 == 0);
  compare(5, 0, 20, {.bias = true});  // nothing to multiply
}

TEST_CASE("rounded products: begin with a bias, rows that are looked up or added, and end with a ReLU or its mask") {
  seed(2);
  for (int bits = 0; bits < 32; ++bits)
    for (std::int64_t columns : {16, 33})
      compare(
          37, 20, columns,
          {.bias = (bits & 1) != 0, .lookup = (bits & 2) != 0, .add = (bits & 4) != 0, .relu = (bits & 8) != 0, .mask = (bits & 16) != 0});
}

TEST_CASE("rounded products: sums over rows are added to what is there, for any sizes, on each kind of machine") {
  seed(3);
  for (std::int64_t rows : {1, 2, 15, 31, 32, 33, 96})
    for (std::int64_t left : {1, 14, 16, 33, 64})
      for (std::int64_t right : {1, 16, 17, 48, 100}) compare_sums(rows, left, right);
}

TEST_CASE("rounded products: rounding is LibTorch's, to the nearest and of two to the even one, for each kind of number") {
  std::vector<float> numbers{0.F, -0.F, 1.F, 1.00390625F, 1.01171875F, -1.00390625F, 3.3895314e38F, 3.4028235e38F};
  seed(4);
  auto const random = at::randn({1000}) * at::exp(at::randn({1000}) * 20);
  numbers.insert(numbers.end(), random.const_data_ptr<float>(), random.const_data_ptr<float>() + random.numel());
  auto const infinity = std::numeric_limits<float>::infinity();
  numbers.insert(numbers.end(), {infinity, -infinity});
  auto const x = at::tensor(numbers), expected = in_bfloat16(x);
  std::vector<tile::Half> rows(numbers.size()), by_loops(numbers.size());
  auto const count = std::int64_t(rows.size());
  tile::round_rows(rows.data(), count, 1, count, numbers.data(), count);
  tile::any::round_rows(by_loops.data(), count, 1, count, numbers.data(), count);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    CAPTURE(numbers[i]);
    CHECK(tile::widened(tile::rounded(numbers[i])) == expected[std::int64_t(i)].item<float>());
    CHECK(rows[i] == tile::rounded(numbers[i]));
    CHECK(by_loops[i] == tile::rounded(numbers[i]));
  }
  for (std::uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7f800001U, 0x7fffffffU, 0xff800001U}) {
    auto const nan = std::bit_cast<float>(bits);
    tile::Half row = 0, by_loop = 0;
    tile::round_rows(&row, 1, 1, 1, &nan, 1);
    tile::any::round_rows(&by_loop, 1, 1, 1, &nan, 1);
    CHECK(std::isnan(tile::widened(tile::rounded(nan))));
    CHECK(std::isnan(tile::widened(row)));
    CHECK(std::isnan(tile::widened(by_loop)));
  }
}

TEST_CASE("rounded products: NaN goes through a ReLU, and through a mask that is not above zero only where it is NaN itself") {
  tile::Registers const registers;
  auto const nan = std::numeric_limits<float>::quiet_NaN();
  auto a = at::ones({2, 1}, at::kFloat), mask = at::ones({2, 16}, at::kFloat);
  a[0][0] = nan, mask[0][1] = 0, mask[1][1] = -nan, mask[1][2] = -1, mask[1][3] = nan;
  auto const left = halves(a), holes = halves(mask);
  auto const right = right_side(at::ones({1, 16}, at::kFloat));
  for (auto const& way : ways()) {
    INFO(way.name);
    std::vector<float> c(32);
    tile::Workspace space;
    tile::RoundedProduct p{.rows = 2, .a = left.data(), .a_stride = 32, .b = &right, .relu = true};
    p.mask = holes.data(), p.mask_stride = 32, p.c = c.data(), p.c_stride = 16;
    way.product(p, space);
    CHECK(std::isnan(c[0]));
    CHECK(c[1] == 0);
    CHECK(c[16] == 1);
    CHECK(c[17] == 1);
    CHECK(c[18] == 0);
    CHECK(c[19] == 1);
  }
}
