// SPDX-License-Identifier: BSL-1.0
// Which particles left enough hits to be found.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dew/geometry/geometry.hpp"

namespace dew {

/// When two layers count as different: by volume and layer number, or by layer number alone (as gnn_tracking counts, where a barrel's layer 2
/// and an endcap's layer 2 are one).
enum class DistinctLayers { volume_and_layer, layer_id };
constexpr auto names_of(DistinctLayers) { return std::array{"volume_and_layer", "layer_id"}; }

/// A particle is reconstructable when its hits lie on at least this many distinct layers.
inline constexpr std::int64_t reconstructable_layers = 3;

/// For each of `particles` particles, whether its hits lie on at least 3 distinct layers. `particle` [N] is each hit's particle (a row, or −1
/// for none), `layer` [N] its layer's index in `geometry`. O(N log N).
inline std::vector<bool> reconstructable_particles(Geometry const& geometry, std::span<std::int64_t const> particle,
                                                   std::span<std::int64_t const> layer, std::int64_t particles, DistinctLayers distinct) {
  check(particle.size() == layer.size(), "reconstructable: expected as many layers as particles' rows, got {} and {}", layer.size(),
        particle.size());
  std::vector<std::pair<std::int64_t, std::int64_t>> seen;  // (particle, what makes its layer distinct)
  for (std::size_t i = 0; i < particle.size(); ++i) {
    if (particle[i] < 0) continue;
    check(particle[i] < particles && layer[i] >= 0 && layer[i] < geometry.layer_count(),
          "reconstructable: hit {} has particle row {} of {} and layer {} of {}", i, particle[i], particles, layer[i],
          geometry.layer_count());
    auto const index = layer[i];
    seen.emplace_back(particle[i], distinct == DistinctLayers::layer_id ? geometry.layers()[std::size_t(index)].layer : index);
  }
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  std::vector<std::int64_t> count(static_cast<std::size_t>(particles), 0);
  for (auto const& entry : seen) ++count[std::size_t(entry.first)];
  std::vector<bool> out(count.size());
  std::transform(count.begin(), count.end(), out.begin(), [](auto n) { return n >= reconstructable_layers; });
  return out;
}

}  // namespace dew
