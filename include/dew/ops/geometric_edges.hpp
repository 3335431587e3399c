// SPDX-License-Identifier: BSL-1.0
// Edges between hits on neighbouring layers that a track from the beam line could join: GeometricGraph's kernel and its plain reference.
// N hits, E edges in one direction. Lengths in mm, angles in rad.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"
#include "dew/geometry/geometry.hpp"

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

/// A hit in cylindrical coordinates.
struct Cylindrical { double r, phi, z, eta; };

inline std::vector<Cylindrical> cylindrical_hits(Tensor const& position) {
  auto const xyz = position.to(at::kCPU, at::kDouble).contiguous();
  auto const* p = xyz.const_data_ptr<double>();
  std::vector<Cylindrical> hits(std::size_t(xyz.size(0)));
  for (std::size_t i = 0; i < hits.size(); ++i) {
    double const x = p[3 * i], y = p[3 * i + 1], z = p[3 * i + 2], r = std::sqrt(x * x + y * y);
    check(std::isfinite(r) && std::isfinite(z), "geometric edges: the position of hit {} is not finite", i);
    hits[i] = {r, std::atan2(y, x), z, -std::log(std::tan(0.5 * std::atan2(r, z)))};
  }
  return hits;
}

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

/// The hits of one layer in bins of the coordinate in which it is long (z for a barrel, r for an endcap), sorted by φ within a bin.
struct BinnedLayer {
  struct Bin {
    double r_low, r_high, z_low, z_high;  // the box that its hits fill
    std::size_t begin, end;
  };
  std::vector<Bin> bins;
  std::vector<double> phi;  // of the hits in the order of `hit`
  std::vector<std::int32_t> hit;

  BinnedLayer(std::vector<std::int32_t> of_layer, std::span<Cylindrical const> hits) : hit(std::move(of_layer)) {
    if (hit.empty()) return;
    auto const [r0, r1] = std::minmax_element(hit.begin(), hit.end(), [&](auto i, auto j) { return hits[i].r < hits[j].r; });
    auto const [z0, z1] = std::minmax_element(hit.begin(), hit.end(), [&](auto i, auto j) { return hits[i].z < hits[j].z; });
    bool const along_z = hits[*z1].z - hits[*z0].z > hits[*r1].r - hits[*r0].r;
    auto const along = [&](std::int32_t i) { return along_z ? hits[i].z : hits[i].r; };
    auto const by_phi = [&](std::int32_t i, std::int32_t j) { return hits[i].phi != hits[j].phi ? hits[i].phi < hits[j].phi : i < j; };
    // equal numbers of hits a bin: dense regions get narrow bins
    std::sort(hit.begin(), hit.end(), [&](auto i, auto j) { return along(i) != along(j) ? along(i) < along(j) : i < j; });
    std::size_t const count = std::clamp<std::size_t>(hit.size() / 64, 1, 64);
    for (std::size_t b = 0; b < count; ++b) {
      Bin bin{1e300, -1e300, 1e300, -1e300, hit.size() * b / count, hit.size() * (b + 1) / count};
      for (auto k = bin.begin; k < bin.end; ++k) {
        auto const& h = hits[hit[k]];
        bin.r_low = std::min(bin.r_low, h.r), bin.r_high = std::max(bin.r_high, h.r);
        bin.z_low = std::min(bin.z_low, h.z), bin.z_high = std::max(bin.z_high, h.z);
      }
      std::sort(hit.begin() + std::ptrdiff_t(bin.begin), hit.begin() + std::ptrdiff_t(bin.end), by_phi);
      bins.push_back(bin);
    }
    for (auto i : hit) phi.push_back(hits[i].phi);
  }
};

