// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/geometric_edges.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <utility>
#include <vector>

#include "support/pixel_hits.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::pixel_hits;
using dew::test::pixel_pairs;

namespace {
using EdgeSet = std::set<std::pair<std::int64_t, std::int64_t>>;

/// The graph by its definition: two nested loops, numbers only.
EdgeSet edges_by_definition(Tensor const& position, Tensor const& layer, std::vector<LayerPair> const& pairs, GeometricCuts const& cuts) {
  EdgeSet edges;
  auto const p = position.accessor<double, 2>();
  auto const l = layer.accessor<std::int64_t, 1>();
  constexpr double pi = 3.141592653589793;
  for (auto const& pair : pairs)
    for (std::int64_t i = 0; i < layer.size(0); ++i)
      for (std::int64_t j = 0; j < layer.size(0); ++j) {
        if (l[i] != pair.inner || l[j] != pair.outer) continue;
        double const r1 = std::hypot(p[i][0], p[i][1]), r2 = std::hypot(p[j][0], p[j][1]), z1 = p[i][2], z2 = p[j][2];
        double dphi = std::atan2(p[j][1], p[j][0]) - std::atan2(p[i][1], p[i][0]);
        while (dphi > pi) dphi -= 2 * pi;
        while (dphi < -pi) dphi += 2 * pi;
        double const deta = std::asinh(z2 / r2) - std::asinh(z1 / r1);
        if (r1 == r2 || std::abs(dphi / (r2 - r1)) >= cuts.phi_slope_max) continue;
        double const slope = (z2 - z1) / (r2 - r1);
        if (std::abs(z1 - r1 * slope) >= cuts.z0_max_mm || std::hypot(deta, dphi) >= cuts.dr_max) continue;
        if (pair.crossing_r_mm != 0 && std::abs(z1 + (pair.crossing_r_mm - r1) * slope) < pair.crossing_z_mm) continue;
        edges.insert({i, j});
      }
  return edges;
}
bool is_the_graph(EdgeSet const& expected, Tensor const& edge_index) {
  EdgeSet got;
  for (std::int64_t e = 0; e < edge_index.size(1); ++e)
    got.insert({edge_index[0][e].item<std::int64_t>(), edge_index[1][e].item<std::int64_t>()});
  return std::int64_t(got.size()) == edge_index.size(1) && got == expected;
}
std::vector<GeometricCuts> const all_cuts{{0.005, 200, 1.7}, {0.002, 100, 1.7}, {0.05, 1e9, 50}, {1e9, 1e300, 1e9}, {0.02, 500, 0.5}};
}  // namespace

TEST_CASE("geometric edges are those of the definition") {
  auto const seed = test::seed_of_input();
  auto const hits = pixel_hits(600, seed);
  auto const pairs = pixel_pairs();
  for (auto const& cuts : all_cuts) {
    CAPTURE(cuts.phi_slope_max);
    auto const expected = edges_by_definition(hits.position, hits.layer, pairs, cuts);
    CHECK(!expected.empty());
    CHECK(is_the_graph(expected, geometric_edges(hits.position, hits.layer, pairs, cuts, false).edge_index));
  }
}

TEST_CASE("geometric edges are those of the definition where layers are dense, in many bins") {
  auto const seed = test::seed_of_input();
  auto const pairs = pixel_pairs();
  for (auto const& layers : {std::vector<std::int64_t>{7, 8}, {8, 11}, {6, 9}, {4, 5}, {11, 12}}) {
    auto const hits = pixel_hits(2000, seed, layers);
    for (auto const& cuts : {GeometricCuts{}, GeometricCuts{0.002, 30, 1.7}, GeometricCuts{0.02, 2, 0.3}}) {
      CAPTURE(layers[0]);
      CAPTURE(cuts.z0_max_mm);
      auto const expected = edges_by_definition(hits.position, hits.layer, pairs, cuts);
      CHECK(is_the_graph(expected, geometric_edges(hits.position, hits.layer, pairs, cuts, false).edge_index));
    }
  }
}

TEST_CASE("the oracle of geometric edges rejects a missing, an extra, a turned and a doubled edge") {
  auto const hits = pixel_hits(400, 1);
  auto const pairs = pixel_pairs();
  auto const expected = edges_by_definition(hits.position, hits.layer, pairs, {});
  auto const good = geometric_edges(hits.position, hits.layer, pairs, {}, false).edge_index;
  CHECK(is_the_graph(expected, good));
  CHECK_FALSE(is_the_graph(expected, good.slice(1, 1)));
  CHECK_FALSE(is_the_graph(expected, at::cat({good, at::zeros({2, 1}, at::kLong)}, 1)));
  CHECK_FALSE(is_the_graph(expected, good.flip(0)));
  CHECK_FALSE(is_the_graph(expected, at::cat({good, good.slice(1, 0, 1)}, 1)));
  CHECK_FALSE(is_the_graph(edges_by_definition(hits.position, hits.layer, pairs, {0.004, 200, 1.7}), good));
}

