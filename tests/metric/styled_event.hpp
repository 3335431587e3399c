// SPDX-License-Identifier: BSL-1.0
// Random events with weights and production radii, and the figures of every style by its definition: nested loops over hits, tracks and
// particles. And one event made by hand in which every corner case happens.
#pragma once
#include <algorithm>
#include <functional>

#include "metric/tracking_event.hpp"

namespace dew::test {

struct StyledEvent : TrackingEvent {
  std::vector<double> weight;                                    // of hits
  std::vector<double> truth_weight, truth_radius, truth_charge;  // of particles
  std::vector<std::int64_t> truth_primary;

  auto record(at::ScalarType real = at::kDouble) const {
    return TrackingEvent::record(real).with(
        key::weight = at::tensor(weight, at::kDouble).to(real), key::truth_weight = at::tensor(truth_weight, at::kDouble).to(real),
        key::truth_radius = at::tensor(truth_radius, at::kDouble).to(real),
        key::truth_charge = at::tensor(truth_charge, at::kDouble).to(real), key::truth_primary = at::tensor(truth_primary, at::kLong));
  }
  double hits_of(std::int64_t track) const {
    double n = 0;
    for (std::size_t i = 0; i < id.size(); ++i) n += label[i] == track && id[i] >= 0;
    return n;
  }
  double shared(std::int64_t track, std::int64_t particle) const {
    double n = 0;
    for (std::size_t i = 0; i < id.size(); ++i) n += label[i] == track && id[i] == particle;
    return n;
  }
  /// Labels of tracks with so many hits.
  std::vector<std::int64_t> tracks(double hits_min) const {
    std::vector<std::int64_t> out;
    for (auto const l : std::set<std::int64_t>(label.begin(), label.end()))
      if (l >= 0 && hits_of(l) >= hits_min) out.push_back(l);
    return out;
  }
};

inline StyledEvent styled_event(std::uint32_t seed) {
  StyledEvent e{tracking_event(seed), {}, {}, {}, {}, {}};
  std::mt19937 random(seed + 1);
  for (std::size_t i = 0; i < e.id.size(); ++i) e.weight.push_back(double(random() % 16) / 16);
  for (std::size_t p = 0; p < e.truth_id.size(); ++p) {
    double sum = 0, hits = 0;
    for (std::size_t i = 0; i < e.id.size(); ++i)
      if (e.id[i] == e.truth_id[p]) sum += e.weight[i], ++hits;
    e.truth_weight.push_back(sum + 0.25 * (double(e.truth_hits[p]) - hits));  // dropped hits weigh something too
    e.truth_radius.push_back(random() % 5 == 0 ? -1 : double(random() % 60));
    e.truth_charge.push_back(double(random() % 3) - 1), e.truth_primary.push_back(std::int64_t(random() % 3) - 1);
  }
  return e;
}

/// Which particles a style counts.
using Counts = std::function<bool(std::size_t particle)>;
inline double over(double part, double whole) { return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN(); }

inline std::map<std::string, double> acorn_by_definition(StyledEvent const& e, Counts const& fiducial, double fraction = 0.5 + 1e-6,
                                                         double track_hits = 3) {
  std::map<std::string, double> out;
  auto const tracks = e.tracks(track_hits);
  double particles = 0;
  for (std::size_t p = 0; p < e.truth_id.size(); ++p) particles += fiducial(p);
  for (std::string const style : {"atlas", "one_way", "two_way"}) {
    double matched = 0, pairs = 0, distinct = 0;
    auto const fits = [&](std::int64_t track, std::size_t p, bool to_particle) {
      double const shared = e.shared(track, e.truth_id[p]);
      bool const pure = shared / e.hits_of(track) >= fraction, whole = shared / double(e.truth_hits[p]) >= fraction;
      if (shared == 0) return false;
      if (style == "two_way") return pure && whole;
      return style == "one_way" && to_particle ? whole : pure;
    };
    for (auto const track : tracks) {
      bool any = false;
      for (std::size_t p = 0; p < e.truth_id.size(); ++p) any = any || fits(track, p, false);
      matched += any;
    }
    for (std::size_t p = 0; p < e.truth_id.size(); ++p) {
      double found = 0;
      for (auto const track : tracks) found += fits(track, p, true);
      if (fiducial(p)) pairs += found, distinct += found > 0;
    }
    out[style + ".efficiency"] = over(distinct, particles);
    out[style + ".fake"] = over(double(tracks.size()) - matched, double(tracks.size()));
    out[style + ".duplicates"] = over(pairs - distinct, distinct);
    out[style + ".found"] = distinct;
  }
  out["particles"] = particles, out["tracks"] = double(tracks.size());
  return out;
}

inline std::map<std::string, double> one_to_one_by_definition(StyledEvent const& e, Counts const& counts, double track_hits = 3) {
  auto const tracks = e.tracks(track_hits);
  std::map<std::int64_t, std::size_t> best;  // of each track that shares a hit with a particle: the particle's row
  for (auto const track : tracks)
    for (std::size_t p = 0; p < e.truth_id.size(); ++p) {  // ids ascend
      auto const shared = e.shared(track, e.truth_id[p]);
      if (shared > 0 && (!best.contains(track) || shared > e.shared(track, e.truth_id[best[track]]))) best[track] = p;
    }
  std::map<std::size_t, std::int64_t> track_of;  // of each particle
  for (auto left = best; !left.empty();) {
    auto next = left.begin();  // labels ascend
    for (auto it = left.begin(); it != left.end(); ++it)
      if (e.shared(it->first, e.truth_id[it->second]) > e.shared(next->first, e.truth_id[next->second])) next = it;
    track_of.emplace(next->second, next->first);  // the first stays
    left.erase(next);
  }
  double particles = 0, perfect = 0, majority = 0, lhc = 0, good = 0;
  for (std::size_t p = 0; p < e.truth_id.size(); ++p) {
    particles += counts(p);
    if (!track_of.contains(p)) continue;
    double const shared = e.shared(track_of[p], e.truth_id[p]);
    double const precision = shared / e.hits_of(track_of[p]), recall = shared / double(e.truth_hits[p]);
    good += precision > 0.5 && recall > 0.5;
    if (!counts(p)) continue;
    perfect += precision == 1 && recall == 1, majority += precision > 0.5 && recall > 0.5, lhc += precision > 0.75;
  }
  return {{"perfect", over(perfect, particles)},
          {"double_majority", over(majority, particles)},
          {"lhc", over(lhc, particles)},
          {"fake_double_majority", over(double(tracks.size()) - good, double(tracks.size()))},
          {"particles", particles},
          {"tracks", double(tracks.size())}};
}

/// `whole`: all hits count, noise too; else those of the particles in `in`.
inline double trackml_by_definition(StyledEvent const& e, Counts const& in, bool whole, double track_hits = 3) {
  double part = 0, all = 0;
  for (std::size_t p = 0; p < e.truth_id.size(); ++p) {
    if (in(p)) all += e.truth_weight[p];
    for (std::size_t i = 0; i < e.id.size(); ++i) {
      if (e.id[i] != e.truth_id[p] || e.label[i] < 0 || !in(p)) continue;
      double const shared = e.shared(e.label[i], e.id[i]), size = e.hits_of(e.label[i]);
      if (size >= track_hits && shared / size > 0.5 && shared / double(e.truth_hits[p]) > 0.5) part += e.weight[i];
    }
  }
  for (std::size_t i = 0; i < e.id.size(); ++i)
    if (whole && e.id[i] == 0) all += e.weight[i];
  return over(part, all);
}

/// The figures of a bin, or of everything for the prefix "", without the prefix.
inline std::map<std::string, double> figures_under(Figures const& figures, std::string const& prefix) {
  std::map<std::string, double> out;
  for (auto const& [name, value] : figures) {
    bool const in_a_bin = name.starts_with("pt_") || name.starts_with("eta_") || name.starts_with("hits_") || name.starts_with("radius_");
    if (name.starts_with(prefix) && in_a_bin == !prefix.empty()) out[name.substr(prefix.size())] = value;
  }
  return out;
}
/// Whether all of `got` is in `expected` with the same value; NaN equals NaN.
inline bool all_are(std::map<std::string, double> const& expected, std::map<std::string, double> const& got) {
  if (got.empty()) return false;
  for (auto const& [name, value] : got) {
    auto const at = expected.find(name);
    if (at == expected.end() || std::isnan(at->second) != std::isnan(value)) return false;
    if (!std::isnan(value) && std::abs(at->second - value) > 1e-12) return false;
  }
  return true;
}

/// One event with every corner case. Particles, their hits and what becomes of them (a track is written by its label):
///
///      1   6 hits, pt 2, η 0.5, made at  0 mm: split into the tracks 10 and 11 of 3 hits each
///      2   4 hits, pt 2, η 1,   made at  5 mm: track 20 and nothing else
///      3   4 hits, pt 3, η −2,  made at 20 mm: merged with particle 4 into track 30 of 8 hits: a tie
///      4   4 hits, pt 1.2, η 3, made at  0 mm: the same; its first hit in track 30 comes before particle 3's
///      5   5 hits, pt 2, η 0,   made at  0 mm: 2 hits in track 50 with 3 hits of noise; 3 hits in no track
///      6   3 hits, pt 0.5, η 0, made at  0 mm: track 60 and nothing else, below all cuts on pt
///      7   3 hits, pt 2, η 0,   made at  0 mm: 2 hits in "track" 70 with 2 unknown hits: 2 known hits, no track; 1 hit in no track
///      8   5 hits, pt 2, η 3.9, made at 40 mm: 4 hits in track 80 with 1 hit of noise; 1 hit dropped by a stage, not in the event
///      9   2 hits, pt 5, η 0,   made at  0 mm: track 90 with 1 hit of noise; not reconstructable, too few hits for every style
///     10   3 hits, pt 4, η 1,   made nobody knows where, its charge unknown: in no track
///     noise: track 99 of 3 hits of noise alone
///
/// Odd particles have charge 1, even ones −1; what is made at 0 mm is primary, what is made further out is not.
/// Tracks of at least 3 known hits: 10, 11, 20, 30, 50, 60, 80, 90, 99, which are 9. Each hit of a particle weighs 1, noise 0.
inline StyledEvent event_by_hand() {
  StyledEvent e;
  auto const add = [&](std::int64_t id, std::int64_t label, int times) {
    for (int i = 0; i < times; ++i) e.id.push_back(id), e.label.push_back(label), e.weight.push_back(id > 0 ? 1 : 0);
  };
  add(4, 30, 1);
  add(1, 10, 3), add(1, 11, 3), add(2, 20, 4), add(3, 30, 4), add(4, 30, 3), add(5, 50, 2), add(0, 50, 3), add(5, -1, 3), add(6, 60, 3);
  add(7, 70, 2), add(-1, 70, 2), add(7, -1, 1), add(8, 80, 4), add(0, 80, 1), add(9, 90, 2), add(0, 90, 1), add(10, -1, 3), add(0, 99, 3);
  auto const particle = [&](std::int64_t id, std::int64_t hits, double pt, double eta, double radius) {
    e.truth_id.push_back(id), e.truth_hits.push_back(hits), e.truth_pt.push_back(pt), e.truth_eta.push_back(eta);
    e.truth_radius.push_back(radius), e.truth_weight.push_back(double(hits)), e.truth_reconstructable.push_back(hits >= 3);
    e.truth_charge.push_back(radius < 0 ? 0 : id % 2 ? 1 : -1), e.truth_primary.push_back(radius < 0 ? -1 : radius == 0);
  };
  particle(1, 6, 2, 0.5, 0), particle(2, 4, 2, 1, 5), particle(3, 4, 3, -2, 20), particle(4, 4, 1.2, 3, 0), particle(5, 5, 2, 0, 0);
  particle(6, 3, 0.5, 0, 0), particle(7, 3, 2, 0, 0), particle(8, 5, 2, 3.9, 40), particle(9, 2, 5, 0, 0), particle(10, 3, 4, 1, -1);
  return e;
}

}  // namespace dew::test
