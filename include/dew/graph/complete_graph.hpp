// SPDX-License-Identifier: BSL-1.0
// CompleteGraph: every hit with every other.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"
#include "dew/graph/pair_features.hpp"

namespace dew {

/// Joins every hit with every other: N·(N − 1) edges, sorted by target. For events of some hundred hits.
struct CompleteGraph {
  static constexpr std::string_view name = "complete_graph";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    auto const n = x.size(0);
    auto const row = at::arange(n, x.options().dtype(at::kLong));
    auto const target = row.repeat_interleave(n), source = row.repeat({n});
    auto const others = (source != target).nonzero().squeeze(1);
    return detail::graph_on(x, at::stack({source.index_select(0, others), target.index_select(0, others)}));
  }
  auto truth() const { return SameParticleEdges{}; }
  bool operator==(CompleteGraph const&) const = default;
};
static_assert(GraphBuilder<CompleteGraph> && BringsTruth<CompleteGraph>);

}  // namespace dew
