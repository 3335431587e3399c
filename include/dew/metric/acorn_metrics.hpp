// SPDX-License-Identifier: BSL-1.0
// AcornMetrics: tracks scored as the acorn framework scores them, by three ways of matching.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/track_overlaps.hpp"

namespace dew {

/// The charges of particles that count.
enum class CountedCharge { any, charged, positive, negative };
constexpr auto names_of(CountedCharge) { return std::array{"any", "charged", "positive", "negative"}; }

/// Efficiency, fake rate and duplicates in acorn's three matchings (the framework of arXiv:2103.06995 and its successors).
///
/// Over pairs (track, particle) that share hits, noise left out, with p = shared / track hits, ε = shared / particle hits and F =
/// matching_fraction + 1e-6: *atlas* the track is matched and the particle found if p ≥ F; *one_way* matched if p ≥ F, found if ε ≥ F;
/// *two_way* both if p ≥ F and ε ≥ F. Tracks have at least `track_hits_min` hits. *Fiducial* particles: pt ≥ pt_min_gev, |η| ≤ eta_max, at
/// least `particle_hits_min` hits, and by options made within radius_max_mm of the beam line, of some charge, primary. Where the truth does not say
/// so of a particle, it does not pass such an option; where it says so of none, that is an `Error` (usage).
///
/// Figures for each matching: `atlas.efficiency` = distinct fiducial particles found / fiducial particles; `atlas.fake` = 1 − tracks matched
/// to any particle / tracks; `atlas.duplicates` = (found fiducial pairs − distinct found) / distinct found; `atlas.found` = distinct found.
/// `particles` (fiducial), `tracks`. In bins (see `ParticleBin`) all but what belongs to tracks: `pt_0.9_1.5.atlas.efficiency` …,
/// `pt_0.9_1.5.particles`. NaN where there is nothing to divide by. O(N log N).
///
/// Unlike there, a track of noise alone is a fake, and a particle none of whose hits is in a track counts as not found.
struct AcornMetrics {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    std::int64_t particle_hits_min = 3;
    std::int64_t track_hits_min = 3;
    double matching_fraction = 0.5;
    double radius_max_mm = 0;
    std::vector<double> pt_bins_gev = {0, 0.5, 0.9, 1.5, 3, 10};
    std::vector<double> eta_bins = {0, 1, 2, 3, 4};
    std::vector<std::int64_t> hits_bins = {3, 4, 5, 7, 10, 20};
    std::vector<double> radius_bins_mm = {0, 1, 10, 30, 70, 150};
    CountedCharge charge = CountedCharge::any;
    bool primary = false;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "smallest pt of particles that count"),
                              DEW_OPTION(eta_max, "", "largest |eta| of particles that count"),
                              DEW_OPTION(particle_hits_min, "", "fewest hits of particles that count"),
                              DEW_OPTION(track_hits_min, "", "fewest hits of tracks that count"),
                              DEW_OPTION(matching_fraction, "", "share of hits that matches, and a little more"),
                              DEW_OPTION(radius_max_mm, "mm", "largest production radius of particles that count; 0: any"),
                              DEW_OPTION(pt_bins_gev, "GeV", "edges of bins in pt; none: no bins"),
                              DEW_OPTION(eta_bins, "", "edges of bins in |eta|; none: no bins"),
                              DEW_OPTION(hits_bins, "", "edges of bins in the particle's number of hits; none: no bins"),
                              DEW_OPTION(radius_bins_mm, "mm", "edges of bins in the production radius; none: no bins"),
                              DEW_OPTION(charge, "", "charge of particles that count"),
                              DEW_OPTION(primary, "", "only particles made in a collision count"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "acorn";
  using Reads = TrackOverlaps::Reads;
  using MayRead = Keys<TruthRadius, TruthCharge, TruthPrimary>;

  static constexpr std::array matchings{"atlas", "one_way", "two_way"};

  Figures operator()(RecordOf<Reads, MayRead> const& event) const {
    need<TruthRadius>(event, options.radius_max_mm > 0, "radius_max_mm", -1);
    need<TruthCharge>(event, options.charge != CountedCharge::any, "charge", 0);
    need<TruthPrimary>(event, options.primary, "primary", -1);
    TrackOverlaps const overlaps(event);
    auto const matched = match(overlaps);
    Figures figures;
    for (auto const& bin : particle_bins(options.pt_bins_gev, options.eta_bins, options.hits_bins, options.radius_bins_mm)) {
      bool const everything = bin.of == ParticleBin::Of::everything;
      std::int64_t particles = 0;
      std::array<std::int64_t, 3> found{}, pairs{};
      for (std::size_t p = 0; p < overlaps.particles().size(); ++p) {
        if (!fiducial(overlaps, overlaps.particles()[p], bin)) continue;
        ++particles;
        for (std::size_t m = 0; m < 3; ++m) found[m] += matched.times_found[m][p] > 0, pairs[m] += matched.times_found[m][p];
      }
      for (std::size_t m = 0; m < 3; ++m) {
        auto const add = [&](char const* figure, double value) {
          figures.emplace_back(fmt::format("{}{}.{}", bin.prefix(), matchings[m], figure), value);
        };
        add("efficiency", detail::ratio(double(found[m]), double(particles)));
        if (everything) add("fake", detail::ratio(double(matched.tracks - matched.tracks_matched[m]), double(matched.tracks)));
        add("duplicates", detail::ratio(double(pairs[m] - found[m]), double(found[m])));
        add("found", double(found[m]));
      }
      figures.emplace_back(fmt::format("{}particles", bin.prefix()), double(particles));
      if (everything) figures.emplace_back("tracks", double(matched.tracks));
    }
    return figures;
  }

  bool operator==(AcornMetrics const&) const = default;

 private:
  /// Throws where an option asks for what is known of no particle.
  template <class K> static void need(RecordOf<Reads, MayRead> const& event, bool asked, char const* option, double unknown) {
    if (!asked) return;
    auto const* values = event.find(Of<K>{});
    check(values, ErrorKind::usage, "acorn.{} needs the key {}, which the event source does not give", option, K::name);
    check(values->numel() == 0 || (*values != unknown).any().template item<bool>(), ErrorKind::usage,
          "acorn.{} needs the key {}, which the event's truth gives for no particle", option, K::name);
  }

  bool has_counted_charge(double q) const {
    switch (options.charge) {
      case CountedCharge::charged: return q != 0;
      case CountedCharge::positive: return q > 0;
      case CountedCharge::negative: return q < 0;
      default: return true;
    }
  }

  struct Matched {
    std::int64_t tracks = 0;
    std::array<std::int64_t, 3> tracks_matched{};
    std::array<std::vector<std::int64_t>, 3> times_found;  // [P] each
  };

  Matched match(TrackOverlaps const& overlaps) const {
    double const fraction = options.matching_fraction + 1e-6;
    Matched out;
    for (auto& times : out.times_found) times.assign(overlaps.particles().size(), 0);
    for (auto const& track : overlaps.tracks()) {
      if (track.hits < options.track_hits_min) continue;
      ++out.tracks;
      std::array<bool, 3> is_matched{};
      for (auto const& [particle, shared, weight] : track.overlaps) {
        auto const row = std::size_t(particle);
        bool const pure = double(shared) / double(track.hits) >= fraction;
        bool const whole = double(shared) / double(overlaps.particles()[row].hits) >= fraction;
        out.times_found[0][row] += pure, out.times_found[1][row] += whole, out.times_found[2][row] += pure && whole;
        is_matched[0] |= pure, is_matched[1] |= pure, is_matched[2] |= pure && whole;
      }
      for (std::size_t m = 0; m < 3; ++m) out.tracks_matched[m] += is_matched[m];
    }
    return out;
  }

  bool fiducial(TrackOverlaps const& overlaps, TrueParticle const& p, ParticleBin const& bin) const {
    return overlaps.in(p, bin) && p.hits >= options.particle_hits_min &&
           (bin.of == ParticleBin::Of::pt || p.pt_gev >= overlaps.cut(options.pt_min_gev)) &&
           (bin.of == ParticleBin::Of::eta || std::abs(p.eta) <= overlaps.cut(options.eta_max)) &&
           (options.radius_max_mm <= 0 || (p.radius_mm >= 0 && p.radius_mm <= overlaps.cut(options.radius_max_mm))) &&
           has_counted_charge(p.charge) && (!options.primary || p.primary == 1);
  }
};
static_assert(Metric<AcornMetrics>);

}  // namespace dew
