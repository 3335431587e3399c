// SPDX-License-Identifier: BSL-1.0
// Hit features: what models read of a hit's position. N hits; lengths in mm, angles in rad.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>

#include "dew/core/error.hpp"
#include "dew/core/simd.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// The columns of `node_features`.
namespace feature_column { inline constexpr std::int64_t r = 0, phi = 1, z = 2, eta = 3, u = 4, v = 5, count = 6; }

/// η(r, z) = −ln tan(½·atan2(r, z)): of a point at radius r ≥ 0 and z, or of a momentum with pt and pz. ±∞ on the beam line, 0 at (0, 0).
inline double pseudorapidity(double r, double z) {
  return r == 0 && z == 0 ? 0 : std::asinh(z / r);
}  // the same function, exact at both ends

namespace detail {
/// Hits whose features are computed together: their coordinates, and the columns of their features.
struct FeatureBlock {
  static constexpr std::size_t size = 256;
  using Values = std::array<double, size>;
  Values x{}, y{}, z{}, r{}, distance{};  // mm; distance: from the origin
  Values phi{}, eta{}, u{}, v{};          // rad, -, 1/mm, 1/mm
};

/// The first terms of Σ xᵏ/(2k + 1): arctan t = t·Σ(−t²), artanh t = t·Σ(t²). Unrolled, since a loop in it keeps a loop around it from being
/// vectorised.
template <int terms>
double arctan_series(double x) {
  return [x]<int... k>(std::integer_sequence<int, k...>) {
    double sum = 0;
    ((sum = sum * x + 1. / (2 * (terms - 1 - k) + 1)), ...);
    return sum;
  }(std::make_integer_sequence<int, terms>{});
}

/// φ, η, u and v of a block, within some 2⁻⁵¹ (the series' first terms left out are smaller: |t| ≤ tan(π/8) in φ, half of it in η); some of them are not finite where x = y = 0 or numbers overflow.
DEW_SIMD inline void compute_features(FeatureBlock& b) {
  constexpr double pi = std::numbers::pi, far_from_axis = std::numbers::sqrt2 - 1;  // tan(π/8)
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd, two_to_52 = 0x4330000000000000;
  for (std::size_t i = 0; i < FeatureBlock::size; ++i) {
    double const x = b.x[i], y = b.y[i], z = std::abs(b.z[i]), r = b.r[i];
    {  // φ: the angle to the nearest axis or diagonal, at most π/8
      double const ax = std::abs(x), ay = std::abs(y), low = ax < ay ? ax : ay, high = ax < ay ? ay : ax;
      double const difference = low - high, sum = low + high;
      bool const diagonal = low > far_from_axis * high;
      double const t = (diagonal ? difference : low) / (diagonal ? sum : high);
      double const angle = t * arctan_series<21>(-t * t), turned = angle + pi / 4, from_axis = diagonal ? turned : angle;
      double const from_y = pi / 2 - from_axis, right = ax < ay ? from_y : from_axis, left = pi - right, up = x < 0 ? left : right;
      b.phi[i] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(up) | (std::bit_cast<std::uint64_t>(y) & (1ULL << 63)));
    }
    {  // |η| = ln(1 + w), with 1 + w = 2ᵉ(1 + f) and ln(1 + f) = 2 artanh(f/(2 + f))
      double const w = z * (b.distance[i] + r + z) / ((b.distance[i] + r) * r);
      auto const bits = std::bit_cast<std::uint64_t>(1 + w), e = (bits - root_half) >> 52;
      double const exponent = std::bit_cast<double>(two_to_52 | e) - std::bit_cast<double>(two_to_52);
      double const scaled = std::bit_cast<double>(bits - (e << 52)) - 1, f = e == 0 ? w : scaled, t = f / (2 + f);
      double const eta = exponent * std::numbers::ln2 + 2 * t * arctan_series<11>(t * t) + (w - w);
      b.eta[i] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(eta) ^ (std::bit_cast<std::uint64_t>(b.z[i]) & (1ULL << 63)));
    }
    double const scale = 1000 / (r * r);
    b.u[i] = x * scale, b.v[i] = y * scale;
  }
}

