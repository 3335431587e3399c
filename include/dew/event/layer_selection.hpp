// SPDX-License-Identifier: BSL-1.0
// LayerSelection: keeps the hits on some of the detector's layers.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Keeps hits on the named layers, by their index in the geometry: the barrel of the pixel detector alone is
/// `LayerSelection{{.layers = {7, 8, 9, 10}}}`. Particles keep the numbers of hits that they had when the event was loaded: a track with
/// all of its hits that remain is not complete. Reads `layer` [N], returns a mask [N], which the pipeline applies to the hits and to what
/// points at them. O(N · layers), any device. Throws `Error` (usage) for a negative index.
struct LayerSelection {
  struct Options {
    std::vector<std::int64_t> layers = {};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(layers, "", "indices of the layers whose hits stay; none: all of them"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "layer_selection";
  using Selects = Hits;
  using Reads = Keys<Layer>;

  Tensor operator()(RecordOf<Reads> const& event) const {  // [N]
    auto const negative = std::find_if(options.layers.begin(), options.layers.end(), [](auto layer) { return layer < 0; });
    check(negative == options.layers.end(), ErrorKind::usage, "{}.layers: expected indices of at least 0, got {}", name,
          negative == options.layers.end() ? 0 : *negative);
    auto const& layer = event[key::layer];
    auto stays = at::full_like(layer, options.layers.empty(), layer.options().dtype(at::kBool));
    for (auto const index : options.layers) stays.logical_or_(layer == index);
    return stays;
  }

  bool operator==(LayerSelection const&) const = default;
};
static_assert(Transform<LayerSelection> && DropsRows<LayerSelection>);

}  // namespace dew
