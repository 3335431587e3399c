// SPDX-License-Identifier: BSL-1.0
// Small random graphs between hits of particles, for metrics of graphs whose oracles look at everything.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "metric/tracking_event.hpp"

namespace dew::test {

struct SmallGraph : TrackingEvent {
  std::vector<std::int64_t> source, target;

  bool same(std::size_t i, std::size_t j) const { return id[i] == id[j] && id[i] > 0; }
  bool joined(std::size_t i, std::size_t j) const {
    for (std::size_t e = 0; e < source.size(); ++e)
      if ((source[e] == std::int64_t(i) && target[e] == std::int64_t(j)) || (source[e] == std::int64_t(j) && target[e] == std::int64_t(i)))
        return true;
    return false;
  }
  std::size_t row(std::int64_t particle) const {
    return std::size_t(std::find(truth_id.begin(), truth_id.end(), particle) - truth_id.begin());
  }
  auto graph(at::ScalarType real = at::kDouble) const {
    std::vector<std::int64_t> y, of_hit;
    std::vector<double> pt, eta;
    for (std::size_t e = 0; e < source.size(); ++e) y.push_back(same(std::size_t(source[e]), std::size_t(target[e])));
    for (auto const i : id) {
      bool const of_particle = i > 0;
      pt.push_back(of_particle ? truth_pt[row(i)] : 0), eta.push_back(of_particle ? truth_eta[row(i)] : 0);
      of_hit.push_back(of_particle && truth_reconstructable[row(i)]);
    }
    return record(real).with(key::edge_index = at::stack({at::tensor(source, at::kLong), at::tensor(target, at::kLong)}),
                             key::edge_truth = at::tensor(y, at::kLong) > 0, key::pt = at::tensor(pt, at::kDouble).to(real),
                             key::eta = at::tensor(eta, at::kDouble).to(real), key::reconstructable = at::tensor(of_hit, at::kLong) > 0);
  }
};

/// Particles 1 … 7 with 1 to 8 hits, some dropped, noise and unknown hits; edges of particles and some others, some of them in both directions.
inline SmallGraph small_graph(std::uint32_t seed) {
  std::mt19937 random(seed);
  SmallGraph g;
  for (std::int64_t p = 1; p <= 7; ++p) {
    auto const hits = 1 + std::int64_t(random() % 8);
    for (std::int64_t h = 0; h < hits; ++h)
      if (random() % 10 > 0) g.id.push_back(p);
    g.truth_id.push_back(p), g.truth_hits.push_back(hits), g.truth_pt.push_back(0.3 * double(1 + random() % 6));
    g.truth_eta.push_back(double(random() % 10) - 5), g.truth_reconstructable.push_back(hits >= 3);
  }
  for (int i = 0; i < 6; ++i) g.id.push_back(i % 2 == 0 ? 0 : -1);
  std::shuffle(g.id.begin(), g.id.end(), random);
  g.label.assign(g.id.size(), -1);
  auto const n = g.id.size();
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      if (random() % (g.same(i, j) ? 4 : 40) != 0) continue;
      bool const backwards = random() % 2 == 0;
      g.source.push_back(std::int64_t(backwards ? j : i)), g.target.push_back(std::int64_t(backwards ? i : j));
      if (random() % 2 == 0) g.source.push_back(std::int64_t(backwards ? i : j)), g.target.push_back(std::int64_t(backwards ? j : i));
    }
  return g;
}

/// The number of edges on the shortest path between any two hits that `allowed` lets through: all pairs, all ways.
template <class Allowed> std::vector<std::vector<double>> all_paths(SmallGraph const& g, Allowed const& allowed) {
  auto const n = g.id.size();
  std::vector<std::vector<double>> d(n, std::vector<double>(n, std::numeric_limits<double>::infinity()));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) d[i][j] = i == j ? 0 : g.joined(i, j) && allowed(i, j) ? 1 : d[i][j];
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) d[i][j] = std::min(d[i][j], d[i][k] + d[k][j]);
  return d;
}

}  // namespace dew::test
