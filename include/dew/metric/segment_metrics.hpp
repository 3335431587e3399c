// SPDX-License-Identifier: BSL-1.0
// SegmentMetrics: into how many pieces a graph cuts the particles. N hits, E edges, P particles.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/ratio.hpp"
#include "dew/ops/union_find.hpp"

namespace dew {

/// What a graph makes of one particle.
struct ParticleSegments {
  std::int64_t particle;        ///< its row
  std::int64_t hits;            ///< all that it left, those that a stage dropped too
  std::int64_t segments;        ///< components of the subgraph of its hits
  std::int64_t largest;         ///< hits of the largest of these
  std::int64_t component_hits;  ///< most of its hits in one component of the whole graph
  double gap;                   ///< edges between its two largest segments, see `particle_segments`
};

/// The segments of each particle that `chosen` [P] holds, in an undirected graph of edges [2, E] between hits of particles `particle_id` [N].
///
/// A segment is a component of the subgraph that the particle's own hits induce; a hit without edges is one. The gap is the number of edges on
/// the shortest path through the whole graph between a hit of its largest and one of its second largest segment (ties: the segment whose first
/// hit comes first): 0 where there are not two, infinite where there is no path. `truth_id` ascends, [P] as `truth_hits`. O(N log N + E), and
/// O(E) more a particle with a gap, at worst. On the CPU.
inline std::vector<ParticleSegments> particle_segments(Tensor const& edge_index, Tensor const& particle_id, Tensor const& truth_id,
                                                       Tensor const& truth_hits, Tensor const& chosen) {
  auto const n = particle_id.size(0);
  auto const ids = particle_id.to(at::kCPU).contiguous(), rows = truth_id.to(at::kCPU).contiguous(),
             counts = truth_hits.to(at::kCPU).contiguous(), wanted = chosen.to(at::kCPU).contiguous();
  auto const edges = edge_index.to(at::kCPU).contiguous();
  auto const* id = ids.const_data_ptr<std::int64_t>();
  auto const* source = edges.const_data_ptr<std::int64_t>();
  auto const* target = source + edges.size(1);
  auto const whole = component_labels(edges, n).contiguous();  // checks the edges too
  auto const* component = whole.const_data_ptr<std::int64_t>();

  UnionFind segments(n);
  std::vector<std::int64_t> first(std::size_t(n) + 1, 0), neighbour(std::size_t(2 * edges.size(1)));  // of each hit, in compressed rows
  for (std::int64_t e = 0; e < edges.size(1); ++e) {
    if (id[source[e]] == id[target[e]] && id[source[e]] > 0) segments.unite(std::int32_t(source[e]), std::int32_t(target[e]));
    ++first[std::size_t(source[e]) + 1], ++first[std::size_t(target[e]) + 1];
  }
  for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  auto next = first;
  for (std::int64_t e = 0; e < edges.size(1); ++e)
    neighbour[std::size_t(next[std::size_t(source[e])]++)] = target[e], neighbour[std::size_t(next[std::size_t(target[e])]++)] = source[e];

  std::vector<std::int64_t> seen(std::size_t(n), -1);  // the particle whose search has been here
  auto const gap = [&](std::int64_t particle, std::vector<std::int64_t> front, std::int32_t other) {
    for (auto const hit : front) seen[std::size_t(hit)] = particle;
    for (double steps = 1; !front.empty(); ++steps) {
      std::vector<std::int64_t> further;
      for (auto const hit : front)
        for (auto at = first[std::size_t(hit)]; at < first[std::size_t(hit) + 1]; ++at) {
          auto const to = neighbour[std::size_t(at)];
          if (segments.find(std::int32_t(to)) == other) return steps;
          if (std::exchange(seen[std::size_t(to)], particle) != particle) further.push_back(to);
        }
      front = std::move(further);
    }
    return std::numeric_limits<double>::infinity();
  };

  std::vector<std::pair<std::int64_t, std::int64_t>> hits;  // particle's id, hit
  for (std::int64_t i = 0; i < n; ++i)
    if (id[i] > 0) hits.emplace_back(id[i], i);
  std::sort(hits.begin(), hits.end());
  std::vector<ParticleSegments> out;
  auto at = hits.begin();
  for (std::int64_t p = 0; p < rows.size(0); ++p) {
    auto const particle = rows.const_data_ptr<std::int64_t>()[p];
    while (at != hits.end() && at->first < particle) ++at;
    auto end = at;
    while (end != hits.end() && end->first == particle) ++end;
    if (wanted.const_data_ptr<bool>()[p]) {
      std::map<std::int32_t, std::vector<std::int64_t>> its_segments;  // by their first hit
      std::map<std::int64_t, std::int64_t> its_components;
      for (auto h = at; h != end; ++h)
        its_segments[segments.find(std::int32_t(h->second))].push_back(h->second), ++its_components[component[h->second]];
      ParticleSegments found{p, counts.const_data_ptr<std::int64_t>()[p], std::int64_t(its_segments.size()), 0, 0, 0};
      for (auto const& [c, in_it] : its_components) found.component_hits = std::max(found.component_hits, in_it);
      std::vector<std::tuple<std::int64_t, std::int32_t>> by_size;
      for (auto const& [root, in_it] : its_segments) by_size.emplace_back(-std::int64_t(in_it.size()), root);
      std::sort(by_size.begin(), by_size.end());
      if (!by_size.empty()) found.largest = -std::get<0>(by_size[0]);
      if (by_size.size() > 1) {
        auto const one = std::get<1>(by_size[0]), other = std::get<1>(by_size[1]);
        found.gap = component[one] == component[other] ? gap(p, its_segments[one], other) : std::numeric_limits<double>::infinity();
      }
      out.push_back(found);
    }
    at = end;
  }
  return out;
}

/// How much of each particle of interest (reconstructable, pt > pt_min_gev, |η| < eta_max) a graph keeps together. arXiv:2309.16754.
///
/// See `particle_segments`. Shares of these particles: `at_least_half`, `at_least_three_quarters`, `whole` have ≥ ½, ≥ ¾, all of their hits in
/// one segment, `more_than_half`, `more_than_three_quarters` > ½, > ¾; `component_….` the same for their hits in one component of the whole
/// graph. Means over them: `largest` and `component` (shares of hits), `segments`, and `gap` over those with two segments and a path between
/// them; `no_path` = share of those with two segments that have none. `particles`. NaN where there is nothing to divide by.
struct SegmentMetrics {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "particles of interest have a larger pt"),
                              DEW_OPTION(eta_max, "", "particles of interest have a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "segments";
  using Reads = Keys<EdgeIndex, ParticleId, TruthId, TruthPt, TruthEta, TruthHits, TruthReconstructable>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const fast = at::logical_and(event[key::truth_pt] > options.pt_min_gev, event[key::truth_eta].abs() < options.eta_max);
    auto const found = particle_segments(event[key::edge_index], event[key::particle_id], event[key::truth_id], event[key::truth_hits],
                                         at::logical_and(event[key::truth_reconstructable], fast));
    Figures figures;
    auto const n = double(found.size());
    auto const share = [&](char const* figure, auto const& counts) {
      figures.emplace_back(figure, detail::ratio(double(std::count_if(found.begin(), found.end(), counts)), n));
    };
    share("at_least_half", [](auto const& p) { return 2 * p.largest >= p.hits; });
    share("at_least_three_quarters", [](auto const& p) { return 4 * p.largest >= 3 * p.hits; });
    share("whole", [](auto const& p) { return p.largest == p.hits; });
    share("more_than_half", [](auto const& p) { return 2 * p.largest > p.hits; });
    share("more_than_three_quarters", [](auto const& p) { return 4 * p.largest > 3 * p.hits; });
    share("component_at_least_half", [](auto const& p) { return 2 * p.component_hits >= p.hits; });
    share("component_at_least_three_quarters", [](auto const& p) { return 4 * p.component_hits >= 3 * p.hits; });
    share("component_whole", [](auto const& p) { return p.component_hits == p.hits; });
    double largest = 0, component = 0, segments = 0, gaps = 0, gap = 0, no_path = 0;
    for (auto const& p : found) {
      largest += double(p.largest) / double(p.hits), component += double(p.component_hits) / double(p.hits), segments += double(p.segments);
      if (p.segments < 2) continue;
      ++gaps;
      if (std::isinf(p.gap)) ++no_path;
      else gap += p.gap;
    }
    figures.emplace_back("largest", detail::ratio(largest, n));
    figures.emplace_back("component", detail::ratio(component, n));
    figures.emplace_back("segments", detail::ratio(segments, n));
    figures.emplace_back("gap", detail::ratio(gap, gaps - no_path));
    figures.emplace_back("no_path", detail::ratio(no_path, gaps));
    figures.emplace_back("particles", n);
    return figures;
  }

  bool operator==(SegmentMetrics const&) const = default;
};
static_assert(Metric<SegmentMetrics>);

}  // namespace dew
