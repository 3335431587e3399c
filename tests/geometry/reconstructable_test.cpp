// SPDX-License-Identifier: BSL-1.0
#include "dew/geometry/reconstructable.hpp"

#include <doctest/doctest.h>

using namespace dew;

TEST_CASE("reconstructable is three distinct layers, by volume and layer or by layer number alone") {
  auto const g = pixel_detector();
  // particle 0: barrel layers 2, 4, 6; particle 1: three hits on two layers; particle 2: layer 2 in all three volumes; particle 3: none
  std::vector<std::int64_t> const particle{0, 1, 0, 2, 1, 0, 2, 1, 2, -1, -1};
  std::vector<std::int64_t> const layer{7, 7, 8, 0, 8, 9, 7, 8, 11, 3, 4};
  auto const by_both = reconstructable_particles(g, particle, layer, 4, DistinctLayers::volume_and_layer);
  auto const by_layer = reconstructable_particles(g, particle, layer, 4, DistinctLayers::layer_id);
  CHECK(by_both == std::vector<bool>{true, false, true, false});
  CHECK(by_layer == std::vector<bool>{true, false, false, false});
}

TEST_CASE("reconstructable refuses rows that are not there") {
  auto const g = pixel_detector();
  std::vector<std::int64_t> const one{0}, two{0, 0}, far{18};
  CHECK_THROWS_AS(reconstructable_particles(g, one, two, 1, DistinctLayers::volume_and_layer), Error);
  CHECK_THROWS_AS(reconstructable_particles(g, one, one, 0, DistinctLayers::volume_and_layer), Error);
  CHECK_THROWS_AS(reconstructable_particles(g, one, far, 1, DistinctLayers::volume_and_layer), Error);
  CHECK(reconstructable_particles(g, {}, {}, 0, DistinctLayers::volume_and_layer).empty());
}