TEST_CASE("the kernel equals its reference in edges, order and features") {
  auto const seed = test::seed_of_input();
  auto const pairs = pixel_pairs();
  for (std::int64_t n : {0, 1, 2, 50, 700}) {
    auto const hits = pixel_hits(n, seed + std::uint32_t(n));
    for (bool undirected : {false, true})
      for (auto const& cuts : all_cuts) {
        auto const fast = geometric_edges(hits.position, hits.layer, pairs, cuts, undirected);
        auto const plain = geometric_edges_reference(hits.position, hits.layer, pairs, cuts, undirected);
        CHECK(at::equal(fast.edge_index, plain.edge_index));
        CHECK(at::allclose(fast.features, plain.features, 1e-9, 1e-12));
      }
  }
}

TEST_CASE("the filter in float is sure only of what the cuts in double say, also at their edge") {
  auto const seed = test::seed_of_input();
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> unit(-1, 1);
  std::int64_t sure = 0, dropped = 0, unsure = 0;
  for (auto const& cuts : all_cuts)
    for (double const size : {1., 1e3, 1e7})
      for (bool const crossing : {false, true}) {
        LayerPair const pair{0, 1, crossing ? 0.7 * size : 0, 0.5 * size};
        auto const random_hit = [&] {
          return dew::detail::Cylindrical{size * std::abs(unit(random)), 3.14159 * unit(random), size * unit(random), 4 * unit(random)};
        };
        auto const a = random_hit();
        std::vector<dew::detail::Cylindrical> hits;
        std::vector<std::int32_t> all;
        for (int i = 0; i < 500; ++i) {
          auto b = random_hit();
          // on a cut, or a little beside it
          auto const beside = 1 + (i % 3 == 0 ? 1e-7 : 1e-12) * unit(random), dr = b.r - a.r;
          if (i % 4 == 1) b.phi = a.phi + std::min(cuts.phi_slope_max * dr, 1.) * beside;
          if (i % 4 == 2) b.z = a.z + (a.z - std::min(cuts.z0_max_mm, 1e6) * beside) / a.r * dr, b.phi = a.phi;
          if (i % 4 == 3) b.eta = a.eta + std::min(cuts.dr_max, 30.) * beside, b.phi = a.phi;
          hits.push_back(b), all.push_back(i);
        }
        hits.push_back(a);
        dew::detail::BinnedLayer const layer(all, hits);
        dew::detail::EdgeFilter filter(hits, cuts);
        filter.set_pair(pair);
        REQUIRE_FALSE(filter.overflows());
        for (std::size_t place = 0; place < layer.hit.size(); place += 16) {
          auto const found = filter(a, 0, layer, place);
          CHECK((found.surely & ~found.maybe) == 0);
          for (std::size_t k = 0; k < 16 && place + k < layer.hit.size(); ++k) {
            bool const maybe = found.maybe >> k & 1, surely = found.surely >> k & 1;
            auto const& b = hits[std::size_t(layer.hit[place + k])];
            if (std::abs(b.phi - a.phi) > 3.1) continue;  // turned otherwise
            bool const passes = dew::detail::passes(a, b, cuts, pair);
            if (surely) CHECK(passes);
            if (!maybe) CHECK_FALSE(passes);
            ++(surely ? sure : maybe ? unsure : dropped);
          }
        }
      }
  CHECK(sure > 500);
  CHECK(dropped > 2000);
  CHECK(unsure > 500);  // those at an edge
}

TEST_CASE("positions that are too large for the filter are told apart in double") {
  auto const hits = pixel_hits(300, 8);
  for (double const scale : {1e4, 1e7, 1e40}) {
    GeometricCuts const cuts{0.01 / scale, 300 * scale, 1.7};
    std::vector<LayerPair> pairs = pixel_pairs();
    for (auto& pair : pairs) pair.crossing_r_mm *= scale, pair.crossing_z_mm *= scale;
    auto const edges = geometric_edges(hits.position * scale, hits.layer, pairs, cuts, true);
    CHECK(edges.edge_index.size(1) > 40);
    CHECK(at::equal(edges.edge_index, geometric_edges_reference(hits.position * scale, hits.layer, pairs, cuts, true).edge_index));
  }
}

TEST_CASE("float positions give float features of the same edges' doubles") {
  auto const hits = pixel_hits(500, 3);
  auto const pairs = pixel_pairs();
  auto const single = hits.position.to(at::kFloat);
  auto const a = geometric_edges(single, hits.layer, pairs, {}, true),
             b = geometric_edges(single.to(at::kDouble), hits.layer, pairs, {}, true);
  CHECK((a.features.scalar_type() == at::kFloat));
  CHECK(at::equal(a.edge_index, b.edge_index));
  CHECK(at::equal(a.features, b.features.to(at::kFloat)));
}

