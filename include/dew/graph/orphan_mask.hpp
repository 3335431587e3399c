// SPDX-License-Identifier: BSL-1.0
// OrphanMask: drops hits that no edge touches.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Keeps hits with at least one edge; where a classifier has scored the edges, one with w > score_min, strictly. Dropped hits are in no
/// track, but still count in their particles' numbers of hits. Reads `edge_index` [2, E] and `position` [N, 3] (for N), may read
/// `edge_score` [E]; returns a mask [N], which the pipeline applies to the hits and to the edges that point at them. O(N + E), any device.
struct OrphanMask {
  struct Options {
    double score_min = 0;
    bool enabled = true;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(score_min, "", "edges count if their score is above it; without scores all edges count"),
                              DEW_OPTION(enabled, "", "false keeps every hit"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "orphan_mask";
  using Selects = Hits;
  using Reads = Keys<EdgeIndex, Position>;
  using MayRead = Keys<EdgeScore>;

  Tensor operator()(RecordOf<Reads, MayRead> const& event) const {  // [N]
    auto ends = event[key::edge_index];
    auto const n = event[key::position].size(0);
    if (!options.enabled) return at::ones({n}, ends.options().dtype(at::kBool));
    if (auto const* score = event.find(key::edge_score)) ends = ends.index_select(1, (*score > options.score_min).nonzero().squeeze(1));
    return at::zeros({n}, ends.options().dtype(at::kBool)).index_fill(0, ends.reshape(-1), true);
  }

  bool operator==(OrphanMask const&) const = default;
};
static_assert(Transform<OrphanMask> && DropsRows<OrphanMask>);

}  // namespace dew
