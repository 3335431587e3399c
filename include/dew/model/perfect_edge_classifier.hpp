// SPDX-License-Identifier: BSL-1.0
// PerfectEdgeClassifier: scores edges by the truth, with errors at chosen rates: what a better edge classifier would bring.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// w = 1 for edges called true, else 0: a true edge stays true with probability `tpr`, a false one stays false with `tnr`; then edges
/// whose source has pt below `pt_min_gev` become false. Drawn anew each epoch in training; without training each event has its own fixed
/// draw. Needs the truth: a study of upper bounds, nothing that runs on bare hits.
struct PerfectEdgeClassifier {
  struct Options {
    double tpr = 1;
    double tnr = 1;
    double pt_min_gev = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(tpr, "", "probability that a true edge is called true"),
                              DEW_OPTION(tnr, "", "probability that a false edge is called false"),
                              DEW_OPTION(pt_min_gev, "GeV", "edges whose source has less pt are called false; 0: none"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "perfect_edge_classifier";
  using Reads = Keys<EdgeTruth, EdgeIndex, Pt>;
  using Writes = Keys<EdgeScore>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Context const& context) const {
    auto const& o = options;
    check(o.tpr >= 0 && o.tpr <= 1 && o.tnr >= 0 && o.tnr <= 1, ErrorKind::usage, "{}: expected tpr and tnr in [0, 1], got {} and {}", name,
          o.tpr, o.tnr);
    auto called = event[key::edge_truth];
    if (o.tpr < 1 || o.tnr < 1) {
      auto const draw = at::rand({called.size(0)}, context.generator(), at::TensorOptions(called.device()).dtype(at::kDouble));
      called = at::where(called, draw < o.tpr, draw >= o.tnr);
    }
    auto const& pt = event[key::pt];
    if (o.pt_min_gev > 0) called = called.logical_and(pt.index_select(0, event[key::edge_index].select(0, 0)) >= o.pt_min_gev);
    return RecordOf<Writes>{key::edge_score = called.to(pt.scalar_type())};
  }
  bool operator==(PerfectEdgeClassifier const&) const = default;
};
static_assert(Transform<PerfectEdgeClassifier>);

}  // namespace dew
