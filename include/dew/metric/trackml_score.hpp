// SPDX-License-Identifier: BSL-1.0
// TrackMlScore: the score of the TrackML challenge.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/track_overlaps.hpp"

namespace dew {

/// The weighted share of hits that are in the right track. From the TrackML challenge, arXiv:1904.06778.
///
/// A track (at least `track_hits_min` hits) is good when more than half of its hits are of one particle and these are more than half of that
/// particle's hits. `score` = Σ weight of that particle's hits in good tracks / Σ weight of all hits. In bins (see `ParticleBin`; there is no
/// cut besides) the same for the hits of the bin's particles: `pt_0.9_1.5.score`.
///
/// Weights are the truth's: `weight` of hits and `truth_weight` of particles, so that dropped hits count too. NaN where the truth has none.
/// O(N log N).
struct TrackMlScore {
  struct Options {
    std::int64_t track_hits_min = 3;
    std::vector<double> pt_bins_gev = {0, 0.5, 0.9, 1.5, 3, 10};
    std::vector<double> eta_bins = {0, 1, 2, 3, 4};
    std::vector<std::int64_t> hits_bins = {3, 4, 5, 7, 10, 20};
    std::vector<double> radius_bins_mm = {0, 1, 10, 30, 70, 150};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(track_hits_min, "", "fewest hits of tracks that count"),
                              DEW_OPTION(pt_bins_gev, "GeV", "edges of bins in pt; none: no bins"),
                              DEW_OPTION(eta_bins, "", "edges of bins in |eta|; none: no bins"),
                              DEW_OPTION(hits_bins, "", "edges of bins in the particle's number of hits; none: no bins"),
                              DEW_OPTION(radius_bins_mm, "mm", "edges of bins in the production radius; none: no bins"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "trackml_score";
  using Reads = TrackOverlaps::Reads;
  using MayRead = TrackOverlaps::MayRead;

  Figures operator()(RecordOf<Reads, MayRead> const& event) const {
    TrackOverlaps const overlaps(event);
    bool const has_weights = event.find(key::weight) && event.find(key::truth_weight);
    std::vector<double> found(overlaps.particles().size(), 0);  // [P] weight in good tracks
    for (auto const& track : overlaps.tracks())
      for (auto const& [particle, shared, weight] : track.overlaps)
        if (track.hits >= options.track_hits_min && 2 * shared > track.hits &&
            2 * shared > overlaps.particles()[std::size_t(particle)].hits)
          found[std::size_t(particle)] += weight;
    Figures figures;
    for (auto const& bin : particle_bins(options.pt_bins_gev, options.eta_bins, options.hits_bins, options.radius_bins_mm)) {
      double part = 0, whole = 0;
      for (std::size_t p = 0; p < found.size(); ++p)
        if (overlaps.in(overlaps.particles()[p], bin)) part += found[p], whole += overlaps.particles()[p].weight;
      if (has_weights && bin.of == ParticleBin::Of::everything) whole += weight_of_noise(event);
      figures.emplace_back(fmt::format("{}score", bin.prefix()),
                           has_weights ? detail::ratio(part, whole) : std::numeric_limits<double>::quiet_NaN());
    }
    return figures;
  }

  bool operator==(TrackMlScore const&) const = default;

 private:
  static double weight_of_noise(RecordOf<Reads, MayRead> const& event) {
    return event.find(key::weight)->masked_select(event[key::particle_id] == 0).to(at::kDouble).sum().item<double>();
  }
};
static_assert(Metric<TrackMlScore>);

}  // namespace dew
