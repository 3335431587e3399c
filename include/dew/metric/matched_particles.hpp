// SPDX-License-Identifier: BSL-1.0
// What matching tracks with particles, in the style of the Python reference, is about: the particles of an event, and what a match counts as.
// N hits, P particles.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
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

/// A track beside its majority particle.
struct TrackMatch {
  static constexpr std::int64_t hits_of_track = 3;  ///< at least

  std::int64_t hits, shared;       ///< all, and those of the majority particle
  std::int64_t particle = -1;      ///< its row, −1 for noise
  std::int64_t particle_hits = 0;  ///< all of the particle

  bool double_majority() const { return 2 * shared > hits && 2 * shared > particle_hits; }
  bool perfect() const { return shared == particle_hits && 100 * shared > 99 * hits; }
  bool lhc() const { return 4 * shared > 3 * hits; }
};

/// The particles of one event's truth.
class MatchedParticles {
 public:
  using Reads = Keys<TruthId, TruthPt, TruthEta, TruthHits, TruthReconstructable>;
  using MayRead = Keys<TruthRadius>;

  explicit MatchedParticles(RecordOf<Reads, MayRead> const& event)
      : id_(values_of<std::int64_t>(event[key::truth_id])),
        hits_(values_of<std::int64_t>(event[key::truth_hits])),
        pt_(values_of<double>(event[key::truth_pt])),
        eta_(values_of<double>(event[key::truth_eta])),
        single_(event[key::truth_pt].scalar_type() == at::kFloat) {
    auto const* radius = event.find(key::truth_radius);
    radius_ = radius ? values_of<double>(*radius) : std::vector<double>(pt_.size(), -1);
    for (auto const good : values_of<std::int64_t>(event[key::truth_reconstructable])) reconstructable_.push_back(good != 0);
  }

  std::size_t size() const { return id_.size(); }
  bool selected(std::size_t p, ParticleSelection const& s) const {
    auto const cut = [&](double value) { return single_ ? double(float(value)) : value; };  // 0.9 in float is at the cut 0.9, not below it
    return reconstructable_[p] && pt_[p] >= cut(s.pt_min_gev) && pt_[p] < cut(s.pt_max_gev) && std::abs(eta_[p]) >= cut(s.eta_min) &&
           std::abs(eta_[p]) < cut(s.eta_max) && hits_[p] >= s.hits_min && hits_[p] < s.hits_max && radius_[p] >= cut(s.radius_min_mm) &&
           radius_[p] < cut(s.radius_max_mm);
  }
  /// How many are selected.
  std::int64_t count(ParticleSelection const& s) const {
    std::int64_t count = 0;
    for (std::size_t p = 0; p < size(); ++p) count += selected(p, s);
    return count;
  }
  /// The particle of each hit as a small number: its row, behind them one for noise (id 0), and then one for each that has no row.
  std::vector<std::int64_t> numbers_of(std::vector<std::int64_t> const& ids) const {
    IdIndex const rows(id_);
    std::map<std::int64_t, std::int64_t> without_row;
    std::vector<std::int64_t> out;
    out.reserve(ids.size());
    for (auto const id : ids) {
      auto const row = id == 0 ? noise() : rows.row(id);
      out.push_back(row >= 0 ? row : without_row.try_emplace(id, noise() + 1 + std::int64_t(without_row.size())).first->second);
    }
    return out;
  }
  /// A track whose majority has this number and this id. Throws `Error` for a particle without a row.
  TrackMatch match(std::int64_t hits, std::int64_t shared, std::int64_t number, std::int64_t id) const {
    if (number == noise()) return {hits, shared};
    check(number < noise(), "tracking metrics: particle {} has hits but no row in {}", id, TruthId::name);
    return {hits, shared, number, hits_[std::size_t(number)]};
  }

 private:
  std::int64_t noise() const { return std::int64_t(size()); }

  std::vector<std::int64_t> id_, hits_;    // [P]
  std::vector<double> pt_, eta_, radius_;  // [P]
  std::vector<bool> reconstructable_;
  bool single_;
};

/// How many tracks match, among those of selected particles.
struct MatchCounts {
  std::int64_t particles = 0, tracks = 0, double_majority = 0, perfect = 0, lhc = 0;

  /// Counts a track `times` times; −1 takes it out again.
  void add(TrackMatch const& track, std::int64_t times = 1) {
    tracks += times;
    if (track.double_majority()) double_majority += times;
    if (track.perfect()) perfect += times;
    if (track.lhc()) lhc += times;
  }
  /// `double_majority`, `perfect`, `lhc`, `fake_double_majority`, `fake_perfect`, `fake_lhc`, `particles` (selected ones), `tracks` (whose
  /// majority particle is selected). Efficiencies are per particle (lhc: per track); NaN where that number is 0.
  Figures figures() const {
    auto const ratio = [](std::int64_t part, std::int64_t whole) { return detail::ratio(double(part), double(whole)); };
    return {{"double_majority", ratio(double_majority, particles)},
            {"perfect", ratio(perfect, particles)},
            {"lhc", ratio(lhc, tracks)},
            {"fake_double_majority", ratio(tracks - double_majority, tracks)},
            {"fake_perfect", ratio(tracks - perfect, tracks)},
            {"fake_lhc", ratio(tracks - lhc, tracks)},
            {"particles", double(particles)},
            {"tracks", double(tracks)}};
  }
  bool operator==(MatchCounts const&) const = default;
};

namespace detail {
/// Labels of N hits as numbers below 2N, as they are or, if one is larger, each as the first row that has it. Negative ones stay.
inline void make_small(std::vector<std::int64_t>& labels) {
  auto const limit = 2 * std::int64_t(labels.size());
  if (std::all_of(labels.begin(), labels.end(), [&](auto label) { return label < limit; })) return;
  IdIndex const first(labels);
  for (auto& label : labels)
    if (label >= 0) label = first.row(label);
}
}  // namespace detail

}  // namespace dew
