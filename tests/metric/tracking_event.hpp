// SPDX-License-Identifier: BSL-1.0
// Random tracks and particles, and the tracking metrics by their definition: nested loops over hits, tracks and particles.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dew/metric/track_matching.hpp"

namespace dew::test {

struct TrackingEvent {
  std::vector<std::int64_t> label, id;             // of hits
  std::vector<std::int64_t> truth_id, truth_hits;  // of particles
  std::vector<double> truth_pt, truth_eta;
  std::vector<bool> truth_reconstructable;

  auto record(at::ScalarType real = at::kDouble) const {
    auto reconstructable = at::zeros({std::int64_t(truth_id.size())}, at::kBool);
    for (std::size_t p = 0; p < truth_id.size(); ++p) reconstructable[std::int64_t(p)] = bool(truth_reconstructable[p]);
    return Record{key::label = at::tensor(label, at::kLong),
                  key::particle_id = at::tensor(id, at::kLong),
                  key::truth_id = at::tensor(truth_id, at::kLong),
                  key::truth_pt = at::tensor(truth_pt, at::kDouble).to(real),
                  key::truth_eta = at::tensor(truth_eta, at::kDouble).to(real),
                  key::truth_hits = at::tensor(truth_hits, at::kLong),
                  key::truth_reconstructable = reconstructable};
  }
};

/// Tracks that mostly follow the particles, with noise, unknown hits, unlabelled hits, splits, merges, ties and hits that were dropped.
inline TrackingEvent tracking_event(std::uint32_t seed) {
  std::mt19937 random(seed);
  auto const chance = [&](double p) { return double(random() >> 5) / double(1 << 27) < p; };
  TrackingEvent e;
  std::int64_t next_label = 0;
  for (std::int64_t p = 1; p <= 40; ++p) {
    std::int64_t const hits = 1 + std::int64_t(random() % 8), own = next_label++;
    for (std::int64_t h = 0; h < hits; ++h) {
      if (chance(0.05)) continue;  // dropped by an earlier stage
      e.id.push_back(7 * p);
      e.label.push_back(chance(0.1) ? -1 : chance(0.25) ? std::int64_t(random() % std::uint32_t(own + 1)) : own);
    }
    e.truth_id.push_back(7 * p), e.truth_hits.push_back(hits);
    e.truth_pt.push_back(0.25 * double(random() % 9)), e.truth_eta.push_back(0.5 * double(random() % 19) - 4.5);
    e.truth_reconstructable.push_back(hits >= 3);
  }
  for (int k = 0; k < 30; ++k) e.id.push_back(chance(0.7) ? 0 : -1), e.label.push_back(chance(0.2) ? 50 : std::int64_t(random() % 40));
  for (std::size_t i = e.id.size(); i > 1; --i) {  // hits in random order
    auto const j = random() % i;
    std::swap(e.id[i - 1], e.id[j]), std::swap(e.label[i - 1], e.label[j]);
  }
  return e;
}

/// The definition, written without any care for time.
inline std::map<std::string, double> tracking_by_definition(TrackingEvent const& e, ParticleSelection const& s) {
  auto const row_of = [&](std::int64_t id) {
    for (std::size_t p = 0; p < e.truth_id.size(); ++p)
      if (e.truth_id[p] == id) return std::int64_t(p);
    return std::int64_t(-1);
  };
  auto const counts = [&](std::int64_t p) {
    auto const i = std::size_t(p);
    return p >= 0 && e.truth_reconstructable[i] && e.truth_pt[i] >= s.pt_min_gev && e.truth_pt[i] < s.pt_max_gev &&
           std::abs(e.truth_eta[i]) >= s.eta_min && std::abs(e.truth_eta[i]) < s.eta_max;
  };
  double particles = 0, tracks = 0, majority = 0, perfect = 0, lhc = 0;
  for (std::size_t p = 0; p < e.truth_id.size(); ++p) particles += counts(std::int64_t(p));
  for (auto const label : std::set<std::int64_t>(e.label.begin(), e.label.end())) {
    if (label < 0) continue;
    double size = 0, most = 0;
    std::int64_t best = 0;
    for (std::size_t i = 0; i < e.id.size(); ++i) {
      if (e.label[i] != label || e.id[i] < 0) continue;
      ++size;
      double same = 0;
      for (std::size_t j = 0; j < e.id.size(); ++j) same += e.label[j] == label && e.id[j] == e.id[i];
      if (same > most) most = same, best = e.id[i];  // the first hit's particle wins a tie
    }
    if (size < 3 || best == 0 || !counts(row_of(best))) continue;
    double const f = most / size, g = most / double(e.truth_hits[std::size_t(row_of(best))]);
    ++tracks, majority += f > 0.5 && g > 0.5, perfect += g == 1 && f > 0.99, lhc += f > 0.75;
  }
  double const undefined = std::numeric_limits<double>::quiet_NaN();
  return {{"double_majority", particles > 0 ? majority / particles : undefined},
          {"perfect", particles > 0 ? perfect / particles : undefined},
          {"lhc", tracks > 0 ? lhc / tracks : undefined},
          {"fake_double_majority", tracks > 0 ? 1 - majority / tracks : undefined},
          {"fake_perfect", tracks > 0 ? 1 - perfect / tracks : undefined},
          {"fake_lhc", tracks > 0 ? 1 - lhc / tracks : undefined},
          {"particles", particles},
          {"tracks", tracks}};
}

/// Whether figures are those of the definition; NaN equals NaN.
inline bool are_figures(std::map<std::string, double> const& expected, Figures const& got) {
  if (got.size() != expected.size()) return false;
  for (auto const& [name, value] : got) {
    auto const at = expected.find(name);
    if (at == expected.end() || std::isnan(at->second) != std::isnan(value)) return false;
    if (!std::isnan(value) && std::abs(at->second - value) > 1e-12) return false;
  }
  return true;
}

}  // namespace dew::test
