// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/nearest_neighbour_graph.hpp"

#include <doctest/doctest.h>

#include <set>

#include "dew/graph/edge_subsample.hpp"
#include "dew/graph/learned_graph.hpp"

using namespace dew;

namespace {
using Edge = std::pair<std::int64_t, std::int64_t>;
std::set<Edge> edges_of(Tensor const& edge_index) {
  std::set<Edge> out;
  for (std::int64_t e = 0; e < edge_index.size(1); ++e)
    out.emplace(edge_index[0][e].item<std::int64_t>(), edge_index[1][e].item<std::int64_t>());
  CHECK(std::int64_t(out.size()) == edge_index.size(1));  // no edge twice
  return out;
}
double distance(Tensor const& x, std::int64_t i, std::int64_t j) { return (x[i] - x[j]).to(at::kDouble).norm().item<double>(); }
/// The k nearest others of each hit, nearer than the radius, by loops: neighbour → hit.
std::set<Edge> nearest_by_loops(Tensor const& x, std::size_t k, double radius) {
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
auto features(std::int64_t n) { return Record{key::hit_features = at::randn({n, 4})}; }
}  // namespace

TEST_CASE("nearest neighbour graph: the k nearest by loops, in the chosen columns, with their features") {
  auto const event = features(40);
  auto const& x = event[key::hit_features];
  CHECK(edges_of(NearestNeighbourGraph{{.k = 3}}(event)[key::edge_index]) == nearest_by_loops(x, 3, 1e9));
  CHECK(edges_of(NearestNeighbourGraph{{.k = 5, .radius = 0.9}}(event)[key::edge_index]) == nearest_by_loops(x, 5, 0.9));
  auto const sliced = NearestNeighbourGraph{{.k = 3, .first_feature = 1, .features = 2}}(event);
  CHECK(edges_of(sliced[key::edge_index]) == nearest_by_loops(x.narrow(1, 1, 2), 3, 1e9));
  CHECK(edges_of(sliced[key::edge_index]) != nearest_by_loops(x, 3, 1e9));
  auto const e = 7;
  auto const s = x[sliced[key::edge_index][0][e]], t = x[sliced[key::edge_index][1][e]];
  CHECK(at::equal(sliced[key::edge_features][e], at::cat({s - t, s + t})));
  CHECK_THROWS_WITH_AS((NearestNeighbourGraph{{.first_feature = 3, .features = 2}}(event)), doctest::Contains("among the 4 hit features"),
                       Error);
}

TEST_CASE("radius graph: all pairs nearer than the radius") {
  auto const event = features(40);
  auto const& x = event[key::hit_features];
  CHECK(edges_of(RadiusGraph{{.radius = 1.5}}(event)[key::edge_index]) == nearest_by_loops(x, 40, 1.5));
}

TEST_CASE("complete graph: every ordered pair") {
  for (std::int64_t n : {0, 1, 2, 7}) {
    auto const out = CompleteGraph{}(features(n));
    CHECK(std::int64_t(edges_of(out[key::edge_index]).size()) == n * (n - 1));
    CHECK(out[key::edge_features].sizes() == at::IntArrayRef{n * (n - 1), 8});
  }
}

TEST_CASE("learned graph: neighbours in the embedding, features of the hits, with the embedding before them if asked") {
  auto const event = features(40).with(key::hit_embedding = at::randn({40, 3}));
  auto const& h = event[key::hit_embedding];
  auto const plain = LearnedGraph{{.k = 4, .radius = 1}}(event);
  CHECK(edges_of(plain[key::edge_index]) == nearest_by_loops(h, 4, 1));
  CHECK(at::equal(plain[key::hit_features], event[key::hit_features]));
  CHECK(plain[key::edge_features].size(1) == 8);
  auto const both = LearnedGraph{{.k = 4, .radius = 0, .embedding_features = true}}(event);
  CHECK(edges_of(both[key::edge_index]) == nearest_by_loops(h, 4, 1e9));
  CHECK(at::equal(both[key::hit_features], at::cat({h, event[key::hit_features]}, 1)));
  CHECK(both[key::edge_features].size(1) == 14);
}

TEST_CASE("edge subsample: in training all true edges and so many false ones, anew for each event and epoch - else all") {
  auto const truth = at::arange(200) % 10 == 0;  // 20 true
  auto const event = Record{key::edge_index = at::randint(0, 9, {2, 200}, at::kLong), key::edge_truth = truth};
  EdgeSubsample const subsample{{.ratio = 2.55}};
  Context const training{.training = true, .epoch = 1, .event = 5, .seed = 3};
  auto const kept = subsample(event, training);
  CHECK(kept.masked_select(truth).all().item<bool>());
  CHECK(kept.sum().item<std::int64_t>() == 20 + 51);
  CHECK(at::equal(kept, subsample(event, training)));
  auto other = training;
  other.epoch = 2;
  CHECK_FALSE(at::equal(kept, subsample(event, other)));
  CHECK(EdgeSubsample{{.ratio = 100}}(event, training).all().item<bool>());
  CHECK(EdgeSubsample{{.ratio = 0}}(event, training).all().item<bool>());
  CHECK(subsample(event, {}).all().item<bool>());
  CHECK(subsample(event.only<Keys<EdgeIndex>>(), training).all().item<bool>());
}
