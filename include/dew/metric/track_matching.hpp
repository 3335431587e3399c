// SPDX-License-Identifier: BSL-1.0
// TrackMatching: which particle each track belongs to, and how well, in the style of the Python reference.
// N hits, P particles.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/values.hpp"
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
  void find_tracks(std::vector<std::int64_t> label, std::vector<std::int64_t> const& id) {
    detail::make_small(label);  // so that counting takes the place of sorting
    auto const particle = particles_.numbers_of(id);
    struct Hit { std::int64_t particle, row; };
    std::vector<std::size_t> end_of(2 * label.size() + 1, 0);  // of each label's hits
    auto const counts = [&](std::size_t i) { return label[i] >= 0 && id[i] >= 0; };
    for (std::size_t i = 0; i < label.size(); ++i)
      if (counts(i)) ++end_of[std::size_t(label[i])];
    std::exclusive_scan(end_of.begin(), end_of.end(), end_of.begin(), std::size_t(0));
    std::vector<Hit> hits(end_of.back());
    for (std::size_t i = 0; i < label.size(); ++i)
      if (counts(i)) hits[end_of[std::size_t(label[i])]++] = {particle[i], std::int64_t(i)};

    auto const largest = particle.empty() ? 0 : *std::max_element(particle.begin(), particle.end());
    std::vector<std::int64_t> shared(std::size_t(largest) + 1, 0);  // of one track, by particle
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
      tracks_.push_back(particles_.match(size, shared[std::size_t(best.particle)], best.particle, id[std::size_t(best.row)]));
      for (auto const& hit : track) shared[std::size_t(hit.particle)] = 0;
    }
  }

  MatchedParticles particles_;
  std::vector<TrackMatch> tracks_;
};

}  // namespace dew
