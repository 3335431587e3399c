// SPDX-License-Identifier: BSL-1.0
// TrackingMetrics: how many particles were found, and how many tracks are wrong.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
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
    auto const add = [&](std::string const& prefix, ParticleSelection const& selection) {
      for (auto& [figure, value] : matching.score(selection)) figures.emplace_back(prefix + figure, value);
    };
    for (auto const cut : options.pt_cuts_gev) add(fmt::format("pt{}.", cut), {.pt_min_gev = cut, .eta_max = options.eta_max});
    auto const& pt = options.pt_bins_gev;
    for (std::size_t b = 1; b < pt.size(); ++b)
      add(fmt::format("pt_{}_{}.", pt[b - 1], pt[b]), {.pt_min_gev = pt[b - 1], .pt_max_gev = pt[b], .eta_max = options.eta_max});
    auto const& eta = options.eta_bins;
    for (std::size_t b = 1; b < eta.size(); ++b)
      add(fmt::format("eta_{}_{}.", eta[b - 1], eta[b]), {.pt_min_gev = options.pt_min_gev, .eta_min = eta[b - 1], .eta_max = eta[b]});
    auto const& hits = options.hits_bins;
    for (std::size_t b = 1; b < hits.size(); ++b)
      add(fmt::format("hits_{}_{}.", hits[b - 1], hits[b]),
          {.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max, .hits_min = hits[b - 1], .hits_max = hits[b]});
    auto const& radius = options.radius_bins_mm;
    for (std::size_t b = 1; b < radius.size(); ++b)
      add(fmt::format("radius_{}_{}.", radius[b - 1], radius[b]),
          {.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max, .radius_min_mm = radius[b - 1], .radius_max_mm = radius[b]});
    return figures;
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
};
static_assert(Metric<TrackingMetrics>);

}  // namespace dew
