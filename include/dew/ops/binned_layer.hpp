// SPDX-License-Identifier: BSL-1.0
// The hits of a layer, found by where a line from the beam line meets it. Lengths in mm, angles in rad.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/simd.hpp"
#include "dew/core/torch.hpp"
#include "dew/geometry/features.hpp"

namespace dew::detail {

/// A hit in cylindrical coordinates.
struct Cylindrical { double r, phi, z, eta; };

inline std::vector<Cylindrical> cylindrical_hits(Tensor const& position) {
  auto const xyz = position.to(at::kCPU, at::kDouble).contiguous();
  auto const* p = xyz.const_data_ptr<double>();
  std::vector<Cylindrical> hits(std::size_t(xyz.size(0)));
  constexpr auto size = std::int64_t(FeatureBlock::size);
  at::parallel_for(0, (xyz.size(0) + size - 1) / size, 8, [&](std::int64_t begin, std::int64_t end) {
    for (auto at = begin * size; at < std::min(end * size, xyz.size(0)); at += size)
      visit_features(p + 3 * at, std::size_t(std::min(size, xyz.size(0) - at)), [&](std::size_t k, FeatureBlock const& b) {
        auto const i = std::size_t(at) + k;
        check(std::isfinite(b.r[k]) && std::isfinite(b.z[k]), "geometric edges: the position of hit {} is not finite", i);
        bool const on_beam_line = b.r[k] == 0;
        hits[i] = {b.r[k], b.phi[k], b.z[k], on_beam_line ? std::numeric_limits<double>::infinity() : b.eta[k]};
      });
  });
  return hits;
}

/// The hits of one layer in bins of the coordinate in which it is long (z for a barrel, r for an endcap), by cells of φ within a bin.
class BinnedLayer {
 public:
  static constexpr std::size_t block = 16;  ///< hits that are looked at together
  /// A vector of doubles of AVX-512. Passing over more and narrower bins costs more than it saves (measured up to 80,000 hits a layer, z₀
  /// cuts of 1 to 200 mm): few hits of one are within reach, which leaves most of a block empty.
  static constexpr std::size_t most_bins = 8;
  struct Bin {
    std::size_t begin, end;  // of its hits
    std::size_t first_cell, cells;
    double phi_low, phi_high, cells_per_rad;
  };
  std::vector<Bin> bins;
  std::array<std::vector<double>, 4> box;  // of each bin, r from and to, z from and to; padded with empty boxes to `most_bins`
  std::vector<std::int32_t> hit;           // by bin and cell
  std::vector<float> r, phi, z, eta;       // of these, and `block` more

