// SPDX-License-Identifier: BSL-1.0
// Dbscan: tracks are dense regions of the latent space.
#pragma once
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/ops/dbscan.hpp"
#include "dew/ops/dbscan_scan.hpp"

namespace dew {

/// DBSCAN(ε, m) in the condenser's latent space: reads `latent` [N, d], writes `label` [N].
///
/// A core point has ≥ m points (itself included) at distance ≤ ε; clusters are the connected components of core points, numbered by their
/// lowest core hit; a border point takes its smallest core neighbour's label; others are noise, −1. Equal to scikit-learn's labels. m ≤ 2
/// gives the connected components of the ε-graph (m = 1: without noise). Cost: see `dbscan_labels`; never N². Reproducible, on any number
/// of threads. Not for clusters of very different density: one ε serves all.
struct Dbscan {
  struct Options {
    double eps = 0.5;
    int min_points = 1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(eps, "", "radius of a neighbourhood in the latent space"),
                              DEW_OPTION(min_points, "", "hits in the neighbourhood of a core hit, itself included; 1: no noise"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  /// What a scan tries: eps_steps values of ε from eps_min to eps_max, ends included, with each m.
  struct Scan {
    using Options = Scan;
    double eps_min = 0.05;
    double eps_max = 1;
    int eps_steps = 20;
    std::vector<int> min_points = {1, 2, 3};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(eps_min, "", "smallest eps that is tried"), DEW_OPTION(eps_max, "", "largest eps that is tried"),
                              DEW_OPTION(eps_steps, "", "how many, evenly spaced"),
                              DEW_OPTION(min_points, "", "each of these with every eps"));
    }
    bool operator==(Scan const&) const = default;

    /// Every m with every ε, ε running fastest. Throws `Error` (usage) for an empty or reversed range.
    std::vector<Dbscan::Options> candidates() const {
      check(eps_steps >= 1 && eps_min >= 0 && eps_max >= eps_min && !min_points.empty(), ErrorKind::usage,
            "dbscan scan: expected 0 ≤ eps_min ≤ eps_max, eps_steps ≥ 1 and some min_points, got {}, {}, {} and {}", eps_min, eps_max,
            eps_steps, min_points);
      std::vector<Dbscan::Options> out;
      for (int m : min_points)
        for (int k = 0; k < eps_steps; ++k)
          out.push_back({eps_steps == 1 ? eps_min : eps_min + (eps_max - eps_min) * k / (eps_steps - 1), m});
      return out;
    }
  };

  static constexpr std::string_view name = "dbscan";
  using Reads = Keys<Latent>;
  using Writes = Keys<Label>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::label = dbscan_labels(event[key::latent], {options.eps, options.min_points})};
  }

  /// The labels of each candidate, as one call each would give them, from one neighbour search.
  std::vector<RecordOf<Writes>> run_all(RecordOf<Reads> const& event, std::vector<Options> const& candidates) const {
    std::vector<DbscanStep> steps;
    for (auto const& candidate : candidates) steps.push_back({candidate.eps, candidate.min_points});
    std::vector<RecordOf<Writes>> out;
    for (auto& labels : dbscan_scan(event[key::latent], steps)) out.push_back(RecordOf<Writes>{key::label = labels});
    return out;
  }

  bool operator==(Dbscan const&) const = default;
};
static_assert(Clusterer<Dbscan>);

}  // namespace dew
