// SPDX-License-Identifier: BSL-1.0
// The seed of a random test.
#pragma once
#include <cstdint>

#include "dew/core/torch.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <doctest/doctest.h>

namespace dew::test {

/// Seeds LibTorch's global generator and says with what.
inline void seed(std::uint64_t value = 1) {
  MESSAGE("seed " << value);
  auto generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_current_seed(value);
}

}  // namespace dew::test
