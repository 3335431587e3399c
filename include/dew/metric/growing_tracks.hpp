// SPDX-License-Identifier: BSL-1.0
// GrowingTracks: tracks matched with particles again and again, as a scan makes them. N hits, P particles.
#pragma once
#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/values.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/matched_particles.hpp"

namespace dew {

namespace detail {
/// The hits of one track by particle.
class TrackShares {
 public:
  /// A particle's hits in the track: how many, and the lowest row.
  struct Share { std::int64_t particle, hits, first; };

  /// Adds hits of a particle.
  void add(Share const& more) {
    auto const at = find(more.particle);
    if (at == shares_.size()) {
      shares_.push_back(more);
      if (shares_.size() > few) index_.emplace(more.particle, at);
      if (shares_.size() == few + 1)
        for (std::size_t k = 0; k < few; ++k) index_.emplace(shares_[k].particle, k);
    } else {
      shares_[at].hits += more.hits;
      shares_[at].first = std::min(shares_[at].first, more.first);
    }
    // Counts only grow: no other than this one can have become the largest.
    auto const &best = shares_[best_], &now = shares_[at];
    if (now.hits > best.hits || (now.hits == best.hits && now.first < best.first)) best_ = at;
  }
  std::vector<Share> const& all() const { return shares_; }
  /// That of the most hits; of equals the one whose first hit has the lowest row.
  Share const& majority() const { return shares_[best_]; }

 private:
  static constexpr std::size_t few = 16;  ///< up to here they are looked through
  std::size_t find(std::int64_t particle) const {
    if (shares_.size() > few) {
      auto const at = index_.find(particle);
      return at == index_.end() ? shares_.size() : at->second;
    }
    auto const at = std::find_if(shares_.begin(), shares_.end(), [&](auto const& share) { return share.particle == particle; });
    return std::size_t(at - shares_.begin());
  }
  std::vector<Share> shares_;
  std::size_t best_ = 0;
  std::unordered_map<std::int64_t, std::size_t> index_;  // of more than a few
};
}  // namespace detail

/// The figures of `TrackMatching` under one labelling of an event after another. Where tracks only grow from one to the next, as in a scan over
/// ε (m ≤ 2) or over a cut on scores, only those that have grown are matched again: O(N) to look for them, and O(log N) for each hit that
/// comes to another track, over the whole scan. Where a track has lost a hit, all are matched again. Exact, on the CPU.
class GrowingTracks {
 public:
  using Reads = UnionOf<Keys<ParticleId>, MatchedParticles::Reads>;
  using MayRead = MatchedParticles::MayRead;

  GrowingTracks(RecordOf<Reads, MayRead> const& event, std::vector<ParticleSelection> const& selections)
      : particles_(event),
        id_(values_of<std::int64_t>(event[key::particle_id])),
        particle_(particles_.numbers_of(id_)),
        track_(id_.size(), -1) {
    for (auto const& selection : selections) nothing_.push_back({.particles = particles_.count(selection)});
    counts_ = nothing_;
    for (std::size_t p = 0; p < particles_.size(); ++p) {
      selected_.emplace_back();
      for (std::size_t s = 0; s < selections.size(); ++s)
        if (particles_.selected(p, selections[s])) selected_.back().push_back(s);
    }
  }

  /// Goes to the next labelling [N]. Throws `Error` when there are not N labels, or the majority particle of a track is not among `truth_id`.
  void go_to(Tensor const& labels) {
    auto label = values_of<std::int64_t>(labels);
    check(label.size() == id_.size(), "tracking metrics: expected {} labels, got {}", id_.size(), label.size());
    detail::make_small(label);
    if (!only_grow(label)) forget();
    std::vector<std::int64_t> track_with(2 * label.size(), -1);  // that has a label
    for (std::size_t i = 0; i < label.size(); ++i) {
      if (label[i] < 0 || id_[i] < 0) continue;
      auto& track = track_with[std::size_t(label[i])];
      if (track < 0) track = track_[i] < 0 ? begin(i) : track_[i];
      else if (track_[i] < 0) join(track, i);
      else if (track_[i] != track) track = join_tracks(track, track_[i]);
    }
    for (auto const t : std::exchange(changed_, {})) {
      tracks_[std::size_t(t)].counted = true;
      count(tracks_[std::size_t(t)], 1);
    }
  }

  /// What `TrackMatching::score` says of the labelling with selection `s`.
  Figures score(std::size_t s) const { return counts_[s].figures(); }

 private:
  struct Track {
    std::vector<std::int32_t> hits;  // none: it has gone into another
    detail::TrackShares shares;
    bool counted = false;  // it stands in the counts as it is
  };

  /// Whether all hits of a track have one label. Tracks may have come together.
  bool only_grow(std::vector<std::int64_t> const& label) {
    std::vector<std::int64_t> label_of(tracks_.size(), -1);
    for (std::size_t i = 0; i < label.size(); ++i) {
      if (track_[i] < 0) continue;
      auto& of_track = label_of[std::size_t(track_[i])];
      if (of_track < 0) of_track = label[i];
      if (label[i] < 0 || of_track != label[i]) return false;
    }
    return true;
  }
  void forget() {
    tracks_.clear();
    std::fill(track_.begin(), track_.end(), -1);
    counts_ = nothing_;
  }

  std::int64_t begin(std::size_t i) {
    auto const number = std::int64_t(tracks_.size());
    tracks_.emplace_back();
    changed_.push_back(number);
    join(number, i);
    return number;
  }
  void join(std::int64_t track, std::size_t i) {
    auto& to = changing(track);
    to.hits.push_back(std::int32_t(i));
    to.shares.add({particle_[i], 1, std::int64_t(i)});
    track_[i] = track;
  }
  /// Joins two tracks, the smaller one to the larger; returns that.
  std::int64_t join_tracks(std::int64_t a, std::int64_t b) {
    if (tracks_[std::size_t(a)].hits.size() < tracks_[std::size_t(b)].hits.size()) std::swap(a, b);
    auto &to = changing(a), &from = changing(b);
    for (auto const& share : from.shares.all()) to.shares.add(share);
    for (auto const i : from.hits) track_[std::size_t(i)] = a;
    to.hits.insert(to.hits.end(), from.hits.begin(), from.hits.end());
    from = {};
    return a;
  }
  /// A track that is about to grow: it no longer counts as it was.
  Track& changing(std::int64_t number) {
    auto& track = tracks_[std::size_t(number)];
    if (std::exchange(track.counted, false)) {
      count(track, -1);
      changed_.push_back(number);
    }
    return track;
  }
  void count(Track const& track, std::int64_t times) {
    if (std::ssize(track.hits) < TrackMatch::hits_of_track) return;
    auto const& best = track.shares.majority();
    auto const match = particles_.match(std::ssize(track.hits), best.hits, best.particle, id_[std::size_t(best.first)]);
    if (match.particle < 0) return;
    for (auto const s : selected_[std::size_t(match.particle)]) counts_[s].add(match, times);
  }

  MatchedParticles particles_;
  std::vector<std::int64_t> id_, particle_;         // [N] of hits
  std::vector<std::vector<std::size_t>> selected_;  // [P] by which selections
  std::vector<MatchCounts> nothing_, counts_;       // without tracks, and now; of each selection
  std::vector<Track> tracks_;
  std::vector<std::int64_t> track_;    // [N] of a hit, −1: none
  std::vector<std::int64_t> changed_;  // tracks that do not count yet
};

}  // namespace dew