/// Whether a point of the box may pass the z₀ cut with hit a. With s = sign(Δr) the cut reads ±(z₁r₂ − r₁z₂) < z₀max·s·(r₂ − r₁): linear in
/// (r₂, z₂), so that its smallest value in the box is at a corner. May say yes too often, never no.
inline bool box_may_pass_z0(Cylindrical const& a, BinnedLayer::Bin const& box, double z0_max) {
  if (!std::isfinite(z0_max)) return true;
  auto const side = [&](double r_low, double r_high, double s) {
    if (r_low > r_high) return false;
    auto const least = [&](double sign, double z) {  // over r₂, of sign·(z₁r₂ − r₁z) − z₀max·s·(r₂ − r₁)
      auto const value = [&](double r) { return sign * (a.z * r - a.r * z) - z0_max * s * (r - a.r); };
      return std::min(value(r_low), value(r_high));
    };
    double const slack = 1e-9 * (std::abs(a.z) + a.r + z0_max + 1) * (box.r_high + std::abs(box.z_low) + std::abs(box.z_high) + a.r + 1);
    return least(1, box.z_high) < slack && least(-1, box.z_low) < slack;
  };
  return side(std::max(box.r_low, a.r), box.r_high, 1) || side(box.r_low, std::min(box.r_high, a.r), -1);
}

