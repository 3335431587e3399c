// SPDX-License-Identifier: BSL-1.0
// Edge features of graphs that know no geometry. E edges.
#pragma once
#include "dew/core/torch.hpp"

namespace dew {

/// [x_s − x_t, x_s + x_t] of each edge s → t of `edge_index` [2, E]: [E, 2f], for rows x [N, f].
inline Tensor pair_features(Tensor const& x, Tensor const& edge_index) {
  auto const source = x.index_select(0, edge_index.select(0, 0)), target = x.index_select(0, edge_index.select(0, 1));
  return at::cat({source - target, source + target}, 1);
}

}  // namespace dew
