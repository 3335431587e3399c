// SPDX-License-Identifier: BSL-1.0
// ConnectedComponents: tracks are what the kept edges join.
#pragma once
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/ops/union_find.hpp"

namespace dew {

/// The connected components of the graph, each a track: the simplest way from a scored graph to labels, and the baseline of every other.
///
/// Edges count when their w > score_min, strictly; all do where there are no scores. Reads `edge_index` [2, E] and `position` [N, 3] (for
/// N), may read `edge_score` [E]; writes `label` [N], numbered by each component's lowest hit; a hit without edges is a component of its
/// own (metrics count tracks from 3 hits on). O((N + E) log N) at worst, on the CPU. One wrong edge joins two tracks: not for graphs whose
/// scores are not sharp.
struct ConnectedComponents {
  struct Options {
    double score_min = 0.5;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(score_min, "", "edges count if their score is above it; without scores all edges count"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  /// What a scan tries: `steps` values from score_low to score_high, ends included.
  struct Scan {
    using Options = Scan;
    double score_low = 0.05;
    double score_high = 0.95;
    int steps = 19;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(score_low, "", "smallest score_min that is tried"),
                              DEW_OPTION(score_high, "", "largest score_min that is tried"),
                              DEW_OPTION(steps, "", "how many, evenly spaced"));
    }
    bool operator==(Scan const&) const = default;

    /// Throws `Error` (usage) for an empty or reversed range.
    std::vector<ConnectedComponents::Options> candidates() const {
      check(steps >= 1 && score_high >= score_low, ErrorKind::usage,
            "connected components scan: expected score_low ≤ score_high and steps ≥ 1, got {}, {} and {}", score_low, score_high, steps);
      std::vector<ConnectedComponents::Options> out;
      for (int k = 0; k < steps; ++k) out.push_back({steps == 1 ? score_low : score_low + (score_high - score_low) * k / (steps - 1)});
      return out;
    }
  };

  static constexpr std::string_view name = "connected_components";
  using Reads = Keys<EdgeIndex, Position>;
  using MayRead = Keys<EdgeScore>;
  using Writes = Keys<Label>;

  RecordOf<Writes> operator()(RecordOf<Reads, MayRead> const& event) const {
    auto edges = event[key::edge_index];
    if (auto const* score = event.find(key::edge_score)) edges = edges.index_select(1, (*score > options.score_min).nonzero().squeeze(1));
    return RecordOf<Writes>{key::label = component_labels(edges, event[key::position].size(0))};
  }

  bool operator==(ConnectedComponents const&) const = default;
};
static_assert(Clusterer<ConnectedComponents>);

}  // namespace dew
