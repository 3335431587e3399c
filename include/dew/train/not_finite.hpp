// SPDX-License-Identifier: BSL-1.0
// Where the first number is that is none.
#pragma once
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/torch.hpp"

namespace dew {

/// In words the first of some named tensors that holds something infinite or NaN: "beta [13]: 2 of 13 numbers, the first at [4] nan". Empty
/// where all are finite; undefined tensors, and those of integers, are. One pass over each.
inline std::string first_not_finite(std::vector<std::pair<std::string, Tensor>> const& named) {
  at::NoGradGuard no_grad;
  for (auto const& [name, tensor] : named) {
    if (!tensor.defined() || !tensor.is_floating_point() || tensor.numel() == 0) continue;
    auto const bad = at::isfinite(tensor.detach()).logical_not().reshape({-1});
    auto const count = bad.sum().item<std::int64_t>();
    if (count == 0) continue;
    auto const flat = bad.nonzero()[0].item<std::int64_t>();
    std::vector<std::int64_t> place(std::size_t(tensor.dim()));
    auto rest = flat;
    for (auto d = tensor.dim() - 1; d >= 0; --d) place[std::size_t(d)] = rest % tensor.size(d), rest /= tensor.size(d);
    auto const value = tensor.detach().reshape({-1})[flat].item<double>();
    return fmt::format("{} {}: {} of {} numbers, the first at [{}] {}", name, shape_text(tensor), count, tensor.numel(),
                       fmt::join(place, ", "),
                       std::isnan(value) ? "nan"
                       : value > 0       ? "inf"
                                         : "-inf");
  }
  return {};
}

}  // namespace dew
