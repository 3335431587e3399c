// SPDX-License-Identifier: BSL-1.0
// Edges between hits on neighbouring layers that a track from the beam line could join: GeometricGraph's kernel and its plain reference.
// N hits, E edges in one direction. Lengths in mm, angles in rad.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/simd.hpp"
#include "dew/core/task_queue.hpp"
#include "dew/core/torch.hpp"
#include "dew/geometry/geometry.hpp"
#include "dew/ops/binned_layer.hpp"
#include "dew/ops/sorted_set.hpp"

namespace dew {

/// The cuts on an edge, all strict.
struct GeometricCuts {
  double phi_slope_max = 0.005;  ///< rad/mm, on |Δφ/Δr|
  double z0_max_mm = 200;        ///< on |z₁ − r₁·Δz/Δr|
  double dr_max = 1.7;           ///< on √(Δη² + Δφ²)
};

/// Edges and what is known of each.
struct GeometricEdges {
  Tensor edge_index;  // [2, E or 2E] int64
  Tensor features;    // [E or 2E, 4] Δr/1000, Δφ/π, Δz/1000, ΔR, in the positions' dtype
};

namespace detail {

inline double wrapped(double dphi) {
  constexpr double pi = std::numbers::pi;
  return dphi > pi ? dphi - 2 * pi : dphi < -pi ? dphi + 2 * pi : dphi;
}

/// The definition of the graph. Written so that a comparison with NaN (Δr = 0) keeps nothing.
inline bool passes(Cylindrical const& a, Cylindrical const& b, GeometricCuts const& cuts, LayerPair const& pair) {
  double const dr = b.r - a.r, dphi = wrapped(b.phi - a.phi);
  if (!(std::abs(dphi / dr) < cuts.phi_slope_max)) return false;
  double const slope = (b.z - a.z) / dr, z0 = a.z - a.r * slope;
  if (!(std::abs(z0) < cuts.z0_max_mm)) return false;
  double const deta = b.eta - a.eta;
  if (!(std::sqrt(deta * deta + dphi * dphi) < cuts.dr_max)) return false;
  return !(pair.crossing_r_mm > 0 && std::abs(z0 + pair.crossing_r_mm * slope) < pair.crossing_z_mm);
}

/// The cuts in float, without divisions: each as a margin that has to be positive, and how much of it may be rounding. What they are not sure
/// of is left to `passes`.
class EdgeFilter {
 public:
  EdgeFilter(std::span<Cylindrical const> hits, GeometricCuts const& cuts) {
    double const slope = std::min(cuts.phi_slope_max, most), z0 = std::min(cuts.z0_max_mm, most), dr = std::min(cuts.dr_max, most);
    double eta = 0;
    for (auto const& h : hits) {
      r_ = std::max(r_, h.r), z_ = std::max(z_, std::abs(h.z));
      if (std::isfinite(h.eta)) eta = std::max(eta, std::abs(h.eta));
    }
    slope_max_ = float(slope), z0_max_ = float(z0), dr2_max_ = float(dr * dr);
    slope_slack_ = float(6e-6 + 16 * unit * r_ * slope);
    z0_slack_ = float(32 * unit * r_ * (z_ + z0));
    dr_slack_ = float(2e-4 + 64 * unit * eta * eta + 8 * unit * dr * dr);
  }
  /// Whether numbers are so large that float could overflow: then it must not be asked.
  bool overflows() const { return r_ > 1e9 || z_ > 1e9; }
  void set_pair(LayerPair const& pair) {
    bool const crossing = pair.crossing_r_mm > 0;
    crossing_r_ = crossing ? float(pair.crossing_r_mm) : 0;
    crossing_z_ = crossing ? float(pair.crossing_z_mm) : 0;
    crossing_bonus_ = crossing ? 0 : 1e30F;
    crossing_slack_ = float(64 * unit * (crossing_r_ + r_) * (z_ + crossing_z_));
  }

