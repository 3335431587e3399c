// SPDX-License-Identifier: BSL-1.0
// The Open Data Detector, in which ACTS simulates: its layers and how a track runs through them.
#pragma once
#include <utility>
#include <vector>

#include "dew/geometry/geometry.hpp"

namespace dew {

namespace detail {
/// The pairs of TrackML's pixel detector, which has the same layers in the same order, with the radii of this one.
inline std::vector<LayerPair> open_data_pixel_pairs() {
  auto pairs = pixel_detector().pairs();
  for (auto& pair : pairs)
    if (pair.crossing_r_mm > 0) pair.crossing_r_mm = pair.inner == pixel_layer::barrel_inner ? 68.4 : 114.3, pair.crossing_z_mm = 510.5;
  return pairs;
}
}  // namespace detail

/// The pixel detector: volumes 16 (left endcap, 7 disks, layers 4 to 16), 17 (barrel, 4 layers, r = 33, 68, 114, 170 mm), 18 (right endcap,
/// 7 disks, layers 2 to 14). Indices and pairs as in `pixel_detector`: 0 … 6, 7 … 10, 11 … 17.
inline Geometry open_data_pixel_detector() {
  std::vector<DetectorLayer> layers;
  for (std::int64_t i = 2; i <= 8; ++i) layers.push_back({16, 2 * i});
  for (auto const& layer : detail::numbered_layers({{17, 4}, {18, 7}})) layers.push_back(layer);
  return {"open data pixels", std::move(layers), detail::open_data_pixel_pairs()};
}

/// The whole detector: the pixel layers, unchanged, then volumes 23, 24, 25 (short strips) and 28, 29, 30 (long strips) with 6, 4, 6, 6, 2,
/// 6 layers; 48 layers. The pairs are those of the pixel detector.
inline Geometry open_data_detector() {
  auto layers = open_data_pixel_detector().layers();
  for (auto const& layer : detail::numbered_layers({{23, 6}, {24, 4}, {25, 6}, {28, 6}, {29, 2}, {30, 6}})) layers.push_back(layer);
  return {"open data", std::move(layers), detail::open_data_pixel_pairs()};
}

}  // namespace dew
