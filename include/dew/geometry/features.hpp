// SPDX-License-Identifier: BSL-1.0
// Hit features: what models read of a hit's position. N hits; lengths in mm, angles in rad.
#pragma once
#include <cmath>
#include <numbers>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// The columns of `node_features`.
namespace feature_column { inline constexpr std::int64_t r = 0, phi = 1, z = 2, eta = 3, u = 4, v = 5, count = 6; }

/// η(r, z) = −ln tan(½·atan2(r, z)): of a point at radius r ≥ 0 and z, or of a momentum with pt and pz. ±∞ on the beam line, 0 at (0, 0).
inline double pseudorapidity(double r, double z) {
  return r == 0 && z == 0 ? 0 : std::asinh(z / r);
}  // the same function, exact at both ends

/// The standard features [N, 6] of hits at `position` [N, 3]: r/1000, φ/π, z/1000, η, 1000·u, 1000·v with u = x/r², v = y/r² (a circle
/// through the origin is a line in (u, v)). Computed in double, returned in the positions' dtype, on their device. O(N).
/// On the beam line (x = y = 0) η, u and v are not finite. Throws `Error` on another shape. arXiv:2103.16701
inline Tensor node_features(Tensor const& position) {
  check(position.defined() && position.dim() == 2 && position.size(1) == 3 && position.is_floating_point(),
        "node_features: expected positions [N, 3], got {}", shape_text(position));
  auto const p = position.to(at::kDouble);
  auto const x = p.select(1, 0), y = p.select(1, 1), z = p.select(1, 2);
  auto const r2 = x * x + y * y, r = r2.sqrt();
  auto const eta = at::where(at::logical_and(r == 0, z == 0), at::zeros_like(z), (z / r).asinh());
  return at::stack({r / 1000, at::atan2(y, x) / std::numbers::pi, z / 1000, eta, 1000 * x / r2, 1000 * y / r2}, 1)
      .to(position.scalar_type());
}

}  // namespace dew
