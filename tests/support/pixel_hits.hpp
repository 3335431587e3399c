// SPDX-License-Identifier: BSL-1.0
// Random hits on the pixel layers, without tracks: what graph builders are compared on.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "dew/core/torch.hpp"
#include "dew/ops/geometric_edges.hpp"

namespace dew::test {

struct PixelHits {
  Tensor position;  // [n, 3] mm, double
  Tensor layer;     // [n]
};

/// n hits spread evenly over the 18 pixel layers or some of them, in random order. Deterministic for a seed.
inline PixelHits pixel_hits(std::int64_t n, std::uint32_t seed, std::vector<std::int64_t> const& on = {}) {
  constexpr double barrel_r[] = {32, 72, 116, 172}, endcap_z[] = {600, 700, 820, 960, 1100, 1300, 1500};
  std::mt19937 random(seed);
  auto const uniform = [&](double low, double high) { return low + (high - low) * double(random() >> 5) / double(1 << 27); };
  std::vector<double> xyz;
  std::vector<std::int64_t> layers;
  for (std::int64_t i = 0; i < n; ++i) {
    auto const layer = on.empty() ? std::int64_t(random() % 18) : on[random() % on.size()];
    double r, z;
    if (layer < 7) r = uniform(30, 175), z = -endcap_z[6 - layer] + uniform(-3, 3);
    else if (layer < 11) r = barrel_r[layer - 7] + uniform(-2, 2), z = uniform(-490, 490);
    else r = uniform(30, 175), z = endcap_z[layer - 11] + uniform(-3, 3);
    double const phi = uniform(-3.14159265, 3.14159265);
    xyz.insert(xyz.end(), {r * std::cos(phi), r * std::sin(phi), z});
    layers.push_back(layer);
  }
  return {at::tensor(xyz, at::kDouble).reshape({n, 3}), at::tensor(layers, at::kLong)};
}

/// The layer pairs of definitions for the pixel detector, written out: inner, outer, crossing cut.
inline std::vector<LayerPair> pixel_pairs() {
  constexpr double r7 = 71.56298065185547, r8 = 115.37811279296875, z = 490.975;
  return {{7, 8},         {8, 9},   {9, 10},  {7, 6, r7, z}, {8, 6, r8, z}, {9, 6},   {10, 6}, {7, 11, r7, z},
          {8, 11, r8, z}, {9, 11},  {10, 11}, {0, 1},        {1, 2},        {2, 3},   {3, 4},  {4, 5},
          {5, 6},         {11, 12}, {12, 13}, {13, 14},      {14, 15},      {15, 16}, {16, 17}};
}

}  // namespace dew::test
