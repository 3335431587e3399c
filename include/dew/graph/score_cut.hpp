// SPDX-License-Identifier: BSL-1.0
// ScoreCut: keeps the edges that a classifier believes in.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

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

  /// Thresholds that a scan tries. Beside what is measured behind the cut, a goal may name how well the cut tells true from false edges,
  /// over all edges between known hits: `score_cut.f1`, `score_cut.mcc`, `score_cut.balanced_accuracy` (NaN in an event without both
  /// kinds). O(E log steps).
  ///
  ///     fit<EdgeClassifier>(FocalLoss{}), scan<ScoreCut>(maximise("score_cut.f1")), fit<Condenser>(…)     // the condenser learns behind the best cut
  struct Scan {
    double low = 0.02, high = 0.98;
    int steps = 49;
    using Options = Scan;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(low, "", "lowest threshold that is tried"), DEW_OPTION(high, "", "highest threshold"),
                              DEW_OPTION(steps, "", "thresholds, evenly spaced"));
    }
    bool operator==(Scan const&) const = default;

    std::vector<ScoreCut::Options> candidates() const {
      check(steps >= 1 && low <= high, ErrorKind::usage, "score_cut.scan: expected steps >= 1 and low <= high, got {}, {} and {}", steps,
            low, high);
      std::vector<ScoreCut::Options> out;
      for (int i = 0; i < steps; ++i) out.push_back({.threshold = steps == 1 ? low : low + (high - low) * i / (steps - 1)});
      return out;
    }

    using Reads = Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId>;
    /// A figure for each threshold, in order. Throws `Error` (usage) for a name that is none of the three.
    std::vector<double> figures(RecordOf<Reads> const& event, std::string_view figure) const {
      check(figure == "f1" || figure == "mcc" || figure == "balanced_accuracy", ErrorKind::usage,
            "score_cut.scan: expected score_cut.f1, score_cut.mcc or score_cut.balanced_accuracy, got score_cut.{}", figure);
      auto const known = event[key::particle_id].index_select(0, event[key::edge_index].reshape({-1})).reshape({2, -1}) >= 0;  // [2, E]
      auto const both = at::logical_and(known[0], known[1]);
      auto const score = event[key::edge_score].masked_select(both).to(at::kCPU, at::kFloat).contiguous();
      auto const truth = event[key::edge_truth].masked_select(both).to(at::kCPU).contiguous();
      auto const cuts = candidates();
      std::vector<double> above_true(cuts.size() + 1),
          above_false(cuts.size() + 1);  // first by how many cuts an edge passes, then summed up
      for (std::int64_t i = 0; i < score.size(0); ++i) {
        auto const passes = std::partition_point(cuts.begin(), cuts.end(), [w = score.const_data_ptr<float>()[i]](auto const& o) {
          return w > float(o.threshold);  // as the cut compares
        });
        ++(truth.const_data_ptr<bool>()[i] ? above_true : above_false)[std::size_t(passes - cuts.begin())];
      }
      for (std::size_t k = cuts.size(); k-- > 0;) above_true[k] += above_true[k + 1], above_false[k] += above_false[k + 1];
      double const positives = above_true[0], negatives = above_false[0];
      std::vector<double> out(cuts.size(), std::numeric_limits<double>::quiet_NaN());
      if (positives == 0 || negatives == 0) return out;
      for (std::size_t i = 0; i < cuts.size(); ++i) {
        double const tp = above_true[i + 1], fp = above_false[i + 1], fn = positives - tp, tn = negatives - fp;
        double const norm = std::sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
        out[i] = figure == "f1"    ? 2 * tp / (2 * tp + fp + fn)
                 : figure == "mcc" ? (norm > 0 ? (tp * tn - fp * fn) / norm : 0)
                                   : (tp / positives + tn / negatives) / 2;
      }
      return out;
    }
  };

  static constexpr std::string_view name = "score_cut";
  using Selects = Edges;
  using Reads = Keys<EdgeScore>;

  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::edge_score] > options.threshold; }  // [E]

  bool operator==(ScoreCut const&) const = default;
};
static_assert(Transform<ScoreCut> && DropsRows<ScoreCut>);

}  // namespace dew
