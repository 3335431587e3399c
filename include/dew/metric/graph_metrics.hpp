// SPDX-License-Identifier: BSL-1.0
// GraphMetrics: what a graph makes possible for everything behind it. N hits, E edges.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/ratio.hpp"

namespace dew {

/// Efficiency and purity of a graph in one direction.
///
/// possible = Σ over particles (id > 0) of Σᵢ nᵢ·nᵢ₊₁, nᵢ its hits on the i-th layer that it has hits on, layers by index; `efficiency` =
/// Σ y / possible; `pt0.9.efficiency` the same for particles with pt above each cut, strictly; `purity` = mean y; `edges`, `hits`,
/// `edges_per_hit`. An edge and its reverse, in whatever order, count once, true if either is. Edges with an unknown end (id −1) are left
/// out of purity. Relabelled transitions are false here too, so that efficiency can stay below 1 for a complete graph. O(E log E + N log
/// N).
struct GraphMetrics {
  struct Options {
    std::vector<double> pt_cuts_gev = {0.9};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_cuts_gev, "GeV", "efficiency again for particles above each of these"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "graph";
  using Reads = Keys<EdgeIndex, EdgeTruth, ParticleId, Pt, Layer>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const id = event[key::particle_id], pt = event[key::pt];
    auto const [source, target, truth] = one_direction(event[key::edge_index], event[key::edge_truth], id.size(0));
    auto const known = at::logical_and(id.index_select(0, source) >= 0, id.index_select(0, target) >= 0);
    auto const y = at::logical_and(truth, known);
    auto const source_pt = pt.index_select(0, source);
    auto const possible = possible_edges(id, pt, event[key::layer]);
    auto const count = [](Tensor const& mask) { return double(mask.sum().item<std::int64_t>()); };
    auto const efficiency = [&](double cut) {
      if (pt.scalar_type() == at::kFloat) cut = double(float(cut));  // as the comparison of tensors does
      double whole = 0;
      for (auto const& [particle_pt, edges] : possible) whole += particle_pt > cut ? edges : 0;
      return detail::ratio(count(at::logical_and(y, source_pt > cut)), whole);
    };
    auto const edges = double(source.size(0)), hits = double(id.size(0));
    Figures figures{{"efficiency", efficiency(-1)},
                    {"purity", detail::ratio(count(y), count(known))},
                    {"edges", edges},
                    {"hits", hits},
                    {"edges_per_hit", detail::ratio(edges, hits)}};
    for (auto const cut : options.pt_cuts_gev) figures.emplace_back(fmt::format("pt{}.efficiency", cut), efficiency(cut));
    return figures;
  }

  /// What a summary of a few lines shows.
  std::vector<std::string> headlines() const { return {"efficiency", "purity", "edges"}; }

  bool operator==(GraphMetrics const&) const = default;

 private:
  /// Source, target and truth of each pair of joined hits, once.
  static std::tuple<Tensor, Tensor, Tensor> one_direction(Tensor const& edge_index, Tensor const& truth, std::int64_t n) {
    auto const low = at::minimum(edge_index[0], edge_index[1]), high = at::maximum(edge_index[0], edge_index[1]);
    auto const [sorted, order] = (low * n + high).sort();
    auto const [pairs, which, counts] = at::unique_consecutive(sorted, true);
    auto const is_true = at::zeros_like(pairs).index_add(0, which, truth.index_select(0, order).to(at::kLong)) > 0;
    auto const source = pairs.floor_divide(std::max<std::int64_t>(n, 1));
    return {source, pairs - source * n, is_true};
  }

  /// For each particle its pt and Σᵢ nᵢ·nᵢ₊₁ over the layers that it has hits on, by index.
  static std::vector<std::pair<double, double>> possible_edges(Tensor const& id, Tensor const& pt, Tensor const& layer) {
    auto const ids = id.to(at::kCPU).contiguous(), layers = layer.to(at::kCPU).contiguous(),
               pts = pt.to(at::kCPU, at::kDouble).contiguous();
    std::vector<std::tuple<std::int64_t, std::int64_t, double>> hits;
    for (std::int64_t i = 0; i < ids.size(0); ++i)
      if (ids.const_data_ptr<std::int64_t>()[i] > 0)
        hits.emplace_back(ids.const_data_ptr<std::int64_t>()[i], layers.const_data_ptr<std::int64_t>()[i], pts.const_data_ptr<double>()[i]);
    std::sort(hits.begin(), hits.end());
    std::vector<std::pair<double, double>> out;
    for (std::size_t begin = 0; begin < hits.size();) {
      auto const [particle, first_layer, particle_pt] = hits[begin];
      double sum = 0, before = 0;
      while (begin < hits.size() && std::get<0>(hits[begin]) == particle) {
        auto const on = std::get<1>(hits[begin]);
        double here = 0;
        for (; begin < hits.size() && std::get<0>(hits[begin]) == particle && std::get<1>(hits[begin]) == on; ++begin) ++here;
        sum += before * here;
        before = here;
      }
      out.emplace_back(particle_pt, sum);
    }
    return out;
  }
};
static_assert(Metric<GraphMetrics>);

}  // namespace dew
