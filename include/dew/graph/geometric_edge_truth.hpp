// SPDX-License-Identifier: BSL-1.0
// GeometricEdgeTruth: which edges of a geometric graph are true, with doubled barrel-to-endcap transitions relabelled.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/geometry/geometry.hpp"

namespace dew {

/// Edge truth of a geometric graph, by the labelled way only: y = both ends carry the same id > 0.
///
/// With `relabel`: a particle that leaves the barrel may have true edges from several barrel layers to the endcap, of which only those from
/// the outermost barrel layer among them (the highest index, over both endcaps together) stay true. Edges may run in either direction.
/// Reads `edge_index` [2, E], `particle_id` [N], `layer` [N], writes `edge_truth` [E]. O(E log E) in torch operations, on any device; no
/// gradient.
struct GeometricEdgeTruth {
  struct Options {
    bool relabel = true;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(relabel, "", "of a particle's edges from barrel to endcap, only the outermost are true"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  Geometry geometry = pixel_detector();  ///< says which layer pairs are transitions from a barrel to an endcap

  static constexpr std::string_view name = "geometric_edge_truth";
  static constexpr bool labelled_only = true;
  using Reads = Keys<EdgeIndex, ParticleId, Layer>;
  using Writes = Keys<EdgeTruth>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
    auto const id = event[key::particle_id].index_select(0, source);
    auto y = at::logical_and(id == event[key::particle_id].index_select(0, target), id > 0);
    if (options.relabel) y = relabelled(y, id, event[key::layer].index_select(0, source), event[key::layer].index_select(0, target));
    return RecordOf<Writes>{key::edge_truth = y};
  }

  bool operator==(GeometricEdgeTruth const&) const = default;

 private:
  Tensor relabelled(Tensor const& y, Tensor const& id, Tensor const& source_layer, Tensor const& target_layer) const {
    auto barrel = at::full_like(source_layer, -1);  // [E] the barrel layer of a transition, larger is further out; -1: no transition
    for (auto const& pair : geometry.pairs()) {
      if (!pair.transition) continue;
      auto const along = at::logical_and(source_layer == pair.inner, target_layer == pair.outer);
      auto const against = at::logical_and(source_layer == pair.outer, target_layer == pair.inner);
      barrel = barrel.masked_fill(at::logical_or(along, against), pair.inner);
    }
    auto const at_transition = at::logical_and(y, barrel >= 0).nonzero().squeeze(1);
    if (at_transition.size(0) == 0) return y;
    auto const layers = barrel.index_select(0, at_transition);
    auto const [sorted, order] = id.index_select(0, at_transition).sort();
    auto const [ids, particle, counts] = at::unique_consecutive(sorted, true);  // particle: [edges at a transition]
    auto const by_particle = layers.index_select(0, order);
    auto const outermost = at::full_like(ids, -1).scatter_reduce(0, particle, by_particle, "amax");
    auto const stays = by_particle == outermost.index_select(0, particle);
    return y.index_put({at_transition.index_select(0, order)}, stays);
  }
};
static_assert(Transform<GeometricEdgeTruth> && LabelledOnly<GeometricEdgeTruth>);

}  // namespace dew
