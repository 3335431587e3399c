// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/graph_builder_laws.hpp"

#include <doctest/doctest.h>

#include "dew/graph.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// Joins each hit to all of the next layer, and one thing that is wrong with it.
enum class Wrong { nothing, beyond, next_row, features, no_edges };
template <Wrong wrong>
struct NextLayer {
  static constexpr std::string_view name = "next_layer";
  using Reads = dew::Keys<Position, Layer>;
  using Writes = std::conditional_t<wrong == Wrong::features, dew::Keys<EdgeIndex, EdgeFeatures>, dew::Keys<EdgeIndex>>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event) const {
    auto const layer = event[key::layer];
    auto edges = (layer.unsqueeze(1) + 1 == layer.unsqueeze(0)).nonzero().t().contiguous();
    if (wrong == Wrong::beyond) edges = edges + 1;
    if (wrong == Wrong::next_row)
      edges = at::stack({at::arange(layer.size(0), layer.options()), at::arange(layer.size(0), layer.options()).roll(1)});
    if (wrong == Wrong::no_edges) edges = edges.narrow(1, 0, 0);
    if constexpr (wrong == Wrong::features)
      return dew::RecordOf<Writes>{key::edge_index = edges, key::edge_features = at::ones({3, 1}, event[key::position].options())};
    else return dew::RecordOf<Writes>{key::edge_index = edges};
  }
};
/// Brings along a truth by which every edge is true.
struct AllTrue {
  static constexpr std::string_view name = "all_true";
  static constexpr bool labelled_only = true;
  using Reads = dew::Keys<EdgeIndex, ParticleId>;
  using Writes = dew::Keys<EdgeTruth>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event) const {
    return dew::RecordOf<Writes>{key::edge_truth = event[key::edge_index][0] >= 0};
  }
};
struct WronglyLabelled : NextLayer<Wrong::nothing> {
  auto truth() const { return AllTrue{}; }
};
}  // namespace

TEST_CASE("the geometric graph obeys the laws of graph builders") {
  check_graph_builder_laws(GeometricGraph{});
  check_graph_builder_laws(GeometricGraph{{.phi_slope_max = 0.01, .drop_intersecting = false, .relabel = false, .undirected = false}});
}

TEST_CASE("graphs of near hits obey the laws of graph builders") {
  check_graph_builder_laws(NearestNeighbourGraph{{.k = 4}});
  check_graph_builder_laws(NearestNeighbourGraph{{.k = 4, .radius = 0.5, .first_feature = 1, .features = 2}});
  check_graph_builder_laws(RadiusGraph{{.radius = 0.8}});
  check_graph_builder_laws(CompleteGraph{});
  check_graph_builder_laws(LearnedGraph{{.k = 5, .radius = 2}});
  check_graph_builder_laws(LearnedGraph{{.k = 5, .radius = 0, .embedding_features = true}});
  check_graph_builder_laws(GeometricGraph{{.two_hop = true}});
}

TEST_CASE("the laws of graph builders reject broken builders") {
  CHECK(graph_builder_law_violations(NextLayer<Wrong::nothing>{}).empty());
  CHECK(test::breaks(graph_builder_law_violations(NextLayer<Wrong::beyond>{}), "shapes"));
  CHECK(test::breaks(graph_builder_law_violations(NextLayer<Wrong::next_row>{}), "order"));
  CHECK(test::breaks(graph_builder_law_violations(NextLayer<Wrong::features>{}), "shapes"));
  CHECK(test::breaks(graph_builder_law_violations(NextLayer<Wrong::no_edges>{}), "edges"));
  CHECK(test::breaks(graph_builder_law_violations(WronglyLabelled{}), "truth"));
}
