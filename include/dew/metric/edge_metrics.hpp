// SPDX-License-Identifier: BSL-1.0
// EdgeMetrics: how well an edge classifier tells true from false edges. E edges.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

namespace detail {
inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// The ROC curve over distinct scores, from (0, 0) to (1, 1): false- and true-positive rates.
inline std::vector<std::pair<double, double>> roc_curve(std::vector<std::pair<double, bool>> edges, double positives, double negatives) {
  std::sort(edges.begin(), edges.end(), [](auto const& a, auto const& b) { return a.first > b.first; });
  std::vector<std::pair<double, double>> curve{{0, 0}};
  std::int64_t true_positives = 0, false_positives = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    ++(edges[i].second ? true_positives : false_positives);
    if (i + 1 == edges.size() || edges[i + 1].first != edges[i].first)
      curve.emplace_back(double(false_positives) / negatives, double(true_positives) / positives);
  }
  return curve;
}
/// The area under a curve up to a false-positive rate; linear between points.
inline double area_up_to(std::vector<std::pair<double, double>> const& curve, double rate) {
  double area = 0;
  for (std::size_t i = 1; i < curve.size(); ++i) {
    auto const [x0, y0] = curve[i - 1];
    auto [x1, y1] = curve[i];
    if (x0 >= rate) break;
    if (x1 > rate) y1 = y0 + (y1 - y0) * (rate - x0) / (x1 - x0), x1 = rate;
    area += (x1 - x0) * (y0 + y1) / 2;
  }
  return area;
}
/// McClish's form: ½ for guessing, 1 for perfect.
inline double partial_auc(std::vector<std::pair<double, double>> const& curve, double rate) {
  double const least = rate * rate / 2;
  return 0.5 * (1 + (area_up_to(curve, rate) - least) / (rate - least));
}

/// The largest value over the thresholds and where it is first reached.
struct Best {
  double value = undefined, threshold = undefined;
  void offer(double v, double at) {
    if (!(v <= value)) value = v, threshold = at;
  }
};
}  // namespace detail

/// What scores w [E] say of the truth y [E] (boolean): `auc` (exact, over distinct scores), `partial_auc_1e-2` and `partial_auc_1e-3` (up
/// to that false-positive rate, McClish's form), and over the thresholds i/199 (w ≥ threshold is "true") the largest `f1`, `mcc`,
/// `balanced_accuracy`, and at the first smallest |TPR − TNR| their mean `tpr_eq_tnr`, each with its `_threshold` (ties: the lowest);
/// `edges` and `true_edges`. Needs both kinds of edges, else all but the counts (and f1, which needs true ones) are NaN. O(E log E), on
/// the CPU.
inline Figures edge_figures(Tensor const& score, Tensor const& truth) {
  check(score.dim() == 1 && truth.sizes() == score.sizes() && truth.scalar_type() == at::kBool,
        "edge_figures: expected scores and booleans [E], got {} and {}", shape_text(score), shape_text(truth));
  auto const w = score.detach().to(at::kCPU, at::kDouble).contiguous();
  auto const y = truth.to(at::kCPU).contiguous();
  std::vector<std::pair<double, bool>> edges(std::size_t(w.size(0)));
  for (std::size_t i = 0; i < edges.size(); ++i) edges[i] = {w.const_data_ptr<double>()[i], y.const_data_ptr<bool>()[i]};
  for (auto const& edge : edges) check(!std::isnan(edge.first), "edge_figures: a score is NaN");

  constexpr std::size_t steps = 200;
  std::array<double, steps> thresholds{};
  for (std::size_t i = 0; i < steps; ++i) thresholds[i] = double(float(double(i) / double(steps - 1)));
  std::array<std::int64_t, steps + 1> true_above{}, false_above{};  // first by how many thresholds an edge passes, then summed up
  for (auto const& [value, is_true] : edges)
    ++(is_true ? true_above : false_above)[std::size_t(std::upper_bound(thresholds.begin(), thresholds.end(), value) - thresholds.begin())];
  for (std::size_t k = steps; k-- > 0;) true_above[k] += true_above[k + 1], false_above[k] += false_above[k + 1];
  double const positives = double(true_above[0]), negatives = double(false_above[0]);

  detail::Best f1, mcc, balanced, equal;
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < steps; ++i) {
    double const tp = double(true_above[i + 1]), fp = double(false_above[i + 1]), fn = positives - tp, tn = negatives - fp;
    if (positives > 0) f1.offer(2 * tp / (2 * tp + fp + fn), thresholds[i]);
    if (positives == 0 || negatives == 0) continue;
    double const tpr = tp / positives, tnr = tn / negatives, norm = std::sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
    balanced.offer((tpr + tnr) / 2, thresholds[i]);
    mcc.offer(norm > 0 ? (tp * tn - fp * fn) / norm : 0, thresholds[i]);
    if (std::abs(tpr - tnr) < smallest) smallest = std::abs(tpr - tnr), equal = {(tpr + tnr) / 2, thresholds[i]};
  }
  Figures figures{{"auc", detail::undefined}, {"partial_auc_1e-2", detail::undefined}, {"partial_auc_1e-3", detail::undefined}};
  if (positives > 0 && negatives > 0) {
    auto const curve = detail::roc_curve(std::move(edges), positives, negatives);
    figures = {{"auc", detail::area_up_to(curve, 1)},
               {"partial_auc_1e-2", detail::partial_auc(curve, 0.01)},
               {"partial_auc_1e-3", detail::partial_auc(curve, 0.001)}};
  }
  for (auto const& [figure, best] :
       {std::pair("f1", f1), std::pair("mcc", mcc), std::pair("balanced_accuracy", balanced), std::pair("tpr_eq_tnr", equal)}) {
    figures.emplace_back(figure, best.value);
    figures.emplace_back(std::string(figure) + "_threshold", best.threshold);
  }
  figures.emplace_back("edges", positives + negatives);
  figures.emplace_back("true_edges", positives);
  return figures;
}

/// `edge_figures` of all edges, and under `pt0.9.` of those with an end above each pt cut, strictly. Edges with an unknown end (id −1) are
/// left out.
struct EdgeMetrics {
  struct Options {
    std::vector<double> pt_cuts_gev = {0.9};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_cuts_gev, "GeV", "the figures again for edges with an end above each of these"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "edges";
  using Reads = Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
    auto const of = [&](Tensor const& of_hit, Tensor const& end) { return of_hit.index_select(0, end); };
    auto const known = at::logical_and(of(event[key::particle_id], source) >= 0, of(event[key::particle_id], target) >= 0);
    auto const figures_of = [&](Tensor const& mask) {
      return edge_figures(event[key::edge_score].masked_select(mask), event[key::edge_truth].masked_select(mask));
    };
    auto figures = figures_of(known);
    auto const pt = at::maximum(of(event[key::pt], source), of(event[key::pt], target));
    for (auto const cut : options.pt_cuts_gev)
      for (auto& [figure, value] : figures_of(at::logical_and(known, pt > cut)))
        figures.emplace_back(fmt::format("pt{}.{}", cut, figure), value);
    return figures;
  }
  /// What a summary of a few lines shows.
  std::vector<std::string> headlines() const { return {"auc", "f1"}; }

  bool operator==(EdgeMetrics const&) const = default;
};
static_assert(Metric<EdgeMetrics>);

}  // namespace dew
