// SPDX-License-Identifier: BSL-1.0
// Geometry: a detector's layers and how a track runs through them, as a value; and the detectors that are shipped.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// A layer as detector files name it: a volume and the layer's number inside it.
struct DetectorLayer {
  std::int64_t volume = 0, layer = 0;
  auto operator<=>(DetectorLayer const&) const = default;
};

/// Two layers (by index) that a track crosses one after the other, inner to outer.
struct LayerPair {
  std::int64_t inner = 0, outer = 0;
  double crossing_r_mm = 0;  ///< a straight line that crosses this radius at |z| < crossing_z_mm meets a layer between the two; 0: none
  double crossing_z_mm = 0;
  bool transition = false;  ///< from a barrel to an endcap; of a particle's true edges there, only the outermost may stay true
  bool operator==(LayerPair const&) const = default;
};

/// A detector: which layers it has, how they are numbered, and which pairs of them follow each other. A regular value: another detector is
/// another `Geometry`, never an `if`.
///
/// A layer's index is its place in the table it was made from. A pipeline sees only hits in the geometry's volumes.
///
///     Geometry telescope{"telescope", {{1, 2}, {1, 4}, {1, 6}}, {{0, 1}, {1, 2}}};
class Geometry {
 public:
  Geometry() = default;
  /// `layers[i]` gets index i; `pairs` name indices. Throws `Error` on a layer that stands twice and on a pair of layers that are not there.
  Geometry(std::string name, std::vector<DetectorLayer> layers, std::vector<LayerPair> pairs)
      : name_(std::move(name)), layers_(std::move(layers)), pairs_(std::move(pairs)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) sorted_.emplace_back(layers_[i], std::int64_t(i));
    std::sort(sorted_.begin(), sorted_.end());
    for (std::size_t i = 1; i < sorted_.size(); ++i)
      check(sorted_[i - 1].first != sorted_[i].first, ErrorKind::usage, "geometry '{}': volume {}, layer {} stands twice", name_,
            sorted_[i].first.volume, sorted_[i].first.layer);
    auto const there = [&](std::int64_t index) { return index >= 0 && index < std::int64_t(layers_.size()); };
    for (auto const& pair : pairs_)
      check(there(pair.inner) && there(pair.outer), ErrorKind::usage, "geometry '{}': the pair ({}, {}) names a layer outside 0…{}", name_,
            pair.inner, pair.outer, std::int64_t(layers_.size()) - 1);
  }

  std::string const& name() const& { return name_; }
  std::int64_t layer_count() const { return std::int64_t(layers_.size()); }
  std::vector<DetectorLayer> const& layers() const& { return layers_; }  ///< by index
  std::vector<LayerPair> const& pairs() const& { return pairs_; }        ///< in the order in which they were given
  // of a temporary: `for (auto const& pair : pixel_detector().pairs())` does not dangle
  std::string name() && { return std::move(name_); }
  std::vector<DetectorLayer> layers() && { return std::move(layers_); }
  std::vector<LayerPair> pairs() && { return std::move(pairs_); }

  /// Whether hits in this volume are selected. O(log layers).
  bool has_volume(std::int64_t volume) const {
    auto const at = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair(DetectorLayer{volume, INT64_MIN}, INT64_MIN));
    return at != sorted_.end() && at->first.volume == volume;
  }
  /// The index of a layer, −1 for one that is not in the table. O(log layers).
  std::int64_t index(DetectorLayer const& layer) const {
    auto const at = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair(layer, INT64_MIN));
    return at != sorted_.end() && at->first == layer ? at->second : -1;
  }

  bool operator==(Geometry const&) const = default;

 private:
  std::string name_;
  std::vector<DetectorLayer> layers_;
  std::vector<LayerPair> pairs_;
  std::vector<std::pair<DetectorLayer, std::int64_t>> sorted_;
};

/// The pairs of a geometry and all (a, c) for which (a, b) and (b, c) are pairs, each once, the geometry's own first; none of them is a
/// transition or has a crossing: a line that skips a layer crosses it on purpose.
inline std::vector<LayerPair> two_hop_pairs(Geometry const& geometry) {
  std::vector<LayerPair> out;
  auto const add = [&](std::int64_t inner, std::int64_t outer) {
    LayerPair const pair{inner, outer};
    if (inner != outer && std::find(out.begin(), out.end(), pair) == out.end()) out.push_back(pair);
  };
  for (auto const& pair : geometry.pairs()) add(pair.inner, pair.outer);
  for (auto const& first : geometry.pairs())
    for (auto const& second : geometry.pairs())
      if (first.outer == second.inner) add(first.inner, second.outer);
  return out;
}

/// The layers of TrackML's pixel detector, by the names of their index.
namespace pixel_layer {
inline constexpr std::int64_t left_far = 0, left_near = 6;          ///< left endcap, z from −1500 mm to −600 mm
inline constexpr std::int64_t barrel_inner = 7, barrel_outer = 10;  ///< barrel, r = 32, 72, 116, 172 mm
inline constexpr std::int64_t right_near = 11, right_far = 17;      ///< right endcap, z from 600 mm to 1500 mm
}  // namespace pixel_layer

namespace detail {
inline std::vector<DetectorLayer> numbered_layers(std::initializer_list<std::pair<std::int64_t, std::int64_t>> volumes) {
  std::vector<DetectorLayer> layers;
  for (auto const& [volume, count] : volumes)
    for (std::int64_t i = 1; i <= count; ++i) layers.push_back({volume, 2 * i});  // TrackML's layers have even numbers
  return layers;
}
inline std::vector<LayerPair> pixel_pairs() {
  using namespace pixel_layer;
  std::vector<LayerPair> pairs;
  for (auto layer = barrel_inner; layer < barrel_outer; ++layer) pairs.push_back({layer, layer + 1});
  // a line from the first or second barrel layer to an endcap may cross the layer behind it
  constexpr std::array<double, 4> crossing_r_mm{71.56298065185547, 115.37811279296875, 0, 0};
  constexpr double barrel_half_length_mm = 490.975;
  for (auto endcap : {left_near, right_near})
    for (auto barrel = barrel_inner; barrel <= barrel_outer; ++barrel) {
      auto const r = crossing_r_mm[std::size_t(barrel - barrel_inner)];
      pairs.push_back({barrel, endcap, r, r > 0 ? barrel_half_length_mm : 0, true});
    }
  for (auto layer = left_far; layer < left_near; ++layer) pairs.push_back({layer, layer + 1});
  for (auto layer = right_near; layer < right_far; ++layer) pairs.push_back({layer, layer + 1});
  return pairs;
}
}  // namespace detail

/// TrackML's pixel detector: volumes 7 (left endcap, 7 disks), 8 (barrel, 4 layers), 9 (right endcap, 7 disks); 18 layers, 23 pairs.
inline Geometry pixel_detector() { return {"pixels", detail::numbered_layers({{7, 7}, {8, 4}, {9, 7}}), detail::pixel_pairs()}; }

/// TrackML's whole detector: the pixel layers, unchanged, then volumes 12, 13, 14, 16, 17, 18 with 6, 4, 6, 6, 2, 6 layers; 48 layers.
/// The pairs are those of the pixel detector.
inline Geometry full_detector() {
  return {"full", detail::numbered_layers({{7, 7}, {8, 4}, {9, 7}, {12, 6}, {13, 4}, {14, 6}, {16, 6}, {17, 2}, {18, 6}}),
          detail::pixel_pairs()};
}

}  // namespace dew
