// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/geometric_graph.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "support/pixel_hits.hpp"

using namespace dew;
using dew::test::pixel_hits;
using dew::test::pixel_pairs;

namespace {
auto record(test::PixelHits const& hits) { return Record{key::position = hits.position, key::layer = hits.layer}; }
}  // namespace

TEST_CASE("every option reaches the graph") {
  auto const event = record(pixel_hits(2000, 1));
  auto const edges = [&](GeometricGraph const& graph) { return graph(event)[key::edge_index].size(1); };
  auto const normal = edges({});
  CHECK(edges({{.phi_slope_max = 0.002}}) < normal);
  CHECK(edges({{.z0_max_mm = 100}}) < normal);
  CHECK(edges({{.dr_max = 0.1}}) < normal);
  CHECK(edges({{.drop_intersecting = false}}) > normal);
  CHECK(2 * edges({{.undirected = false}}) == normal);
  CHECK_FALSE(GeometricGraph{{.relabel = false}}.truth().options.relabel);
  CHECK((GeometricGraph{{.z0_max_mm = 100}} == GeometricGraph{{.z0_max_mm = 100}}));
  CHECK_FALSE((GeometricGraph{{.z0_max_mm = 100}} == GeometricGraph{}));
  CHECK(print(GeometricGraph{}.options).find("phi_slope_max = 0.005  # [rad/mm] largest |dphi/dr| of an edge") != std::string::npos);
}

TEST_CASE("the pixel geometry's layer pairs and crossing cuts are those of the definitions") {
  auto const hits = pixel_hits(1500, 2);
  auto const expected = geometric_edges_reference(hits.position, hits.layer, pixel_pairs(), {}, true);
  auto const got = GeometricGraph{}(record(hits));
  CHECK(at::equal(got[key::edge_index], expected.edge_index));
}

TEST_CASE("two hops: the pairs of the geometry and those that two of them lead to, as a set, without crossing cut and relabelling") {
  Geometry const chain{"chain", {{1, 2}, {1, 4}, {1, 6}, {1, 8}}, {{0, 1}, {1, 2, 50, 100}, {2, 3, 0, 0, true}, {0, 2}}};
  std::vector<LayerPair> const expected{{0, 1}, {1, 2}, {2, 3}, {0, 2}, {1, 3}, {0, 3}};  // 0-2 again by 0-1-2, 0-3 by 0-2-3
  CHECK(two_hop_pairs(chain) == expected);

  auto const event = record(pixel_hits(1500, 5));
  auto const graph = [&](GeometricGraph const& g) { return g(event)[key::edge_index]; };
  GeometricGraph const two{{.two_hop = true}};
  std::set<std::pair<std::int64_t, std::int64_t>> pairs;
  auto const ends = event[key::layer].index_select(0, graph(two).reshape(-1)).reshape({2, -1});
  for (std::int64_t e = 0; e < ends.size(1) / 2; ++e) pairs.emplace(ends[0][e].item<std::int64_t>(), ends[1][e].item<std::int64_t>());
  CHECK(pairs.contains({7, 9}));  // barrel, one layer left out
  auto const all = two_hop_pairs(pixel_detector());
  CHECK(std::find(all.begin(), all.end(), LayerPair{10, 12}) != all.end());  // from the barrel past the nearest disk
  CHECK(graph(two).size(1) > graph({{.drop_intersecting = false}}).size(1));
  CHECK_FALSE(two.truth().options.relabel);
  auto other = two;
  other.options.drop_intersecting = false;
  CHECK(at::equal(graph(two), graph(other)));
}

TEST_CASE("another geometry is another value") {
  auto const hits = record(pixel_hits(500, 6));
  Geometry const telescope{"telescope", {{1, 2}, {1, 4}}, {{0, 1}}};
  GeometricGraph const graph{{.phi_slope_max = 0.05}, telescope};
  CHECK_FALSE((graph == GeometricGraph{{.phi_slope_max = 0.05}}));
  CHECK((graph.truth().geometry == telescope));
  auto const layers = hits[key::layer].index_select(0, graph(hits)[key::edge_index].reshape(-1));
  CHECK(layers.size(0) > 0);
  CHECK((layers <= 1).all().item<bool>());
}

TEST_CASE("an event without hits and one with a single hit have no edges") {
  for (std::int64_t n : {0, 1}) {
    auto const out = GeometricGraph{}(record(pixel_hits(n, 3)));
    CHECK(out[key::edge_index].size(1) == 0);
    CHECK(out[key::edge_features].sizes() == at::IntArrayRef{0, 4});
  }
}

TEST_CASE("a permutation of the hits permutes the graph") {
  std::int64_t const n = 800;
  auto const hits = pixel_hits(n, 4);
  auto const order = at::randperm(n, at::kLong);  // new row k is old row order[k]
  auto const out = GeometricGraph{}(record(hits));
  auto const moved = GeometricGraph{}(record({hits.position.index_select(0, order), hits.layer.index_select(0, order)}));
  auto const back = order.index_select(0, moved[key::edge_index].reshape(-1)).reshape({2, -1});
  auto const sort_key = [&](Tensor const& e) { return (e[0] * n + e[1]).argsort(); };
  auto const a = sort_key(out[key::edge_index]), b = sort_key(back);
  CHECK(at::equal(out[key::edge_index].index_select(1, a), back.index_select(1, b)));
  CHECK(at::equal(out[key::edge_features].index_select(0, a), moved[key::edge_features].index_select(0, b)));
}

TEST_CASE("the graph of a CUDA record is on that device") {
  if (!at::hasCUDA()) return;
  auto const hits = record(pixel_hits(300, 5));
  auto const here = GeometricGraph{}(hits), there = GeometricGraph{}(hits.to(at::Device(at::kCUDA)));
  CHECK(there.device().is_cuda());
  CHECK(at::equal(there[key::edge_index].cpu(), here[key::edge_index]));
}
