// SPDX-License-Identifier: BSL-1.0
// TrackMatching: which particle each track belongs to, and how well, in the style of the Python reference.
// N hits, P particles.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/values.hpp"
#include "dew/event/id_index.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/matched_particles.hpp"

namespace dew {

/// The tracks of one event, each with its majority particle. arXiv:2309.16754, section 5.
///
/// A track is a label ≥ 0 with at least 3 hits. Its majority particle has most hits in it (noise, id 0, competes too; ties: the one whose
/// first hit in the track has the lowest row). f = majority hits / track hits, g = majority hits / all hits of that particle
/// (`truth_hits`, so that hits that a stage dropped count against the track). Unknown hits (id −1) are left out entirely. By counting, O(N + P),
/// on the CPU. Exact.
class TrackMatching {
 public:
  using Reads = UnionOf<Keys<Label, ParticleId>, MatchedParticles::Reads>;
  using MayRead = MatchedParticles::MayRead;

  /// Throws `Error` when the majority particle of a track is not among `truth_id`.
  explicit TrackMatching(RecordOf<Reads, MayRead> const& event) : particles_(event) {
    find_tracks(values_of<std::int64_t>(event[key::label]), values_of<std::int64_t>(event[key::particle_id]));
  }

  /// See `MatchCounts::figures`.
  Figures score(ParticleSelection const& selection) const {
    MatchCounts counts{.particles = particles_.count(selection)};
    for (auto const& track : tracks_)
      if (track.particle >= 0 && particles_.selected(std::size_t(track.particle), selection)) counts.add(track);
    return counts.figures();
  }

 private:
  void find_tracks(std::vector<std::int64_t> const& label, std::vector<std::int64_t> const& id) {
    // Small numbers for labels and particles, so that counting takes the place of sorting: a label itself, or the first row that has it; a
    // particle's row in the truth, one for noise, and more for those without a row.
    auto const n = std::int64_t(label.size()), particles = std::int64_t(particles_.size());
    bool const small = std::all_of(label.begin(), label.end(), [&](auto each) { return each < 2 * n; });
    IdIndex const index_of_labels(small ? std::span<std::int64_t const>() : label), index_of_truth(particles_.ids());
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
      if (size < TrackMatch::hits_of_track) continue;
      for (auto const& hit : track) ++shared[std::size_t(hit.particle)];
      auto best = track.front();  // rows ascend: of equal counts the first hit's is the first
      for (auto const& hit : track)
        if (shared[std::size_t(hit.particle)] > shared[std::size_t(best.particle)]) best = hit;
      tracks_.push_back(track_of(size, shared[std::size_t(best.particle)], id[std::size_t(best.row)]));
      for (auto const& hit : track) shared[std::size_t(hit.particle)] = 0;
    }
  }
  TrackMatch track_of(std::int64_t hits, std::int64_t shared, std::int64_t id) const {
    if (id == 0) return {hits, shared};
    auto const row = particles_.row(id);
    return {hits, shared, row, particles_.hits(std::size_t(row))};
  }

  MatchedParticles particles_;
  std::vector<TrackMatch> tracks_;
};

}  // namespace dew
