// SPDX-License-Identifier: BSL-1.0
// OneToOneMetrics: tracks scored as the transformer trackers are, each particle given to at most one track.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/track_overlaps.hpp"

namespace dew {

/// Efficiencies and fake rate after a one-to-one assignment of tracks to particles. From the transformer tracker, arXiv:2411.07149.
///
/// A track (at least `track_hits_min` hits) has one best particle: the one with which it shares most hits, noise left out (ties: the smallest
/// id). In the order of decreasing overlap (ties: the smaller label) a track takes its best particle if that is still free; else it matches
/// nothing. Of a matched track precision = shared / track hits, recall = shared / particle hits: *perfect* both 1, *double_majority* both >
/// 0.5, *lhc* precision > 0.75.
///
/// Figures: `perfect`, `double_majority`, `lhc` = particles whose track passes / particles, with at least `particle_hits_min` hits, pt >
/// pt_min_gev and |η| < eta_max, both strictly; `fake_double_majority` = tracks that fail double majority / tracks; `particles`, `tracks`. In
/// bins (see `ParticleBin`) all but what belongs to tracks: `pt_0.9_1.5.perfect` …, `pt_0.9_1.5.particles`. NaN where there is nothing to divide
/// by. O(N log N). Tracks with the very same hits, which are duplicates there, cannot be made by labels.
struct OneToOneMetrics {
  struct Options {
    double pt_min_gev = 1;
    double eta_max = 2.5;
    std::int64_t particle_hits_min = 3;
    std::int64_t track_hits_min = 3;
    std::vector<double> pt_bins_gev = {0, 0.5, 0.9, 1.5, 3, 10};
    std::vector<double> eta_bins = {0, 1, 2, 3, 4};
    std::vector<std::int64_t> hits_bins = {3, 4, 5, 7, 10, 20};
    std::vector<double> radius_bins_mm = {0, 1, 10, 30, 70, 150};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "particles that count have a larger pt"),
                              DEW_OPTION(eta_max, "", "particles that count have a smaller |eta|"),
                              DEW_OPTION(particle_hits_min, "", "fewest hits of particles that count"),
                              DEW_OPTION(track_hits_min, "", "fewest hits of tracks that count"),
                              DEW_OPTION(pt_bins_gev, "GeV", "edges of bins in pt; none: no bins"),
                              DEW_OPTION(eta_bins, "", "edges of bins in |eta|; none: no bins"),
                              DEW_OPTION(hits_bins, "", "edges of bins in the particle's number of hits; none: no bins"),
                              DEW_OPTION(radius_bins_mm, "mm", "edges of bins in the production radius; none: no bins"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "one_to_one";
  using Reads = TrackOverlaps::Reads;
  using MayRead = Keys<TruthRadius>;

  Figures operator()(RecordOf<Reads, MayRead> const& event) const {
    TrackOverlaps const overlaps(event);
    auto const [passed, tracks, good_tracks] = assign(overlaps);
    Figures figures;
    for (auto const& bin : particle_bins(options.pt_bins_gev, options.eta_bins, options.hits_bins, options.radius_bins_mm)) {
      bool const everything = bin.of == ParticleBin::Of::everything;
      std::int64_t particles = 0;
      Passed found{};
      for (std::size_t p = 0; p < passed.size(); ++p) {
        if (!counts(overlaps, overlaps.particles()[p], bin)) continue;
        ++particles;
        for (std::size_t k = 0; k < found.size(); ++k) found[k] += passed[p][k];
      }
      for (std::size_t k = 0; k < found.size(); ++k)
        figures.emplace_back(fmt::format("{}{}", bin.prefix(), criteria[k]), detail::ratio(double(found[k]), double(particles)));
      if (everything) figures.emplace_back("fake_double_majority", detail::ratio(double(tracks - good_tracks), double(tracks)));
      figures.emplace_back(fmt::format("{}particles", bin.prefix()), double(particles));
      if (everything) figures.emplace_back("tracks", double(tracks));
    }
    return figures;
  }

  bool operator==(OneToOneMetrics const&) const = default;

 private:
  static constexpr std::array criteria{"perfect", "double_majority", "lhc"};
  using Passed = std::array<std::int64_t, 3>;  // 0 or 1 for each criterion
  struct Assigned {
    std::vector<Passed> passed;  // [P]
    std::int64_t tracks = 0, good_tracks = 0;
  };

  Assigned assign(TrackOverlaps const& overlaps) const {
    Assigned out{std::vector<Passed>(overlaps.particles().size(), Passed{}), 0, 0};
    struct Claim { std::int64_t shared, label, hits, particle; };
    std::vector<Claim> claims;
    for (auto const& track : overlaps.tracks()) {
      if (track.hits < options.track_hits_min) continue;
      ++out.tracks;
      Claim best{0, track.label, track.hits, -1};
      for (auto const& overlap : track.overlaps)  // ids ascend: of equals the first stays
        if (overlap.shared > best.shared) best.shared = overlap.shared, best.particle = overlap.particle;
      if (best.particle >= 0) claims.push_back(best);
    }
    std::sort(claims.begin(), claims.end(),
              [](auto const& a, auto const& b) { return std::tuple(-a.shared, a.label) < std::tuple(-b.shared, b.label); });
    std::vector<bool> taken(out.passed.size(), false);
    for (auto const& [shared, label, hits, particle] : claims) {
      auto const row = std::size_t(particle);
      if (taken[row]) continue;
      taken[row] = true;
      auto const of_particle = overlaps.particles()[row].hits;
      bool const majority = 2 * shared > hits && 2 * shared > of_particle;
      out.passed[row] = {shared == hits && shared == of_particle, majority, 4 * shared > 3 * hits};
      out.good_tracks += majority;
    }
    return out;
  }

  bool counts(TrackOverlaps const& overlaps, TrueParticle const& p, ParticleBin const& bin) const {
    return overlaps.in(p, bin) && p.hits >= options.particle_hits_min &&
           (bin.of == ParticleBin::Of::pt || p.pt_gev > overlaps.cut(options.pt_min_gev)) &&
           (bin.of == ParticleBin::Of::eta || std::abs(p.eta) < overlaps.cut(options.eta_max));
  }
};
static_assert(Metric<OneToOneMetrics>);

}  // namespace dew