TEST_CASE("the same bits with one thread and with two") {
  auto const hits = pixel_hits(3000, 4);
  auto const pairs = pixel_pairs();
  auto const before = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = geometric_edges(hits.position, hits.layer, pairs, {}, true);
  at::set_num_threads(2);
  auto const two = geometric_edges(hits.position, hits.layer, pairs, {}, true);
  at::set_num_threads(before);
  CHECK(at::equal(one.edge_index, two.edge_index));
  CHECK(at::equal(one.features, two.features));
}

TEST_CASE("edges are sorted by source and target - reverses follow in the same order with three signs changed") {
  auto const hits = pixel_hits(600, 5);
  auto const edges = geometric_edges(hits.position, hits.layer, pixel_pairs(), {}, true);
  auto const e = edges.edge_index.size(1) / 2;
  REQUIRE(e > 10);
  auto const key = edges.edge_index[0] * 600 + edges.edge_index[1];
  CHECK((key.slice(0, 1, e) > key.slice(0, 0, e - 1)).all().item<bool>());
  CHECK(at::equal(edges.edge_index.slice(1, e), edges.edge_index.slice(1, 0, e).flip(0)));
  CHECK(at::equal(edges.features.slice(0, e).slice(1, 0, 3), -edges.features.slice(0, 0, e).slice(1, 0, 3)));
  CHECK(at::equal(edges.features.slice(0, e).slice(1, 3), edges.features.slice(0, 0, e).slice(1, 3)));
}

TEST_CASE("cuts are strict, and no difference in r keeps nothing") {
  std::vector<LayerPair> const pairs{{0, 1}};
  auto const layer = at::tensor({0, 1}, at::kLong);
  auto const count = [&](std::vector<double> xyz, GeometricCuts cuts) {
    return geometric_edges(at::tensor(xyz, at::kDouble).reshape({2, 3}), layer, pairs, cuts, false).edge_index.size(1);
  };
  // straight up from z0 = 64 exactly: z = 64 + r
  CHECK(count({32, 0, 96, 64, 0, 128}, {0.005, 64.5, 10}) == 1);
  CHECK(count({32, 0, 96, 64, 0, 128}, {0.005, 64, 10}) == 0);
  CHECK(count({32, 0, 0, 64, 0, 0}, {0, 200, 10}) == 0);                                     // |slope| = 0 is not < 0
  CHECK(count({32, 0, 0, 64, 0, 0}, {0.005, 200, 0}) == 0);                                  // ΔR = 0 is not < 0
  CHECK(count({32, 0, 0, 32, 0, 0}, {0.005, 200, 10}) == 0);                                 // Δr = 0, twice the same point
  CHECK(count({32, 0, 0, 0, 32, 0}, {1e9, 1e9, 1e9}) == 0);                                  // Δr = 0
  for (double z : {10., -10., 0.}) CHECK(count({0, 0, z, 32, 0, z}, {1e9, 1e9, 1e9}) == 0);  // a hit on the beam line has no η
  CHECK(count({-32, 1e-3, 0, -64, -1e-3, 0}, {0.005, 200, 10}) == 1);                        // across φ = ±π
}

TEST_CASE("all hits at one point, and hits on layers that no pair names, have no edges") {
  auto const pairs = pixel_pairs();
  CHECK(geometric_edges(at::full({100, 3}, 50.0, at::kDouble), at::arange(100, at::kLong) % 18, pairs, {1e9, 1e9, 1e9}, true)
            .edge_index.size(1) == 0);
  auto const hits = pixel_hits(100, 6);
  CHECK(geometric_edges(hits.position, hits.layer + 18, pairs, {}, true).edge_index.size(1) == 0);
  CHECK(geometric_edges(hits.position, at::full_like(hits.layer, -1), pairs, {}, true).edge_index.size(1) == 0);
}

TEST_CASE("wrong input throws, naming what is wrong") {
  auto const pairs = pixel_pairs();
  auto const hits = pixel_hits(4, 7);
  CHECK_THROWS_WITH_AS(geometric_edges(hits.position.slice(1, 0, 2), hits.layer, pairs, {}, true), doctest::Contains("[N, 3], got [4, 2]"),
                       Error);
  CHECK_THROWS_WITH_AS(geometric_edges(hits.position, hits.layer.slice(0, 1), pairs, {}, true), doctest::Contains("4 integer layers"),
                       Error);
  CHECK_THROWS_WITH_AS(geometric_edges(hits.position / 0., hits.layer, pairs, {}, true), doctest::Contains("hit 0 is not finite"), Error);
  CHECK_THROWS_WITH_AS(geometric_edges(hits.position, hits.layer, pairs, {-1, 1, 1}, true), doctest::Contains("phi_slope_max = -1"), Error);
  std::vector<LayerPair> const negative{{-1, 2}};
  CHECK_THROWS_AS(geometric_edges(hits.position, hits.layer, negative, {}, true), Error);
}
