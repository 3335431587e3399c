// SPDX-License-Identifier: BSL-1.0
// TrackOverlaps: how many hits each track shares with each particle; what every style of scoring tracks starts from.
// N hits, P particles.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/values.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/particle_bins.hpp"
#include "dew/metric/ratio.hpp"

namespace dew {

/// A particle of the truth.
struct TrueParticle {
  double pt_gev, eta;
  std::int64_t hits;     ///< all that it left in the selected volumes, those that a stage dropped too
  double radius_mm;      ///< −1 where unknown
  double weight;         ///< of all its hits; 0 where unknown
  double charge;         ///< e; 0 where unknown
  std::int64_t primary;  ///< 1: made in a collision, 0: later; −1 where unknown
};

/// The tracks of one event and the hits that they share with particles (id > 0).
///
/// A track is a label ≥ 0 with a known hit; how many it needs is each style's to say. Its number of hits counts noise too. Unknown hits (id −1)
/// are left out entirely. A particle's number of hits is `truth_hits`, so that hits that a stage dropped count against its tracks. Tracks
/// ascend by label, their overlaps by id: nothing depends on the order of the hits. Integer sorts, O(N log N), on the CPU. Exact.
class TrackOverlaps {
 public:
  using Reads = Keys<Label, ParticleId, TruthId, TruthPt, TruthEta, TruthHits>;
  using MayRead = Keys<Weight, TruthWeight, TruthRadius, TruthCharge, TruthPrimary>;

  struct Overlap {
    std::int64_t particle;  ///< its row
    std::int64_t shared;    ///< hits
    double weight;          ///< of these; 0 where unknown
  };
  struct Track {
    std::int64_t label, hits;
    std::vector<Overlap> overlaps;
  };

  /// Throws `Error` when a hit's particle is not among `truth_id`.
  explicit TrackOverlaps(RecordOf<Reads, MayRead> const& event) : single_(event[key::truth_pt].scalar_type() == at::kFloat) {
    auto const pt = values_of<double>(event[key::truth_pt]), eta = values_of<double>(event[key::truth_eta]);
    auto const hits = values_of<std::int64_t>(event[key::truth_hits]);
    auto const* radius = event.find(key::truth_radius);
    auto const* weight = event.find(key::truth_weight);
    auto const* charge = event.find(key::truth_charge);
    auto const* primary = event.find(key::truth_primary);
    auto const radii = radius ? values_of<double>(*radius) : std::vector<double>(pt.size(), -1);
    auto const weights = weight ? values_of<double>(*weight) : std::vector<double>(pt.size(), 0);
    auto const charges = charge ? values_of<double>(*charge) : std::vector<double>(pt.size(), 0);
    auto const primaries = primary ? values_of<std::int64_t>(*primary) : std::vector<std::int64_t>(pt.size(), -1);
    for (std::size_t p = 0; p < pt.size(); ++p)
      particles_.push_back({pt[p], eta[p], hits[p], radii[p], weights[p], charges[p], primaries[p]});
    auto const* of_hits = event.find(key::weight);
    auto const label = values_of<std::int64_t>(event[key::label]), id = values_of<std::int64_t>(event[key::particle_id]);
    find_tracks(label, id, values_of<std::int64_t>(event[key::truth_id]),
                of_hits ? values_of<double>(*of_hits) : std::vector<double>(id.size(), 0));
  }

  std::vector<Track> const& tracks() const { return tracks_; }
  std::vector<TrueParticle> const& particles() const { return particles_; }

  /// Whether a particle is in a bin.
  bool in(TrueParticle const& p, ParticleBin const& bin) const {
    auto const within = [&](double value) { return value >= cut(bin.low) && value < cut(bin.high); };
    switch (bin.of) {
      case ParticleBin::Of::pt: return within(p.pt_gev);
      case ParticleBin::Of::eta: return within(std::abs(p.eta));
      case ParticleBin::Of::hits: return within(double(p.hits));
      case ParticleBin::Of::radius: return p.radius_mm >= 0 && within(p.radius_mm);
      default: return true;
    }
  }
  /// A limit as the event's reals know it: 0.9 in float is at the cut 0.9, not below it.
  double cut(double value) const { return single_ ? double(float(value)) : value; }

 private:
  void find_tracks(std::vector<std::int64_t> const& label, std::vector<std::int64_t> const& id, std::vector<std::int64_t> const& truth_id,
                   std::vector<double> const& weight) {
    std::vector<std::tuple<std::int64_t, std::int64_t, double>> hits;  // label, particle, weight
    for (std::size_t i = 0; i < label.size(); ++i)
      if (label[i] >= 0 && id[i] >= 0) hits.emplace_back(label[i], id[i], weight[i]);
    std::sort(hits.begin(), hits.end());
    for (auto const& [track, particle, w] : hits) {
      bool const is_new = tracks_.empty() || tracks_.back().label != track;
      if (is_new) tracks_.push_back({track, 0, {}});
      auto& [its_label, count, overlaps] = tracks_.back();
      ++count;
      if (particle == 0) continue;
      if (overlaps.empty() || truth_id[std::size_t(overlaps.back().particle)] != particle) {
        auto const at = std::lower_bound(truth_id.begin(), truth_id.end(), particle);
        check(at != truth_id.end() && *at == particle, "tracking metrics: particle {} has hits but no row in {}", particle, TruthId::name);
        overlaps.push_back({at - truth_id.begin(), 0, 0});
      }
      ++overlaps.back().shared;
      overlaps.back().weight += w;
    }
  }

  std::vector<TrueParticle> particles_;  // [P]
  std::vector<Track> tracks_;
  bool single_;
};

}  // namespace dew