  /// Of `BinnedLayer::block` hits from `place` on: bits of those that may pass the cuts with hit a, turned by `turn` in φ, and of those that
  /// surely do.
  struct Found { std::uint32_t maybe, surely; };
  DEW_SIMD Found operator()(Cylindrical const& a, double turn, BinnedLayer const& layer, std::size_t place) const {
    auto const ar = float(a.r), az = float(a.z), aphi = float(a.phi + turn), aeta = float(a.eta), to_crossing = crossing_r_ - ar;
    auto const *const r = &layer.r[place], *const phi = &layer.phi[place], *const z = &layer.z[place], *const eta = &layer.eta[place];
    std::uint32_t maybe = 0, surely = 0;
#pragma omp simd reduction(| : maybe, surely)
    for (int k = 0; k < int(BinnedLayer::block); ++k) {
      float const dr = r[k] - ar, gap = std::abs(dr), dphi = phi[k] - aphi, dz = z[k] - az, deta = eta[k] - aeta;
      float const slope = slope_max_ * gap - std::abs(dphi);
      float const at_beam = z0_max_ * gap - std::abs(az * r[k] - ar * z[k]);
      float const distance = dr2_max_ - (deta * deta + dphi * dphi);
      float const crossing = std::abs(az * dr + to_crossing * dz) - crossing_z_ * gap + crossing_bonus_;
      bool const may = (slope > -slope_slack_) & (at_beam > -z0_slack_) & (distance > -dr_slack_) & (crossing > -crossing_slack_);
      bool const sure = (slope > slope_slack_) & (at_beam > z0_slack_) & (distance > dr_slack_) & (crossing > crossing_slack_);
      maybe |= std::uint32_t(may) << k, surely |= std::uint32_t(sure) << k;
    }
    return {maybe, surely};
  }

 private:
  static constexpr double unit = 0x1p-24, most = 1e15;  // half of a float's last bit; a cut that cuts nothing
  double r_ = 0, z_ = 0;                                // the largest of all hits
  float slope_max_, z0_max_, dr2_max_, slope_slack_, z0_slack_, dr_slack_, crossing_slack_ = 0, crossing_r_ = 0, crossing_z_ = 0,
                                                                           crossing_bonus_ = 0;
};

/// Calls `visit(hit)` for every hit of the layer that passes the cuts with a, in any order.
template <class Visit>
void visit_partners(Cylindrical const& a, BinnedLayer const& layer, std::span<Cylindrical const> hits, GeometricCuts const& cuts,
                    LayerPair const& pair, EdgeFilter const& filter, Visit&& visit) {
  constexpr double pi = std::numbers::pi;
  std::array<double, BinnedLayer::most_bins> reach;
  auto const& [r_low, r_high, z_low, z_high] = layer.box;
  auto const limited = [](double cut) { return std::min(cut, 1e200); };  // finite, and cuts nothing
  phi_reaches(a, r_low.data(), r_high.data(), z_low.data(), z_high.data(), r_low.size(), limited(cuts.phi_slope_max),
              limited(cuts.z0_max_mm), limited(cuts.dr_max), reach.data());
  bool const only_exact = filter.overflows();
  for (std::size_t b = 0; b < layer.bins.size(); ++b) {
    if (reach[b] < 0) continue;
    auto const look_at = [&](double turn) {  // at hits within reach of a turned
      auto const [begin, end] = layer.places(layer.bins[b], a.phi + turn - reach[b], a.phi + turn + reach[b]);
      for (auto place = begin; place < end; place += BinnedLayer::block) {
        auto const there = end - place < BinnedLayer::block ? (1U << (end - place)) - 1 : (1U << BinnedLayer::block) - 1;
        auto [maybe, surely] = only_exact ? EdgeFilter::Found{there, 0} : filter(a, turn, layer, place);
        for (maybe &= there; maybe != 0; maybe &= maybe - 1) {
          auto const k = std::countr_zero(maybe);
          auto const j = layer.hit[place + std::size_t(k)];
          if ((surely >> k & 1) != 0 || passes(a, hits[std::size_t(j)], cuts, pair)) visit(j);
        }
      }
    };
    look_at(0);
    if (a.phi - reach[b] < -pi) look_at(2 * pi);
    if (a.phi + reach[b] > pi) look_at(-2 * pi);
  }
}

inline void check_geometric_input(Tensor const& position, Tensor const& layer, std::span<LayerPair const> pairs,
                                  GeometricCuts const& cuts) {
  check(position.defined() && position.dim() == 2 && position.size(1) == 3 && position.is_floating_point(),
        "geometric edges: expected positions [N, 3], got {}", shape_text(position));
  check(layer.defined() && layer.dim() == 1 && layer.size(0) == position.size(0) && layer.scalar_type() == at::kLong,
        "geometric edges: expected {} integer layers, got {}", position.size(0), shape_text(layer));
  check(position.size(0) <= INT32_MAX, "geometric edges: expected at most {} hits, got {}", INT32_MAX, position.size(0));
  for (auto const& pair : pairs)
    check(pair.inner >= 0 && pair.outer >= 0, "geometric edges: the layer pair ({}, {}) is negative", pair.inner, pair.outer);
  check(cuts.phi_slope_max >= 0 && cuts.z0_max_mm >= 0 && cuts.dr_max >= 0, ErrorKind::usage,
        "geometric edges: expected cuts ≥ 0, got phi_slope_max = {}, z0_max_mm = {}, dr_max = {}", cuts.phi_slope_max, cuts.z0_max_mm,
        cuts.dr_max);
}

/// Where edges are written: E of them, then, if `undirected`, their E reverses.
template <class T>
struct EdgeRows {
  std::int64_t edges;
  bool undirected;
  std::int64_t* index;
  T* features;

