// SPDX-License-Identifier: BSL-1.0
// Edges as sets, and those of near hits by loops.
#pragma once
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "dew/event/schema.hpp"
#include "support/seed.hpp"

namespace dew::test {

using Edge = std::pair<std::int64_t, std::int64_t>;
inline std::set<Edge> edges_of(Tensor const& edge_index) {
  std::set<Edge> out;
  for (std::int64_t e = 0; e < edge_index.size(1); ++e)
    out.emplace(edge_index[0][e].item<std::int64_t>(), edge_index[1][e].item<std::int64_t>());
  CHECK(std::int64_t(out.size()) == edge_index.size(1));  // no edge twice
  return out;
}
inline double distance(Tensor const& x, std::int64_t i, std::int64_t j) { return (x[i] - x[j]).to(at::kDouble).norm().item<double>(); }
/// The k nearest others of each hit, nearer than the radius, by loops: neighbour → hit.
inline std::set<Edge> nearest_by_loops(Tensor const& x, std::size_t k, double radius) {
  std::set<Edge> out;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    std::vector<std::pair<double, std::int64_t>> others;
    for (std::int64_t j = 0; j < x.size(0); ++j)
      if (i != j) others.emplace_back(distance(x, i, j), j);
    std::sort(others.begin(), others.end());
    for (std::size_t n = 0; n < std::min(k, others.size()); ++n)
      if (others[n].first < radius) out.emplace(others[n].second, i);
  }
  return out;
}
inline auto features(std::int64_t n) { return Record{key::hit_features = at::randn({n, 4})}; }

}  // namespace dew::test
