// SPDX-License-Identifier: BSL-1.0
// ScoreCut: keeps the edges that a classifier believes in.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Keeps edges with w > threshold, strictly. Reads `edge_score` [E], returns a mask [E], which the pipeline applies to every key of the
/// edges. O(E). Not differentiable: scores below the cut get no gradient from what comes after it.
struct ScoreCut {
  struct Options {
    double threshold = 0.5;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(threshold, "", "edges with a score above it stay")); }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "score_cut";
  using Selects = Edges;
  using Reads = Keys<EdgeScore>;

  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::edge_score] > options.threshold; }  // [E]

  bool operator==(ScoreCut const&) const = default;
};
static_assert(Transform<ScoreCut> && DropsRows<ScoreCut>);

}  // namespace dew
