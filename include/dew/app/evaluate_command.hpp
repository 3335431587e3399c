// SPDX-License-Identifier: BSL-1.0
// The command evaluate: the score of a run, by the program's metrics and by others that it knows by name.
#pragma once
#include <algorithm>
#include <concepts>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/app/flags.hpp"
#include "dew/app/scoring.hpp"
#include "dew/core/file.hpp"
#include "dew/metric/latent_metrics.hpp"
#include "dew/metric/neighbour_scan.hpp"
#include "dew/metric/score_scan.hpp"
#include "dew/metric/style_table.hpp"
#include "dew/metric/upper_bound.hpp"

namespace dew {

namespace detail {
template <class T, class... S> constexpr bool is_one_of(std::tuple<S...> const*) { return (std::same_as<T, S> || ...); }

/// A metric that may be left out when the program runs.
template <class M>
struct Switched : M {
  bool on = true;
  Figures operator()(InputOf<M> const& event, Context const& c) const {
    return on ? Figures(call(static_cast<M const&>(*this), event, c)) : Figures();
  }
};
}  // namespace detail

/// Metrics beside the program's own that `evaluate` knows by name: every style of scoring tracks, and analyses of graph and latent space, as
/// far as the pipeline writes what they read. A tuple.
template <class P, class Source, class Plan, class Metrics>
auto other_metrics([[maybe_unused]] Program<P, Source, Plan, Metrics> const& app) {
  using Available = typename P::template KeysAfterFirst<P::size, typename decltype(app.source.labelled(0))::KeySet>;
  auto const fits = []<class M>(M metric) {
    if constexpr (contains_all<Available, ReadsOf<M>> && !detail::is_one_of<M>(static_cast<Metrics const*>(nullptr)))
      return std::tuple(metric);
    else return std::tuple();
  };
  return std::apply(
      [&](auto... m) { return std::tuple_cat(fits(m)...); },
      std::tuple_cat(all_styles(), std::tuple(UpperBound{}, SegmentMetrics{}, LatentMetrics{}, ScoreScan{}, NeighbourScan{})));
}

/// The names of the program's metrics, then those of the others.
template <class A, class... Other> std::vector<std::string> metric_names(A const& app, std::tuple<Other...> const&) {
  auto names = std::apply([](auto const&... m) { return std::vector<std::string>{std::string(m.name)...}; }, app.metrics);
  (names.emplace_back(Other::name), ...);
  return names;
}

namespace detail {
/// The names of the metrics that --metrics asks for.
template <class A, class... Other>
std::vector<std::string> wanted_metrics(A const& app, std::string const& flag, std::tuple<Other...> const& others) {
  auto const known = metric_names(app, others);
  std::vector<std::string> wanted;
  std::istringstream words(flag);
  for (std::string word; std::getline(words, word, ',');) {
    auto const add = [&](auto const&... m) { (wanted.emplace_back(m.name), ...); };
    if (word == "all") wanted = known;
    else if (word == "own") std::apply(add, app.metrics);
    else if (word == "styles") std::apply(add, all_styles());
    else {
      check(std::find(known.begin(), known.end(), word) != known.end(), ErrorKind::usage,
            "--metrics: expected own, styles, all or some of {}, got '{}'", fmt::join(known, ", "), word);
      wanted.push_back(word);
    }
  }
  return wanted;
}
/// The cut of the program's TrackingMetrics that stands for all particles in the table: 0.9 GeV where it has that, else its last.
template <class... M> double style_cut(std::tuple<M...> const& metrics) {
  if constexpr ((std::same_as<M, TrackingMetrics> || ...)) {
    auto const& cuts = std::get<TrackingMetrics>(metrics).options.pt_cuts_gev;
    if (!cuts.empty() && std::find(cuts.begin(), cuts.end(), 0.9) == cuts.end()) return cuts.back();
  }
  return 0.9;
}
}  // namespace detail

/// Scores the selected events, prints the figures, writes them where --json says, and gives the exit status.
template <class P, class Source, class Plan, class Metrics, class... Other>
int evaluate_run(Program<P, Source, Plan, Metrics> const& app, Trained<P> const& trained, CommandFlags const& flags,
                 std::tuple<Other...> const& others) {
  auto const wanted = detail::wanted_metrics(app, flags.metrics, others);
  auto const ids = app.selected(flags.select);
  auto const has = [&](std::string_view name) { return std::find(wanted.begin(), wanted.end(), name) != wanted.end(); };
  bool const table = flags.metrics != "own" && (has(AcornMetrics::name) || has(OneToOneMetrics::name) || has(TrackMlScore::name));
  auto const own = [&]<class M>(M metric) {
    if constexpr (std::same_as<M, TrackingMetrics>) {
      auto& o = metric.options;
      auto const bins = std::get<TrackingMetrics>(all_styles()).options;  // in the table it has those of the others
      if (table && o.hits_bins.empty()) o.hits_bins = bins.hits_bins;
      if (table && o.radius_bins_mm.empty()) o.radius_bins_mm = bins.radius_bins_mm;
    }
    return detail::Switched<M>{std::move(metric), has(M::name)};
  };
  auto const summary = score(app, trained, ids, flags.quiet,
                             std::tuple_cat(std::apply([&](auto const&... m) { return std::tuple(own(m)...); }, app.metrics),
                                            std::tuple(detail::Switched<Other>{std::get<Other>(others), has(Other::name)}...)));
  bool const in_full = flags.tables || flags.metrics != "own";
  fmt::print("{}", (in_full ? summary : in_short(app, summary)).text());
  if (!in_full) fmt::print("more: --tables, --metrics all, --json FILE\n");
  auto json = score_report(app, summary, ids.size());
  if (table) {
    StyleTable const styles(summary, detail::style_cut(app.metrics));
    fmt::print("\n{}", styles.text());
    auto const pooled = styles.json();
    for (auto const& [name, value] : pooled.items()) json["pooled." + name] = value;
  }
  for (auto const& scan : {std::string(ScoreScan::name), std::string(NeighbourScan::name)})
    if (has(scan))
      fmt::print("\n{}: where more than half of a particle's hits stay together\n{}", scan, scan_in(summary, scan).text("more_than_half"));
  if (!flags.json.empty() && app.processes->first()) write_file_atomically(flags.json, json.dump(2) + "\n");
  return 0;
}

}  // namespace dew