  BinnedLayer(std::vector<std::int32_t> const& of_layer, std::span<Cylindrical const> hits) {
    if (of_layer.empty()) return;
    auto const range = [&](auto begin, auto end, auto&& value) {
      std::pair out{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
      for (auto at = begin; at != end; ++at) out = {std::min(out.first, value(*at)), std::max(out.second, value(*at))};
      return out;
    };
    auto const width = [](auto const& low_high) { return low_high.second - low_high.first; };
    auto const r_of = [&](std::int32_t i) { return hits[std::size_t(i)].r; };
    auto const z_of = [&](std::int32_t i) { return hits[std::size_t(i)].z; };
    auto const phi_of = [&](std::int32_t i) { return hits[std::size_t(i)].phi; };
    bool const along_z = width(range(of_layer.begin(), of_layer.end(), z_of)) > width(range(of_layer.begin(), of_layer.end(), r_of));
    std::vector<std::pair<double, std::int32_t>> along;
    for (auto const i : of_layer) along.emplace_back(along_z ? z_of(i) : r_of(i), i);
    std::sort(along.begin(), along.end());
    std::vector<std::int32_t> sorted;
    for (auto const& [_, i] : along) sorted.push_back(i);

    // Equal numbers of hits a bin: dense regions get narrow bins.
    auto const count = std::clamp<std::size_t>(sorted.size() / 64, 1, most_bins);
    for (std::size_t b = 0; b < count; ++b) {
      Bin bin{sorted.size() * b / count, sorted.size() * (b + 1) / count, cell_.size(), 0, 0, 0, 0};
      auto const begin = sorted.begin() + std::ptrdiff_t(bin.begin), end = sorted.begin() + std::ptrdiff_t(bin.end);
      auto const of_r = range(begin, end, r_of), of_z = range(begin, end, z_of);
      for (std::size_t k = 0; double const limit : {of_r.first, of_r.second, of_z.first, of_z.second}) box[k++].push_back(limit);
      std::tie(bin.phi_low, bin.phi_high) = range(begin, end, phi_of);
      bin.cells = bin.end - bin.begin;
      bin.cells_per_rad = double(bin.cells) / std::max(bin.phi_high - bin.phi_low, 1e-9);
      std::vector<std::size_t> place(bin.cells + 1, 0);  // counting sort into the cells
      for (auto at = begin; at != end; ++at) ++place[cell(bin, phi_of(*at)) + 1];
      std::partial_sum(place.begin(), place.end(), place.begin());
      for (auto const at : place) cell_.push_back(bin.begin + at);
      hit.resize(sorted.size());
      for (auto at = begin; at != end; ++at) hit[bin.begin + place[cell(bin, phi_of(*at))]++] = *at;
      bins.push_back(bin);
    }
    while (box[0].size() < most_bins)
      for (std::size_t k = 0; k < 4; ++k) box[k].push_back(k % 2 == 0 ? 1e300 : -1e300);
    auto const fill = [&](std::vector<float>& out, auto&& value) {
      for (auto const i : hit) out.push_back(float(value(hits[std::size_t(i)])));
      out.resize(hit.size() + block);
    };
    fill(r, [](auto const& h) { return h.r; }), fill(phi, [](auto const& h) { return h.phi; });
    fill(z, [](auto const& h) { return h.z; }), fill(eta, [](auto const& h) { return h.eta; });
  }

  /// The places of a bin's hits with φ in [low, high], and of some others.
  std::pair<std::size_t, std::size_t> places(Bin const& bin, double low, double high) const {
    if (high < bin.phi_low || low > bin.phi_high) return {0, 0};
    auto const* const cells = &cell_[bin.first_cell];
    return {cells[cell(bin, low)], cells[cell(bin, high) + 1]};
  }

 private:
  static std::size_t cell(Bin const& bin, double phi) {
    return std::size_t(std::clamp((phi - bin.phi_low) * bin.cells_per_rad, 0., double(bin.cells - 1)));
  }
  std::vector<std::size_t> cell_;  // of each bin, where its cells begin and the last one ends
};

/// How far in φ hits of each bin may be from hit a, at most; −1 where none of its box passes the z₀ cut with a. With s = sign(Δr) the cut
/// reads ±(z₁r₂ − r₁z₂) < z₀max·s·(r₂ − r₁): linear in (r₂, z₂), so that its smallest value in the box is at a corner. May say yes too
/// often, never no. `bins`: a multiple of 8.
DEW_SIMD inline void phi_reaches(Cylindrical const& a, double const* r_low, double const* r_high, double const* z_low, double const* z_high,
                                 std::size_t bins, double phi_slope_max, double z0_max, double dr_max, double* reach) {
  double const ar = a.r, az = a.z, a_size = std::abs(az) + ar + z0_max + 1;
  for (std::size_t b = 0; b < bins; ++b) {
    double const slack = 1e-9 * a_size * (r_high[b] + std::abs(z_low[b]) + std::abs(z_high[b]) + ar + 1);
    double const out_low = r_low[b] > ar ? r_low[b] : ar, out_high = r_high[b];  // the box's part outside a
    double const in_low = r_low[b], in_high = r_high[b] < ar ? r_high[b] : ar;   // and inside
    double const az_out_low = az * out_low, az_out_high = az * out_high, az_in_low = az * in_low, az_in_high = az * in_high;
    double const margin_out_low = z0_max * (out_low - ar), margin_out_high = z0_max * (out_high - ar);
    double const margin_in_low = z0_max * (ar - in_low), margin_in_high = z0_max * (ar - in_high);
    double const at_top = ar * z_high[b], at_bottom = ar * z_low[b];
    double const top_out_1 = az_out_low - at_top - margin_out_low, top_out_2 = az_out_high - at_top - margin_out_high;
    double const bottom_out_1 = at_bottom - az_out_low - margin_out_low, bottom_out_2 = at_bottom - az_out_high - margin_out_high;
    double const top_in_1 = az_in_low - at_top - margin_in_low, top_in_2 = az_in_high - at_top - margin_in_high;
    double const bottom_in_1 = at_bottom - az_in_low - margin_in_low, bottom_in_2 = at_bottom - az_in_high - margin_in_high;
    double const top_out = top_out_1 < top_out_2 ? top_out_1 : top_out_2,
                 bottom_out = bottom_out_1 < bottom_out_2 ? bottom_out_1 : bottom_out_2;
    double const top_in = top_in_1 < top_in_2 ? top_in_1 : top_in_2, bottom_in = bottom_in_1 < bottom_in_2 ? bottom_in_1 : bottom_in_2;
    bool const outside = (out_low <= out_high) & (top_out < slack) & (bottom_out < slack);
    bool const inside = (in_low <= in_high) & (top_in < slack) & (bottom_in < slack);
    double const to_low = std::abs(r_low[b] - ar), to_high = std::abs(r_high[b] - ar), furthest = to_low > to_high ? to_low : to_high;
    double const by_slope = phi_slope_max * furthest, most = by_slope < dr_max ? by_slope : dr_max;
    reach[b] = outside | inside ? most * (1 + 1e-9) + 1e-9 : -1;
  }
}

}  // namespace dew::detail
