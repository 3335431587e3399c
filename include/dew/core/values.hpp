// SPDX-License-Identifier: BSL-1.0
// A tensor's elements as a vector.
#pragma once
#include <concepts>
#include <cstdint>
#include <vector>

#include "dew/core/torch.hpp"

namespace dew {

/// The elements of a tensor in order, on the CPU, as integers or reals.
template <class T> requires std::same_as<T, std::int64_t> || std::same_as<T, double>
std::vector<T> values_of(Tensor const& t) {
  auto const on_cpu = t.to(at::kCPU, std::same_as<T, double> ? at::kDouble : at::kLong).contiguous();
  return {on_cpu.const_data_ptr<T>(), on_cpu.const_data_ptr<T>() + on_cpu.numel()};
}

}  // namespace dew
