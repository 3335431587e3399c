// SPDX-License-Identifier: BSL-1.0
#include "dew/geometry/geometry.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace dew;

TEST_CASE("the pixel detector numbers its 18 layers as the definitions do") {
  auto const g = pixel_detector();
  CHECK(g.layer_count() == 18);
  for (std::int64_t i = 0; i < 7; ++i) CHECK(g.index({7, 2 * (i + 1)}) == i);
  for (std::int64_t i = 0; i < 4; ++i) CHECK(g.index({8, 2 * (i + 1)}) == 7 + i);
  for (std::int64_t i = 0; i < 7; ++i) CHECK(g.index({9, 2 * (i + 1)}) == 11 + i);
  CHECK(g.index({8, 3}) == -1);
  CHECK(g.index({8, 10}) == -1);
  CHECK(g.index({13, 2}) == -1);
  for (std::int64_t volume : {7, 8, 9}) CHECK(g.has_volume(volume));
  for (std::int64_t volume : {-1, 0, 6, 10, 12, 18}) CHECK_FALSE(g.has_volume(volume));
}

TEST_CASE("the full detector has 48 layers, ranked by volume and layer, the pixels unchanged") {
  auto const pixels = pixel_detector(), full = full_detector();
  REQUIRE(full.layer_count() == 48);
  for (std::int64_t i = 0; i < 18; ++i) CHECK(full.layers()[std::size_t(i)] == pixels.layers()[std::size_t(i)]);
  CHECK(std::is_sorted(full.layers().begin(), full.layers().end()));
  std::map<std::int64_t, int> per_volume;
  for (auto const& layer : full.layers()) ++per_volume[layer.volume];
  CHECK(per_volume == std::map<std::int64_t, int>{{7, 7}, {8, 4}, {9, 7}, {12, 6}, {13, 4}, {14, 6}, {16, 6}, {17, 2}, {18, 6}});
  CHECK(full.index({12, 2}) == 18);
  CHECK(full.index({17, 4}) == 41);
  CHECK(full.index({18, 12}) == 47);
  CHECK(full.pairs() == pixels.pairs());
  CHECK(full != pixels);
  CHECK(pixels == pixel_detector());
}

TEST_CASE("the layer pairs are those of the definitions, with the radii of the crossing cut") {
  std::set<std::pair<std::int64_t, std::int64_t>> expected{{7, 8}, {8, 9}, {9, 10}};
  for (std::int64_t barrel = 7; barrel <= 10; ++barrel) expected.insert({barrel, 6}), expected.insert({barrel, 11});
  for (std::int64_t i = 0; i < 6; ++i) expected.insert({i, i + 1}), expected.insert({11 + i, 12 + i});
  std::set<std::pair<std::int64_t, std::int64_t>> got;
  auto const g = pixel_detector();
  for (auto const& pair : g.pairs()) {
    got.insert({pair.inner, pair.outer});
    bool const from_barrel = pair.inner >= 7 && pair.inner <= 10, to_endcap = pair.outer == 6 || pair.outer == 11;
    CHECK(pair.transition == (from_barrel && to_endcap));
    double const radius = !pair.transition ? 0 : pair.inner == 7 ? 71.56298065185547 : pair.inner == 8 ? 115.37811279296875 : 0;
    CHECK(pair.crossing_r_mm == radius);
    CHECK(pair.crossing_z_mm == (radius > 0 ? 490.975 : 0));
  }
  CHECK(got == expected);
  CHECK(got.size() == g.pairs().size());
}

TEST_CASE("another detector is another value - one that contradicts itself is refused") {
  Geometry const telescope{"telescope", {{5, 1}, {3, 9}}, {{1, 0}}};
  CHECK(telescope.index({5, 1}) == 0);
  CHECK(telescope.index({3, 9}) == 1);
  CHECK(telescope.has_volume(3));
  CHECK_FALSE(telescope.has_volume(4));
  CHECK_FALSE(Geometry{}.has_volume(0));
  CHECK_THROWS_WITH_AS((Geometry{"twice", {{1, 2}, {1, 2}}, {}}), "geometry 'twice': volume 1, layer 2 stands twice", Error);
  CHECK_THROWS_WITH_AS((Geometry{"open", {{1, 2}}, {{0, 1}}}), "geometry 'open': the pair (0, 1) names a layer outside 0…0", Error);
}
