// SPDX-License-Identifier: BSL-1.0
// The seed of a random test.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

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

/// The seed of a test that makes up its input, said in a message: always the same one, so that a run can be repeated. The environment's
/// DEW_TEST_SEED puts another in its place, `random` a new one at each call: to look for input that nobody thought of.
inline std::uint32_t seed_of_input() {
  char const* const wish = std::getenv("DEW_TEST_SEED");
  auto const value = wish == nullptr ? 1U : std::string(wish) == "random" ? std::random_device{}() : std::uint32_t(std::stoul(wish));
  MESSAGE("seed " << value);
  return value;
}

}  // namespace dew::test
