// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/binned_layer.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>

using namespace dew;
using dew::detail::BinnedLayer;
using dew::detail::Cylindrical;

namespace {
constexpr double pi = 3.141592653589793;
/// Hits of a barrel (along z) or of an endcap (along r).
std::vector<Cylindrical> hits_of(std::mt19937& random, std::size_t n, bool barrel) {
  std::uniform_real_distribution<double> unit(-1, 1);
  std::vector<Cylindrical> hits;
  for (std::size_t i = 0; i < n; ++i)
    hits.push_back(barrel ? Cylindrical{100 + unit(random), pi * unit(random), 500 * unit(random), 0}
                          : Cylindrical{100 + 70 * unit(random), pi * unit(random), 700 + unit(random), 0});
  return hits;
}
BinnedLayer layer_of(std::vector<Cylindrical> const& hits) {
  std::vector<std::int32_t> all(hits.size());
  std::iota(all.begin(), all.end(), 0);
  return {all, hits};
}
}  // namespace

TEST_CASE("a layer holds each of its hits once, inside its bin") {
  std::mt19937 random(1);
  for (std::size_t n : {0, 1, 5, 63, 64, 200, 10000})
    for (bool barrel : {true, false}) {
      auto const hits = hits_of(random, n, barrel);
      auto const layer = layer_of(hits);
      CHECK((std::set<std::int32_t>(layer.hit.begin(), layer.hit.end()).size() == n && layer.hit.size() == n));
      CHECK(layer.box[0].size() % 8 == 0);
      for (std::size_t b = 0; b < layer.bins.size(); ++b)
        for (auto k = layer.bins[b].begin; k < layer.bins[b].end; ++k) {
          auto const& h = hits[std::size_t(layer.hit[k])];
          CHECK((layer.box[0][b] <= h.r && h.r <= layer.box[1][b] && layer.box[2][b] <= h.z && h.z <= layer.box[3][b]));
          CHECK(layer.phi[k] == float(h.phi));
        }
    }
}

TEST_CASE("no hit that a line from near the origin reaches is left out, and most of the others are") {
  auto const seed = 2U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> unit(-1, 1);
  std::size_t wanted = 0, looked_at = 0, all = 0;
  for (int trial = 0; trial < 200; ++trial) {
    auto const hits = hits_of(random, 2000, trial % 2 == 0);
    auto const layer = layer_of(hits);
    Cylindrical const a{trial % 3 == 0 ? 140. : 60., pi * unit(random), 300 * unit(random), 0};
    double const slope_max = 0.003, z0_max = 50;
    std::vector<double> reach(layer.box[0].size());
    dew::detail::phi_reaches(a, layer.box[0].data(), layer.box[1].data(), layer.box[2].data(), layer.box[3].data(), reach.size(), slope_max,
                             z0_max, 1.7, reach.data());
    std::set<std::int32_t> found;
    for (std::size_t b = 0; b < layer.bins.size(); ++b) {
      if (reach[b] < 0) continue;
      auto const [begin, end] = layer.places(layer.bins[b], a.phi - reach[b], a.phi + reach[b]);
      for (auto k = begin; k < end; ++k) found.insert(layer.hit[k]);
    }
    all += hits.size(), looked_at += found.size();
    for (std::size_t i = 0; i < hits.size(); ++i) {
      double const dr = hits[i].r - a.r, z0 = a.z - a.r * (hits[i].z - a.z) / dr;
      if (!(std::abs((hits[i].phi - a.phi) / dr) < slope_max) || !(std::abs(z0) < z0_max)) continue;
      ++wanted;
      CHECK(found.contains(std::int32_t(i)));
    }
  }
  CHECK(wanted > 200);
  CHECK(looked_at < all / 20);
}