/// Calls `visit(hit)` for every hit of the layer that may pass the cuts with a.
template <class Visit>
void visit_candidates(Cylindrical const& a, BinnedLayer const& layer, GeometricCuts const& cuts, Visit&& visit) {
  constexpr double pi = std::numbers::pi;
  for (auto const& bin : layer.bins) {
    if (!box_may_pass_z0(a, bin, cuts.z0_max_mm)) continue;
    double const reach =
        std::min(cuts.phi_slope_max * std::max(std::abs(bin.r_low - a.r), std::abs(bin.r_high - a.r)), cuts.dr_max) * (1 + 1e-9) + 1e-9;
    auto const range = [&](double low, double high) {
      auto const first = layer.phi.begin() + std::ptrdiff_t(bin.begin), last = layer.phi.begin() + std::ptrdiff_t(bin.end);
      for (auto at = std::lower_bound(first, last, low); at != last && *at <= high; ++at)
        visit(layer.hit[std::size_t(at - layer.phi.begin())]);
    };
    if (!(reach < pi)) range(-4, 4);
    else {
      range(a.phi - reach, a.phi + reach);
      if (a.phi - reach < -pi) range(a.phi - reach + 2 * pi, 4);
      if (a.phi + reach > pi) range(-4, a.phi + reach - 2 * pi);
    }
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

/// Features of the edges (sources[k], targets[k]), and of their reverses behind them.
template <class T>
void write_edges(std::span<Cylindrical const> hits, std::int32_t const* pair, std::int64_t count, std::int64_t first, std::int64_t edges,
                 bool undirected, std::int64_t* index, T* features) {
  auto const rows = undirected ? 2 * edges : edges;
  for (std::int64_t k = 0, e = first; k < count; ++k, ++e) {
    auto const i = pair[2 * k], j = pair[2 * k + 1];
    auto const& a = hits[std::size_t(i)];
    auto const& b = hits[std::size_t(j)];
    double const dphi = wrapped(b.phi - a.phi), deta = b.eta - a.eta;
    double const row[] = {(b.r - a.r) / 1000, dphi / std::numbers::pi, (b.z - a.z) / 1000, std::sqrt(deta * deta + dphi * dphi)};
    index[e] = i, index[rows + e] = j;
    for (int c = 0; c < 4; ++c) features[4 * e + c] = T(row[c]);
    if (!undirected) continue;
    index[edges + e] = j, index[rows + edges + e] = i;
    for (int c = 0; c < 4; ++c) features[4 * (edges + e) + c] = T(c < 3 ? -row[c] : row[c]);
  }
}
}  // namespace detail

/// The edges between hits at `position` [N, 3] on `layer` [N] that pass the cuts, for the given pairs of layers.
///
/// With 1 on the inner and 2 on the outer layer, Δφ wrapped into [−π, π]: |Δφ/Δr| < phi_slope_max, |z₁ − r₁·Δz/Δr| < z0_max_mm and
/// √(Δη² + Δφ²) < dr_max; a pair with a crossing radius R also drops edges with |z₀ + R·Δz/Δr| < crossing_z_mm. Hits on layers that no pair
/// names have no edges.
///
/// Order: by (source, target). `undirected`: all edges, then all reverses in the same order, their first three features negated.
/// Computed in double. A layer is cut into bins of equal occupancy along z or r, sorted by φ inside; for a hit only the bins that the z₀
/// cut allows are searched, and there only the φ window that phi_slope_max·|Δr| allows: time and memory grow with the edges kept, never
/// with N². Threads by ATen's pool, same bits for any number of them. On the CPU: tensors on another device are moved there and back.
/// Throws `Error` on wrong shapes, a position that is not finite or a negative cut.
inline GeometricEdges geometric_edges(Tensor const& position, Tensor const& layer, std::span<LayerPair const> pairs,
                                      GeometricCuts const& cuts, bool undirected) {
  detail::check_geometric_input(position, layer, pairs, cuts);
  auto const hits = detail::cylindrical_hits(position);
  auto const on = layer.to(at::kCPU).contiguous();
  auto const* layer_of = on.const_data_ptr<std::int64_t>();
  auto const n = std::int64_t(hits.size());

  std::int64_t layers = 0;
  for (auto const& pair : pairs) layers = std::max({layers, pair.inner + 1, pair.outer + 1});
  std::vector<std::vector<std::int32_t>> members(static_cast<std::size_t>(layers));
  for (std::int64_t i = 0; i < n; ++i)
    if (layer_of[i] >= 0 && layer_of[i] < layers) members[std::size_t(layer_of[i])].push_back(std::int32_t(i));
  std::vector<detail::BinnedLayer> binned;
  for (auto& m : members) binned.emplace_back(std::move(m), std::span(hits));
  std::vector<std::vector<LayerPair>> from(static_cast<std::size_t>(layers));
  for (auto const& pair : pairs) from[std::size_t(pair.inner)].push_back(pair);

  // Chunks of sources of a fixed size, each with its own list of (source, target): no thread sees another's, and their order is that of the
  // sources.
  constexpr std::int64_t chunk_size = 256;
  auto const chunks = (n + chunk_size - 1) / chunk_size;
  std::vector<std::vector<std::int32_t>> found(static_cast<std::size_t>(chunks));
  at::parallel_for(0, chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto c = begin; c < end; ++c) {
      auto& list = found[std::size_t(c)];
      std::vector<std::int32_t> targets;
      for (auto i = c * chunk_size; i < std::min(n, (c + 1) * chunk_size); ++i) {
        if (layer_of[i] < 0 || layer_of[i] >= layers) continue;
        targets.clear();
        auto const& a = hits[std::size_t(i)];
        for (auto const& pair : from[std::size_t(layer_of[i])])
          detail::visit_candidates(a, binned[std::size_t(pair.outer)], cuts, [&](std::int32_t j) {
            if (detail::passes(a, hits[std::size_t(j)], cuts, pair)) targets.push_back(j);
          });
        std::sort(targets.begin(), targets.end());
        for (auto j : targets) list.push_back(std::int32_t(i)), list.push_back(j);
      }
      list.shrink_to_fit();
    }
  });

  std::vector<std::int64_t> first{0};
  for (auto const& list : found) first.push_back(first.back() + std::int64_t(list.size() / 2));
  auto const edges = first.back(), rows = undirected ? 2 * edges : edges;
  GeometricEdges out{at::empty({2, rows}, at::kLong),
                     at::empty({rows, 4}, position.scalar_type() == at::kDouble ? at::kDouble : at::kFloat)};
  auto* index = out.edge_index.mutable_data_ptr<std::int64_t>();
  at::parallel_for(0, chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto c = begin; c < end; ++c) {
      auto& list = found[std::size_t(c)];
      auto const write = [&](auto* features) {
        detail::write_edges(std::span(hits), list.data(), std::int64_t(list.size() / 2), first[std::size_t(c)], edges, undirected, index,
                            features);
      };
      if (out.features.scalar_type() == at::kDouble) write(out.features.mutable_data_ptr<double>());
      else write(out.features.mutable_data_ptr<float>());
      std::vector<std::int32_t>().swap(list);
    }
  });
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
