// SPDX-License-Identifier: BSL-1.0
// GraphScan: how the quality of a graph changes with one number, and where it reaches a target. N hits, E edges.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/policy.hpp"
#include "dew/metric/cubic_spline.hpp"
#include "dew/metric/summary.hpp"
#include "dew/ops/nearest_neighbours.hpp"

namespace dew {

/// The targets at which a scan is read off.
inline std::vector<double> const& scan_targets() {
  static std::vector<double> const targets{0.8, 0.85, 0.88, 0.9, 0.93, 0.95, 0.97, 0.99};
  return targets;
}

/// The figures of graphs made with several values of one number x (neighbours, a score), over events. arXiv:2312.03823.
///
/// Each figure's mean over events at each x becomes a point, and `CubicSpline` goes through the points where it is defined. `at_target` finds the
/// smallest x* at which one figure reaches a target, and says what every other figure is there.
class GraphScan {
 public:
  /// Adds one event's figures at x.
  void add(double x, Figures const& figures) { at_[x].add(figures); }

  /// The values of x, ascending.
  std::vector<double> places() const {
    std::vector<double> out;
    for (auto const& [x, summary] : at_) out.push_back(x);
    return out;
  }
  /// The figures of all events at x.
  Summary const& at(double x) const {
    auto const found = at_.find(x);
    check(found != at_.end(), "a scan has no point at {}", x);
    return found->second;
  }

  /// The curve of a figure; none with fewer than two points.
  std::optional<CubicSpline> curve(std::string const& figure) const {
    auto const [x, y] = points(figure);
    return x.size() < 2 ? std::nullopt : std::optional<CubicSpline>(CubicSpline(x, y));
  }

  /// "at": the smallest x* with figure(x*) = target, then every figure at x*. All NaN where the target is above the figure's largest mean, where
  /// the curve does not reach it between the first and the last point, and with fewer than two points.
  Figures at_target(std::string const& figure, double target) const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    auto const values = points(figure).second;
    auto const spline = curve(figure);
    auto const x = spline && target <= *std::max_element(values.begin(), values.end()) ? spline->first(target) : std::nullopt;
    Figures out{{"at", x ? *x : nan}};
    if (at_.empty()) return out;
    for (auto const& name : at_.begin()->second.names()) {
      auto const its = curve(name);
      out.emplace_back(name, x && its ? (*its)(*x) : nan);
    }
    return out;
  }

  /// A table: a line for each x with the means, then one for each target of `figure`.
  std::string text(std::string const& figure, std::vector<double> const& targets = scan_targets()) const {
    if (at_.empty()) return "";
    auto const names = at_.begin()->second.names();
    auto text = fmt::format("{:>10} {:>10}", "target", "at");
    for (auto const& name : names) text += fmt::format(" {:>{}}", name, std::max<std::size_t>(name.size(), 10));
    text += '\n';
    auto const add = [&](std::string const& target, double x, auto const& value_of) {
      text += fmt::format("{:>10} {:>10.4g}", target, x);
      for (auto const& name : names) text += fmt::format(" {:>{}.4f}", value_of(name), std::max<std::size_t>(name.size(), 10));
      text += '\n';
    };
    for (auto const& [x, summary] : at_)
      add("", x, [&](std::string const& name) { return summary.has(name) ? summary.mean(name) : std::nan(""); });
    for (auto const target : targets) {
      auto const found = at_target(figure, target);
      add(fmt::format("{}", target), found.front().second, [&](std::string const& name) {
        return std::find_if(found.begin() + 1, found.end(), [&](auto const& f) { return f.first == name; })->second;
      });
    }
    return text;
  }

 private:
  std::pair<std::vector<double>, std::vector<double>> points(std::string const& figure) const {
    std::pair<std::vector<double>, std::vector<double>> out;
    for (auto const& [x, summary] : at_)
      if (summary.has(figure) && summary.events(figure) > 0) out.first.push_back(x), out.second.push_back(summary.mean(figure));
    return out;
  }
  std::map<double, Summary> at_;
};

namespace detail {
inline constexpr std::array scanned_figures{"more_than_half", "more_than_three_quarters", "whole"};

/// Adds those of the figures at x that scans are about, and the number of edges; below 0: all undefined.
inline void add_scanned(Figures& out, double x, Figures const& figures, std::int64_t edges) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::string const name : scanned_figures) {
    auto const found = std::find_if(figures.begin(), figures.end(), [&](auto const& f) { return f.first == name; });
    out.emplace_back(fmt::format("{}.{}", x, name), found == figures.end() ? nan : found->second);
  }
  out.emplace_back(fmt::format("{}.edges", x), edges < 0 ? nan : double(edges));
}
}  // namespace detail

/// The scan whose figures `metric.x.figure` a summary holds, as `ScoreScan` and `NeighbourScan` report them: one point a place, the mean.
inline GraphScan scan_in(Summary const& summary, std::string const& metric) {
  std::map<double, Figures> at;
  for (auto const& name : summary.names()) {
    if (!name.starts_with(metric + ".")) continue;
    auto const end = name.rfind('.');
    at[std::stod(name.substr(metric.size() + 1, end - metric.size() - 1))].emplace_back(name.substr(end + 1), summary.mean(name));
  }
  GraphScan scan;
  for (auto const& [x, figures] : at) scan.add(x, figures);
  return scan;
}

/// Adds one event's graphs with k = 1 … `k_max` nearest neighbours in `points` [N, d] at a distance < `radius`: `measure(edges)` says the
/// figures of edges [2, E]. Stops at the first k that makes more than `edges_max`.
template <class Measure>
void scan_over_neighbours(GraphScan& scan, Tensor const& points, Measure const& measure, std::int64_t k_max = 9, double radius = 1,
                          std::int64_t edges_max = 5'000'000) {
  for (std::int64_t k = 1; k <= k_max; ++k) {
    auto const edges = nearest_neighbours(points, k, radius).edge_index();
    if (edges.size(1) > edges_max) return;
    scan.add(double(k), measure(edges));
  }
}

/// Adds one event's graphs of the edges with w > τ for each τ: `measure(kept)` says the figures for the numbers of the kept edges [E'].
template <class Measure>
void scan_over_score(GraphScan& scan, Tensor const& score, std::vector<double> const& thresholds, Measure const& measure) {
  for (auto const threshold : thresholds) scan.add(threshold, measure((score > threshold).nonzero().squeeze(1)));
}

}  // namespace dew
