// SPDX-License-Identifier: BSL-1.0
// Edge features of graphs that know no geometry. E edges.
#pragma once
#include <string_view>

#include "dew/core/error.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// [x_s − x_t, x_s + x_t] of each edge s → t of `edge_index` [2, E]: [E, 2f], for rows x [N, f].
inline Tensor pair_features(Tensor const& x, Tensor const& edge_index) {
  auto const source = x.index_select(0, edge_index.select(0, 0)), target = x.index_select(0, edge_index.select(0, 1));
  return at::cat({source - target, source + target}, 1);
}

namespace detail {
/// `count` columns of x [N, f] from `first` on; 0: all behind it.
inline Tensor feature_slice(Tensor const& x, std::int64_t first, std::int64_t count, std::string_view who) {
  check(first >= 0 && count >= 0 && first + count <= x.size(1) && first < x.size(1), ErrorKind::usage,
        "{}: expected columns among the {} hit features, got first_feature = {}, features = {}", who, x.size(1), first, count);
  return x.narrow(1, first, count > 0 ? count : x.size(1) - first);
}
/// What such a graph writes.
inline RecordOf<Keys<EdgeIndex, EdgeFeatures>> graph_on(Tensor const& x, Tensor const& edge_index) {
  return RecordOf<Keys<EdgeIndex, EdgeFeatures>>{key::edge_index = edge_index, key::edge_features = pair_features(x, edge_index)};
}
}  // namespace detail

}  // namespace dew
