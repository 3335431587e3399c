// SPDX-License-Identifier: BSL-1.0
// GeometricEdgeTruth: which edges of a geometric graph are true, with doubled barrel-to-endcap transitions relabelled.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/core/simd.hpp"
#include "dew/core/task_queue.hpp"
#include "dew/event/schema.hpp"
#include "dew/geometry/geometry.hpp"

namespace dew {

/// Edge truth of a geometric graph, by the labelled way only: y = both ends carry the same id > 0.
///
/// With `relabel`: a particle that leaves the barrel may have true edges from several barrel layers to the endcap, of which only those from
/// the outermost barrel layer among them (the highest index, over both endcaps together) stay true. Edges may run in either direction.
/// Reads `edge_index` [2, E], `particle_id` [N], `layer` [N], writes `edge_truth` [E]. O(E + T log T) with T true edges at a transition, by
/// ATen's threads, the same bits for any number of them; on other devices than the CPU by `reference`. No gradient.
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
    if (!event[key::edge_index].is_cpu()) return reference(event);
    auto const index = event[key::edge_index].contiguous(), id = event[key::particle_id].contiguous(),
               layer = event[key::layer].contiguous();
    auto const edges = index.size(1), hits = id.size(0);
    auto const *const source = index.const_data_ptr<std::int64_t>(), *const target = source + edges;
    auto const *const id_of = id.const_data_ptr<std::int64_t>(), *const layer_of = layer.const_data_ptr<std::int64_t>();
    auto out = at::empty({edges}, index.options().dtype(at::kBool));
    auto* const y = out.mutable_data_ptr<bool>();
    auto const transitions = this->transitions();
    auto const layers = std::int64_t(transitions.size());

    struct Transition {
      std::int64_t id, barrel, edge;
      auto operator<=>(Transition const&) const = default;
    };
    constexpr std::int64_t chunk_size = 1 << 14;
    std::vector<std::vector<Transition>> found(std::size_t(TaskQueue::count(edges, chunk_size)));  // true edges at a transition
    share_tasks(edges, chunk_size, [&](TaskQueue& tasks) {
      while (auto const c = tasks.take()) {
        auto const [number, from, to] = *c;
        if (!within(source + from, target + from, to - from, hits))
          for (auto e = from; e < to; ++e)
            check(source[e] >= 0 && source[e] < hits && target[e] >= 0 && target[e] < hits,
                  "geometric edge truth: edge {} joins hits {} and {} of {}", e, source[e], target[e], hits);
        same_particle(y + from, source + from, target + from, to - from, id_of);
        if (!options.relabel) continue;
        for (auto e = next_true(y, from, to); e < to; e = next_true(y, e + 1, to)) {
          auto const a = layer_of[source[e]], b = layer_of[target[e]];
          if (a < 0 || a >= layers || b < 0 || b >= layers) continue;
          if (auto const barrel = transitions[std::size_t(a)][std::size_t(b)]; barrel >= 0)
            found[std::size_t(number)].push_back({id_of[source[e]], barrel, e});
        }
      }
    });
    std::vector<Transition> all;
    for (auto const& part : found) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.rbegin(), all.rend());  // a particle's outermost layer comes first
    std::int64_t outermost = -1;
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (k == 0 || all[k].id != all[k - 1].id) outermost = all[k].barrel;
      y[all[k].edge] = all[k].barrel == outermost;
    }
    return RecordOf<Writes>{key::edge_truth = out};
  }

  /// The same, plainly: in torch operations, on any device.
  RecordOf<Writes> reference(RecordOf<Reads> const& event) const {
    auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
    auto const id = event[key::particle_id].index_select(0, source);
    auto y = at::logical_and(id == event[key::particle_id].index_select(0, target), id > 0);
    if (options.relabel) y = relabelled(y, id, event[key::layer].index_select(0, source), event[key::layer].index_select(0, target));
    return RecordOf<Writes>{key::edge_truth = y};
  }

  bool operator==(GeometricEdgeTruth const&) const = default;

 private:
  /// Whether all n edges join hits in 0 … hits − 1.
  DEW_SIMD static bool within(std::int64_t const* source, std::int64_t const* target, std::int64_t n, std::int64_t hits) {
    std::uint64_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (std::int64_t e = 0; e < n; ++e) largest = std::max({largest, std::uint64_t(source[e]), std::uint64_t(target[e])});
    return n == 0 || largest < std::uint64_t(hits);
  }
  DEW_SIMD static void same_particle(bool* y, std::int64_t const* source, std::int64_t const* target, std::int64_t n,
                                     std::int64_t const* id_of) {
#pragma omp simd
    for (std::int64_t e = 0; e < n; ++e) {
      auto const id = id_of[source[e]];
      y[e] = (id == id_of[target[e]]) & (id > 0);
    }
  }
  /// The first true edge from `from` on, or `to`.
  static std::int64_t next_true(bool const* y, std::int64_t from, std::int64_t to) {
    auto const* const found = static_cast<bool const*>(std::memchr(y + from, 1, std::size_t(to - from)));
    return found == nullptr ? to : found - y;
  }

  /// [layer of one end][of the other]: the barrel layer of a transition, larger is further out; −1: no transition.
  std::vector<std::vector<std::int64_t>> transitions() const {
    std::int64_t layers = 0;
    for (auto const& pair : geometry.pairs()) layers = std::max({layers, pair.inner + 1, pair.outer + 1});
    std::vector out(static_cast<std::size_t>(layers), std::vector<std::int64_t>(static_cast<std::size_t>(layers), -1));
    for (auto const& pair : geometry.pairs())
      if (pair.transition)
        out[std::size_t(pair.inner)][std::size_t(pair.outer)] = out[std::size_t(pair.outer)][std::size_t(pair.inner)] = pair.inner;
    return out;
  }

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
