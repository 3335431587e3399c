// SPDX-License-Identifier: BSL-1.0
// Helix: the way of a charged particle in a field along z, and where it meets planes and cylinders. Lengths in mm, momenta in GeV.
#pragma once
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

namespace dew {

/// A particle's position and direction. In a uniform field along z it moves, with s the arc length in the transverse plane, as
/// φ(s) = φ + κ·s, (x, y)(s) = (x, y) + (2/κ)·sin(κs/2)·(cos, sin)(φ + κs/2), z(s) = z + s·cot θ. κ = 0 is a straight line.
struct Helix {
  double x = 0, y = 0, z = 0;  ///< mm
  double phi = 0;              ///< direction in the transverse plane
  double cot_theta = 0;        ///< pz/pt
  double curvature = 0;        ///< κ, 1/mm; see `helix_curvature`

  double radius() const { return std::hypot(x, y); }

  /// The same particle an arc length s further on.
  Helix at(double s) const {
    double const half = 0.5 * curvature * s, chord = std::abs(half) < 1e-12 ? s : s * std::sin(half) / half;
    return {
        x + chord * std::cos(phi + half), y + chord * std::sin(phi + half), z + s * cot_theta, phi + curvature * s, cot_theta, curvature};
  }

  /// The arc length s > 0 at which it leaves a cylinder around the z axis that it is inside of, within half a turn; none when it does not.
  std::optional<double> to_cylinder(double radius) const {
    double const along = x * std::cos(phi) + y * std::sin(phi), inside = radius * radius - x * x - y * y;
    if (inside <= 0) return std::nullopt;
    double const straight = -along + std::sqrt(along * along + inside);
    return solve(straight, [&](Helix const& h) {
      return std::array{h.x * h.x + h.y * h.y - radius * radius, 2 * (h.x * std::cos(h.phi) + h.y * std::sin(h.phi))};
    });
  }
  /// The arc length at which it meets the plane nx·x + ny·y = distance, looked for near `guess`.
  std::optional<double> to_plane(double nx, double ny, double distance, double guess) const {
    return solve(guess,
                 [&](Helix const& h) { return std::array{nx * h.x + ny * h.y - distance, nx * std::cos(h.phi) + ny * std::sin(h.phi)}; });
  }
  /// The arc length s > 0 to the plane at z, within half a turn; none when it flies away from it.
  std::optional<double> to_z(double z_mm) const {
    double const s = (z_mm - z) / cot_theta;
    if (s > 0 && within_half_a_turn(s)) return s;
    return std::nullopt;
  }

 private:
  bool within_half_a_turn(double s) const { return std::abs(s * curvature) < std::numbers::pi; }
  /// Newton's iteration for the zero of a function of the position; `f` gives value and derivative along s.
  template <class F>
  std::optional<double> solve(double s, F&& f) const {
    for (int step = 0; step < 12; ++step) {
      auto const [value, slope] = f(at(s));
      double const move = value / slope;
      s -= move;
      if (std::abs(move) < 1e-9 && s > 0 && within_half_a_turn(s)) return s;
      if (!std::isfinite(s)) break;
    }
    return std::nullopt;
  }
};

/// κ [1/mm] of a particle of charge ±1 and transverse momentum pt [GeV] in a field [T] along z: a positive one turns clockwise.
inline double helix_curvature(double charge, double pt, double field_t) { return -charge * 0.299792458e-3 * field_t / pt; }

}  // namespace dew
