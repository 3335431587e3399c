// SPDX-License-Identifier: BSL-1.0
// A key of one's own is one line; a stage that writes it and a graph builder that reads it are plain classes. The compiler checks that every
// key is written before it is read: without UnitVectors{} in front, this program does not compile, and the message says why. A graph
// builder also names the stage that knows which of its edges are true; that one exists only where the truth is known.
#include <dew/dew.hpp>

using namespace dew;

struct Direction : Key<"direction", Hits, Kind::real, Shape<3>, "", "unit vector from the origin to the hit"> {};  // [N, 3]

struct UnitVectors {
  static constexpr std::string_view name = "unit_vectors";
  using Reads = Keys<Position>;
  using Writes = Keys<Direction>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::position];
    return RecordOf<Writes>{set<Direction>(x / x.norm(2, 1, /*keepdim=*/true))};
  }
};

/// Joins hits on neighbouring layers, barrel or disks, that are seen in nearly the same direction. Edge features [E, 1]: the angle between the
/// two, relative to the largest allowed. All pairs of hits on two layers are compared: for small events.
struct SimilarDirections {
  struct Options {
    double angle_max_rad = 0.03;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(angle_max_rad, "rad", "largest angle between an edge's ends")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "similar_directions";
  using Reads = Keys<Direction, Layer>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const &direction = event[Direction{}], &layer = event[key::layer];
    std::vector<at::Tensor> edges{at::empty({2, 0}, layer.options())}, features{at::empty({0}, direction.options())};
    for (auto const& pair : pixel_detector().pairs()) {
      if (pair.transition) continue;  // from the barrel to a disk: further apart
      auto const inner = (layer == pair.inner).nonzero().squeeze(1), outer = (layer == pair.outer).nonzero().squeeze(1);
      auto const angle = at::cdist(direction.index_select(0, inner), direction.index_select(0, outer), 2., /*exact*/ 2);  // small ones
      auto const near = angle < options.angle_max_rad;
      auto const rows = near.nonzero();  // [edges of this pair, 2]
      edges.push_back(at::stack({inner.index_select(0, rows.select(1, 0)), outer.index_select(0, rows.select(1, 1))}));
      features.push_back(angle.masked_select(near) / options.angle_max_rad);
    }
    return RecordOf<Writes>{key::edge_index = at::cat(edges, 1), key::edge_features = at::cat(features).unsqueeze(1)};
  }
  SameParticleEdges truth() const { return {}; }
};
static_assert(GraphBuilder<SimilarDirections>);

int main() {
  SimulatedDetector const events{{.particles = 150}};
  Trained const graph{Pipeline{UnitVectors{}, SimilarDirections{{.angle_max_rad = 0.04}}}, events.labelled(1), /*seed=*/1};
  Summary summary;
  for (int event = 1; event <= 5; ++event) measure(graph, events.labelled(event), event, std::tuple{GraphMetrics{}}, summary);
  fmt::print("{}\n{}", graph(events.labelled(1)).table(), summary.text());
  return summary.mean("graph.pt0.9.efficiency") > 0.7 && summary.mean("graph.purity") > 0.3 ? 0 : 1;
}
