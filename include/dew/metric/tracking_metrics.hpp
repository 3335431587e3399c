// SPDX-License-Identifier: BSL-1.0
// TrackingMetrics: how many particles were found, and how many tracks are wrong.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/growing_tracks.hpp"
#include "dew/metric/track_matching.hpp"

namespace dew {

/// Tracks against the truth, for particles above several pt and in bins of pt, |η|, number of hits and production radius.
///
/// With f the majority's share of the track and g the track's share of its majority particle's hits (see `TrackMatching`): *double
/// majority* f > 0.5 and g > 0.5; *perfect* g = 1 and f > 0.99; *lhc* f > 0.75. Efficiency: tracks that match / particles (lhc: / tracks).
/// Fake rate: 1 − tracks that match / tracks. Only tracks count whose majority particle is reconstructable, in the pt range and in |η| <
/// eta_max.
///
/// Figures: `pt0.9.double_majority`, `….perfect`, `….lhc`, `….fake_double_majority`, `….fake_perfect`, `….fake_lhc`, `….particles`,
/// `….tracks` for each pt cut; the same under `pt_0.5_0.9.` for each bin [0.5, 0.9) of pt, and under `eta_0_1.` for each bin of |η|,
/// `hits_3_5.` and `radius_0_10.` (pt ≥ pt_min_gev). O(N + P). No particle is found twice: two tracks cannot both hold more
/// than half of its hits.
struct TrackingMetrics {
  struct Options {
    std::vector<double> pt_cuts_gev = {0, 0.5, 0.9, 1.5};
    double eta_max = 4;
    std::vector<double> pt_bins_gev = {0, 0.5, 0.9, 1.5, 3, 10};
    std::vector<double> eta_bins = {0, 1, 2, 3, 4};
    double pt_min_gev = 0.9;
    std::vector<std::int64_t> hits_bins = {};
    std::vector<double> radius_bins_mm = {};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_cuts_gev, "GeV", "figures for particles with at least each of these"),
                              DEW_OPTION(eta_max, "", "largest |eta| of particles that count"),
                              DEW_OPTION(pt_bins_gev, "GeV", "edges of bins in pt; none: no bins"),
                              DEW_OPTION(eta_bins, "", "edges of bins in |eta|; none: no bins"),
                              DEW_OPTION(pt_min_gev, "GeV", "smallest pt in the bins of |eta|, hits and radius"),
                              DEW_OPTION(hits_bins, "", "edges of bins in the particle's number of hits; none: no bins"),
                              DEW_OPTION(radius_bins_mm, "mm", "edges of bins in the production radius; none: no bins"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "tracking";
  using Reads = TrackMatching::Reads;
  using MayRead = TrackMatching::MayRead;

  Figures operator()(RecordOf<Reads, MayRead> const& event) const {
    TrackMatching const matching(event);
    Figures figures;
    for (auto const& [prefix, selection] : selections()) add(figures, prefix, matching.score(selection));
    return figures;
  }

  /// The figures of an event under each of several labellings in turn, as one call each would give them. Quick where tracks only grow from one to
  /// the next, as along a scan (see `GrowingTracks`).
  std::vector<Figures> in_turn(RecordOf<GrowingTracks::Reads, MayRead> const& event, std::span<Tensor const> labels) const {
    auto const prefixes = selections();
    std::vector<ParticleSelection> only;
    for (auto const& [_, selection] : prefixes) only.push_back(selection);
    GrowingTracks tracks(event, only);
    std::vector<Figures> out;
    for (auto const& each : labels) {
      tracks.go_to(each);
      auto& figures = out.emplace_back();
      for (std::size_t s = 0; s < prefixes.size(); ++s) add(figures, prefixes[s].first, tracks.score(s));
    }
    return out;
  }

  /// What a summary of a few lines shows.
  std::vector<std::string> headlines() const {
    auto const& cuts = options.pt_cuts_gev;
    if (cuts.empty()) return {};
    auto const usual = std::find(cuts.begin(), cuts.end(), options.pt_min_gev);
    auto const cut = fmt::format("pt{}.", usual == cuts.end() ? cuts.front() : *usual);
    return {cut + "double_majority", cut + "perfect", cut + "fake_double_majority"};
  }

  bool operator==(TrackingMetrics const&) const = default;

 private:
  /// Which particles are scored, and what their figures' names begin with.
  std::vector<std::pair<std::string, ParticleSelection>> selections() const {
    std::vector<std::pair<std::string, ParticleSelection>> out;
    auto const& o = options;
    for (auto const cut : o.pt_cuts_gev) out.push_back({fmt::format("pt{}.", cut), {.pt_min_gev = cut, .eta_max = o.eta_max}});
    auto const bins = [&](std::string const& of, auto const& edges, auto&& selection) {
      for (std::size_t b = 1; b < edges.size(); ++b)
        out.push_back({fmt::format("{}_{}_{}.", of, edges[b - 1], edges[b]), selection(edges[b - 1], edges[b])});
    };
    bins("pt", o.pt_bins_gev,
         [&](double low, double high) { return ParticleSelection{.pt_min_gev = low, .pt_max_gev = high, .eta_max = o.eta_max}; });
    bins("eta", o.eta_bins,
         [&](double low, double high) { return ParticleSelection{.pt_min_gev = o.pt_min_gev, .eta_min = low, .eta_max = high}; });
    bins("hits", o.hits_bins, [&](std::int64_t low, std::int64_t high) {
      return ParticleSelection{.pt_min_gev = o.pt_min_gev, .eta_max = o.eta_max, .hits_min = low, .hits_max = high};
    });
    bins("radius", o.radius_bins_mm, [&](double low, double high) {
      return ParticleSelection{.pt_min_gev = o.pt_min_gev, .eta_max = o.eta_max, .radius_min_mm = low, .radius_max_mm = high};
    });
    return out;
  }
  static void add(Figures& figures, std::string const& prefix, Figures&& more) {
    for (auto& [figure, value] : more) figures.emplace_back(prefix + figure, value);
  }
};
static_assert(Metric<TrackingMetrics>);

}  // namespace dew
