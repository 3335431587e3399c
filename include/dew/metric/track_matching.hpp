// SPDX-License-Identifier: BSL-1.0
// TrackMatching: which particle each track belongs to, and how well, in the style of the Python reference.
// N hits, P particles.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/values.hpp"
#include "dew/event/id_index.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/ratio.hpp"

namespace dew {

/// Which particles count: pt_min_gev ≤ pt < pt_max_gev, eta_min ≤ |η| < eta_max, hits_min ≤ hits < hits_max, radius_min_mm ≤ production
/// radius < radius_max_mm (−1 where that is not known), and reconstructable.
struct ParticleSelection {
  double pt_min_gev = 0;
  double pt_max_gev = std::numeric_limits<double>::infinity();
  double eta_min = 0;
  double eta_max = 4;
  std::int64_t hits_min = 0;
  std::int64_t hits_max = std::numeric_limits<std::int64_t>::max();
  double radius_min_mm = -std::numeric_limits<double>::infinity();
  double radius_max_mm = std::numeric_limits<double>::infinity();
};

/// The tracks of one event, each with its majority particle. arXiv:2309.16754, section 5.
///
/// A track is a label ≥ 0 with at least 3 hits. Its majority particle has most hits in it (noise, id 0, competes too; ties: the one whose
/// first hit in the track has the lowest row). f = majority hits / track hits, g = majority hits / all hits of that particle
/// (`truth_hits`, so that hits that a stage dropped count against the track). Unknown hits (id −1) are left out entirely. By counting, O(N + P),
/// on the CPU. Exact.
class TrackMatching {
 public:
  using Reads = Keys<Label, ParticleId, TruthId, TruthPt, TruthEta, TruthHits, TruthReconstructable>;
  using MayRead = Keys<TruthRadius>;

  /// Throws `Error` when a hit's particle is not among `truth_id`.
  explicit TrackMatching(RecordOf<Reads, MayRead> const& event)
      : pt_(values_of<double>(event[key::truth_pt])),
        eta_(values_of<double>(event[key::truth_eta])),
        hits_(values_of<std::int64_t>(event[key::truth_hits])),
        single_(event[key::truth_pt].scalar_type() == at::kFloat) {
    auto const* radius = event.find(key::truth_radius);
    radius_ = radius ? values_of<double>(*radius) : std::vector<double>(pt_.size(), -1);
    for (auto const good : values_of<std::int64_t>(event[key::truth_reconstructable])) reconstructable_.push_back(good != 0);
    find_tracks(values_of<std::int64_t>(event[key::label]), values_of<std::int64_t>(event[key::particle_id]),
                values_of<std::int64_t>(event[key::truth_id]), hits_);
  }

  /// `double_majority`, `perfect`, `lhc`, `fake_double_majority`, `fake_perfect`, `fake_lhc`, `particles` (selected ones), `tracks` (whose
  /// majority particle is selected). Efficiencies are per particle (lhc: per track); NaN where that number is 0.
  Figures score(ParticleSelection const& selection) const {
    std::int64_t particles = 0, tracks = 0, majority = 0, perfect = 0, lhc = 0;
    for (std::size_t p = 0; p < pt_.size(); ++p) particles += selected(p, selection);
    for (auto const& track : tracks_) {
      if (track.particle < 0 || !selected(std::size_t(track.particle), selection)) continue;
      ++tracks;
      majority += 2 * track.shared > track.hits && 2 * track.shared > track.particle_hits;
      perfect += track.shared == track.particle_hits && 100 * track.shared > 99 * track.hits;
      lhc += 4 * track.shared > 3 * track.hits;
    }
    auto const ratio = [](std::int64_t part, std::int64_t whole) { return detail::ratio(double(part), double(whole)); };
    return {{"double_majority", ratio(majority, particles)},
            {"perfect", ratio(perfect, particles)},
            {"lhc", ratio(lhc, tracks)},
            {"fake_double_majority", ratio(tracks - majority, tracks)},
            {"fake_perfect", ratio(tracks - perfect, tracks)},
            {"fake_lhc", ratio(tracks - lhc, tracks)},
            {"particles", double(particles)},
            {"tracks", double(tracks)}};
  }

 private:
  struct Track {
    std::int64_t hits, shared;  // all, and those of the majority particle
    std::int64_t particle;      // its row, −1 for noise
    std::int64_t particle_hits;
  };