/// Calls `visit(i, block)` for each of `count` ≤ `FeatureBlock::size` hits when its features stand at i; the same bits in any company.
template <class T, class Visit>
void visit_features(T const* position, std::size_t count, Visit&& visit) {
  FeatureBlock b;
  for (std::size_t i = 0; i < count; ++i) {
    double const x = position[3 * i], y = position[3 * i + 1], z = position[3 * i + 2], r2 = x * x + y * y;
    b.x[i] = x, b.y[i] = y, b.z[i] = z, b.r[i] = std::sqrt(r2), b.distance[i] = std::sqrt(r2 + z * z);
  }
  compute_features(b);
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(b.phi[i] + b.eta[i] + b.u[i] + b.v[i])) [[unlikely]] {
      double const x = b.x[i], y = b.y[i], r2 = x * x + y * y;
      b.phi[i] = std::atan2(y, x), b.eta[i] = pseudorapidity(b.r[i], b.z[i]), b.u[i] = 1000 * x / r2, b.v[i] = 1000 * y / r2;
    }
    visit(i, b);
  }
}

template <class T>
void write_features(T const* position, std::size_t count, T* out) {
  visit_features(position, count, [&](std::size_t i, FeatureBlock const& b) {
    double const row[feature_column::count] = {b.r[i] / 1000, b.phi[i] / std::numbers::pi, b.z[i] / 1000, b.eta[i], b.u[i], b.v[i]};
    for (std::int64_t c = 0; c < feature_column::count; ++c) *out++ = T(row[c]);
  });
}

inline void check_positions(Tensor const& position) {
  check(position.defined() && position.dim() == 2 && position.size(1) == 3 && position.is_floating_point(),
        "node_features: expected positions [N, 3], got {}", shape_text(position));
}
}  // namespace detail

/// The plain reference of `node_features`, in torch operations on any device and with gradients.
inline Tensor node_features_reference(Tensor const& position) {
  detail::check_positions(position);
  auto const p = position.to(at::kDouble);
  auto const x = p.select(1, 0), y = p.select(1, 1), z = p.select(1, 2);
  auto const r2 = x * x + y * y, r = r2.sqrt();
  auto const eta = at::where(at::logical_and(r == 0, z == 0), at::zeros_like(z), (z / r).asinh());
  return at::stack({r / 1000, at::atan2(y, x) / std::numbers::pi, z / 1000, eta, 1000 * x / r2, 1000 * y / r2}, 1)
      .to(position.scalar_type());
}

/// The standard features [N, 6] of hits at `position` [N, 3]: r/1000, φ/π, z/1000, η, 1000·u, 1000·v with u = x/r², v = y/r² (a circle
/// through the origin is a line in (u, v)). Computed in double, returned in the positions' dtype, on their device. O(N), some 10 ns a hit,
/// by ATen's threads; other devices and dtypes and positions that want a gradient by the reference.
/// On the beam line (x = y = 0) η, u and v are not finite. Throws `Error` on another shape. arXiv:2103.16701
inline Tensor node_features(Tensor const& position) {
  detail::check_positions(position);
  bool const is_float = position.scalar_type() == at::kFloat;
  bool const wants_gradient = at::GradMode::is_enabled() && position.requires_grad();
  if (!position.is_cpu() || wants_gradient || (!is_float && position.scalar_type() != at::kDouble))
    return node_features_reference(position);
  auto const p = position.contiguous();
  auto out = at::empty({p.size(0), feature_column::count}, p.options());
  auto const write = [&]<class T>(T) {
    auto const* const from = p.const_data_ptr<T>();
    auto* const to = out.mutable_data_ptr<T>();
    constexpr auto size = std::int64_t(detail::FeatureBlock::size);
    at::parallel_for(0, (p.size(0) + size - 1) / size, 8, [&](std::int64_t begin, std::int64_t end) {
      for (auto at = begin * size; at < std::min(end * size, p.size(0)); at += size)
        detail::write_features(from + 3 * at, std::size_t(std::min(size, p.size(0) - at)), to + feature_column::count * at);
    });
  };
  if (is_float) write(float{});
  else write(double{});
  return out;
}

}  // namespace dew