  /// The edges e, e + 1, … from hit i to the targets.
  void write(std::span<Cylindrical const> hits, std::int64_t e, std::int64_t i, std::span<std::int32_t const> targets) const {
    auto const a = hits[std::size_t(i)];
    auto *const source = index, *const target = index + (undirected ? 2 * edges : edges);
    for (auto const j : targets) {
      auto const& b = hits[std::size_t(j)];
      double const dphi = wrapped(b.phi - a.phi), deta = b.eta - a.eta;
      auto const dr_m = T((b.r - a.r) * 1e-3), turns = T(dphi * std::numbers::inv_pi), dz_m = T((b.z - a.z) * 1e-3);
      auto const distance = T(std::sqrt(deta * deta + dphi * dphi));
      source[e] = i, target[e] = j;
      T* row = features + 4 * e;
      row[0] = dr_m, row[1] = turns, row[2] = dz_m, row[3] = distance;
      if (undirected) {
        source[edges + e] = j, target[edges + e] = i;
        row += 4 * edges;
        row[0] = -dr_m, row[1] = -turns, row[2] = -dz_m, row[3] = distance;
      }
      ++e;
    }
  }
};
}  // namespace detail

/// The edges between hits at `position` [N, 3] on `layer` [N] that pass the cuts, for the given pairs of layers.
///
/// With 1 on the inner and 2 on the outer layer, Δφ wrapped into [−π, π]: |Δφ/Δr| < phi_slope_max, |z₁ − r₁·Δz/Δr| < z0_max_mm and
/// √(Δη² + Δφ²) < dr_max; a pair with a crossing radius R also drops edges with |z₀ + R·Δz/Δr| < crossing_z_mm. Hits on layers that no pair
/// names have no edges.
///
/// Order: by (source, target). `undirected`: all edges, then all reverses in the same order, their first three features negated.
/// Computed in double. A layer is cut into bins of equal occupancy along z or r, and these into cells of φ; for a hit only the bins that the
/// z₀ cut allows are searched, and there only the φ window that phi_slope_max·|Δr| allows: memory grows with the edges kept, time with
/// these and the other hits of such windows. Some 10 ns an edge. What is near is told in float, and again in double where that is not sure.
/// Threads by ATen's pool, same bits for any number of them. On the CPU: tensors on another device are moved there and back.
/// Throws `Error` on wrong shapes, a position that is not finite or a negative cut.
inline GeometricEdges geometric_edges(Tensor const& position, Tensor const& layer, std::span<LayerPair const> pairs,
                                      GeometricCuts const& cuts, bool undirected) {
  detail::check_geometric_input(position, layer, pairs, cuts);
  auto const coordinates = detail::cylindrical_hits(position);
  std::span const hits(coordinates);
  auto const on = layer.to(at::kCPU).contiguous();
  auto const* layer_of = on.const_data_ptr<std::int64_t>();
  auto const n = std::int64_t(hits.size());

  std::int64_t layers = 0;
  for (auto const& pair : pairs) layers = std::max({layers, pair.inner + 1, pair.outer + 1});
  std::vector<std::vector<std::int32_t>> members(static_cast<std::size_t>(layers));
  for (std::int64_t i = 0; i < n; ++i)
    if (layer_of[i] >= 0 && layer_of[i] < layers) members[std::size_t(layer_of[i])].push_back(std::int32_t(i));
  std::vector binned(static_cast<std::size_t>(layers), detail::BinnedLayer({}, hits));
  share_tasks(layers, [&](TaskQueue& tasks) {
    while (auto const l = tasks.take()) binned[std::size_t(l->number)] = detail::BinnedLayer(members[std::size_t(l->number)], hits);
  });
  struct Way {
    LayerPair pair;
    detail::EdgeFilter filter;
  };
  detail::EdgeFilter filter(hits, cuts);
  std::vector<std::vector<Way>> from(static_cast<std::size_t>(layers));
  for (auto const& pair : pairs) {
    filter.set_pair(pair);
    from[std::size_t(pair.inner)].push_back({pair, filter});
  }

  // Chunks of sources of a fixed size, each with its own lists: no thread sees another's, and their order is that of the sources.
  constexpr std::int64_t chunk_size = 256;
  struct Chunk {
    std::vector<std::int32_t> targets;                    // of all its sources
    std::array<std::int32_t, chunk_size> count_behind{};  // targets up to and with each source
    std::int64_t first = 0;                               // edge
  };
  std::vector<Chunk> chunks(std::size_t(TaskQueue::count(n, chunk_size)));
  share_tasks(n, chunk_size, [&](TaskQueue& tasks) {
    detail::SortedSet partners(n);
    while (auto const c = tasks.take()) {
      auto& [targets, count_behind, _] = chunks[std::size_t(c->number)];
      for (auto i = c->begin; i < c->end; ++i) {
        if (layer_of[i] >= 0 && layer_of[i] < layers)
          for (auto const& [pair, of_pair] : from[std::size_t(layer_of[i])])
            detail::visit_partners(hits[std::size_t(i)], binned[std::size_t(pair.outer)], hits, cuts, pair, of_pair,
                                   [&](std::int32_t j) { partners.insert(j); });
        partners.take([&](std::int32_t j) { targets.push_back(j); });
        count_behind[std::size_t(i - c->begin)] = std::int32_t(targets.size());
      }
    }
  });

  std::int64_t edges = 0;
  for (auto& chunk : chunks) edges += std::int64_t(chunk.targets.size()), chunk.first = edges - std::int64_t(chunk.targets.size());
  auto const rows = undirected ? 2 * edges : edges;
  GeometricEdges out{at::empty({2, rows}, at::kLong),
                     at::empty({rows, 4}, position.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)};
  auto const write = [&]<class T>(T*) {
    detail::EdgeRows<T> const to{edges, undirected, out.edge_index.mutable_data_ptr<std::int64_t>(), out.features.mutable_data_ptr<T>()};
    share_tasks(n, chunk_size, [&](TaskQueue& tasks) {
      while (auto const c = tasks.take()) {
        auto const& chunk = chunks[std::size_t(c->number)];
        std::int32_t behind = 0;
        for (auto i = c->begin; i < c->end; ++i) {
          auto const before = std::exchange(behind, chunk.count_behind[std::size_t(i - c->begin)]);
          to.write(hits, chunk.first + before, i, std::span(chunk.targets).subspan(std::size_t(before), std::size_t(behind - before)));
        }
      }
    });
  };
  if (out.features.scalar_type() == at::kDouble) write(static_cast<double*>(nullptr));
  else write(static_cast<float*>(nullptr));
  return {out.edge_index.to(position.device()), out.features.to(position.device())};
}

/// The plain reference of `geometric_edges`: all pairs of hits, in torch operations on any device. O(N²) in time and memory; for tests.
inline GeometricEdges geometric_edges_reference(Tensor const& position, Tensor const& layer, std::span<LayerPair const> pairs,
                                                GeometricCuts const& cuts, bool undirected) {
  detail::check_geometric_input(position, layer, pairs, cuts);
  auto const p = position.to(at::kDouble);
  auto const x = p.select(1, 0), y = p.select(1, 1), z = p.select(1, 2);
  auto const r = at::sqrt(x * x + y * y), phi = at::atan2(y, x), half = at::atan2(r, z) / 2, eta = -at::log(at::sin(half) / at::cos(half));
  auto const difference = [](Tensor const& t) { return t.unsqueeze(0) - t.unsqueeze(1); };  // [source, target]
  auto const dr = difference(r), dz = difference(z), deta = difference(eta);
  auto dphi = difference(phi);
  constexpr double pi = std::numbers::pi;
  dphi = at::where(dphi > pi, dphi - 2 * pi, at::where(dphi < -pi, dphi + 2 * pi, dphi));
  auto const slope = dz / dr, z0 = z.unsqueeze(1) - r.unsqueeze(1) * slope, distance = at::sqrt(deta * deta + dphi * dphi);
  auto const near =
      at::logical_and(at::logical_and(at::abs(dphi / dr) < cuts.phi_slope_max, at::abs(z0) < cuts.z0_max_mm), distance < cuts.dr_max);
  auto kept = at::zeros_like(near);
  for (auto const& pair : pairs) {
    auto joined = at::logical_and((layer == pair.inner).unsqueeze(1), (layer == pair.outer).unsqueeze(0));
    if (pair.crossing_r_mm > 0)
      joined = at::logical_and(joined, at::logical_not(at::abs(z0 + pair.crossing_r_mm * slope) < pair.crossing_z_mm));
    kept = at::logical_or(kept, at::logical_and(near, joined));
  }
  auto edge_index = kept.nonzero().t().contiguous();
  auto const flat = edge_index[0] * p.size(0) + edge_index[1];
  auto const of = [&](Tensor const& t) { return t.reshape(-1).index_select(0, flat); };
  auto features = at::stack({of(dr) / 1000, of(dphi) / pi, of(dz) / 1000, of(distance)}, 1);
  if (undirected) {
    edge_index = at::cat({edge_index, edge_index.flip(0)}, 1);
    features = at::cat({features, features * at::tensor({-1., -1., -1., 1.}, features.options())});
  }
  return {edge_index, features.to(position.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)};
}

}  // namespace dew
