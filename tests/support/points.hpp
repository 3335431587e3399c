// SPDX-License-Identifier: BSL-1.0
// Random points for tests of neighbour searches and clusterers.
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "dew/core/torch.hpp"

namespace dew::test {

/// n points [n, d] in double around a few centres, on a lattice of 1/8: with ties, duplicates and distances that are exactly 1/2.
/// Deterministic for a seed.
inline Tensor lattice_points(std::int64_t n, std::int64_t d, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<double> x;
  std::vector<double> centres;
  for (std::int64_t c = 0; c < 6 * d; ++c) centres.push_back(double(random() % 33) / 8);
  for (std::int64_t i = 0; i < n; ++i) {
    auto const centre = std::int64_t(random() % 6);
    for (std::int64_t c = 0; c < d; ++c) x.push_back(centres[std::size_t(centre * d + c)] + double(random() % 7) / 8);
  }
  return at::tensor(x, at::kDouble).reshape({n, d});
}

}  // namespace dew::test