  bool selected(std::size_t p, ParticleSelection const& s) const {
    auto const cut = [&](double value) { return single_ ? double(float(value)) : value; };  // 0.9 in float is at the cut 0.9, not below it
    return reconstructable_[p] && pt_[p] >= cut(s.pt_min_gev) && pt_[p] < cut(s.pt_max_gev) && std::abs(eta_[p]) >= cut(s.eta_min) &&
           std::abs(eta_[p]) < cut(s.eta_max) && hits_[p] >= s.hits_min && hits_[p] < s.hits_max && radius_[p] >= cut(s.radius_min_mm) &&
           radius_[p] < cut(s.radius_max_mm);
  }

  void find_tracks(std::vector<std::int64_t> const& label, std::vector<std::int64_t> const& id, std::vector<std::int64_t> const& truth_id,
                   std::vector<std::int64_t> const& truth_hits) {
    // Small numbers for labels and particles, so that counting takes the place of sorting: a label itself, or the first row that has it; a
    // particle's row in the truth, one for noise, and more for those without a row.
    auto const n = std::int64_t(label.size()), particles = std::int64_t(truth_id.size());
    bool const small = std::all_of(label.begin(), label.end(), [&](auto each) { return each < 2 * n; });
    IdIndex const index_of_labels(small ? std::span<std::int64_t const>() : label), index_of_truth(truth_id);
    std::map<std::int64_t, std::int64_t> without_row;
    auto const particle_of = [&](std::int64_t each) {
      auto const row = each == 0 ? particles : index_of_truth.row(each);
      return row >= 0 ? row : without_row.try_emplace(each, particles + 1 + std::int64_t(without_row.size())).first->second;
    };
    struct Hit { std::int64_t particle, row; };
    std::vector<std::size_t> end_of(std::size_t(small ? 2 * n : n) + 1, 0);  // of each label's hits
    auto const place_of = [&](std::size_t i) -> std::size_t& {
      return end_of[std::size_t(small ? label[i] : index_of_labels.row(label[i]))];
    };
    auto const counts = [&](std::size_t i) { return label[i] >= 0 && id[i] >= 0; };
    for (std::size_t i = 0; i < label.size(); ++i)
      if (counts(i)) ++place_of(i);
    std::exclusive_scan(end_of.begin(), end_of.end(), end_of.begin(), std::size_t(0));
    std::vector<Hit> hits(end_of.back());
    for (std::size_t i = 0; i < label.size(); ++i)
      if (counts(i)) hits[place_of(i)++] = {particle_of(id[i]), std::int64_t(i)};

    std::vector<std::int64_t> shared(std::size_t(particles) + 1 + without_row.size(), 0);  // of one track, by particle
    std::size_t begin = 0;
    for (auto const end : end_of) {
      auto const size = std::int64_t(end - begin);
      std::span const track(hits.data() + begin, std::size_t(size));
      begin = end;
      if (size < 3) continue;
      for (auto const& hit : track) ++shared[std::size_t(hit.particle)];
      auto best = track.front();  // rows ascend: of equal counts the first hit's is the first
      for (auto const& hit : track)
        if (shared[std::size_t(hit.particle)] > shared[std::size_t(best.particle)]) best = hit;
      tracks_.push_back(track_of(size, shared[std::size_t(best.particle)], id[std::size_t(best.row)], truth_id, truth_hits));
      for (auto const& hit : track) shared[std::size_t(hit.particle)] = 0;
    }
  }
  static Track track_of(std::int64_t hits, std::int64_t shared, std::int64_t id, std::vector<std::int64_t> const& truth_id,
                        std::vector<std::int64_t> const& truth_hits) {
    if (id == 0) return {hits, shared, -1, 0};
    auto const at = std::lower_bound(truth_id.begin(), truth_id.end(), id);
    check(at != truth_id.end() && *at == id, "tracking metrics: particle {} has hits but no row in {}", id, TruthId::name);
    auto const row = at - truth_id.begin();
    return {hits, shared, row, truth_hits[std::size_t(row)]};
  }

  std::vector<double> pt_, eta_, radius_;  // [P]
  std::vector<std::int64_t> hits_;         // [P]
  std::vector<bool> reconstructable_;
  bool single_;
  std::vector<Track> tracks_;
};

}  // namespace dew
