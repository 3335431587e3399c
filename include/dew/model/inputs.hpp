// SPDX-License-Identifier: BSL-1.0
// Transforms of a model's inputs: hit features without a jump in phi, and rescaled edge features.
#pragma once
#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Columns of the standard hit features, in order: r/1000, φ/π, z/1000, η, 1000·u, 1000·v.
enum StandardFeature : std::int64_t { feature_r, feature_phi, feature_z, feature_eta, feature_u, feature_v, standard_features };

/// Standard hit features [N, 6] → [N, 7]: 2r, cos φ, sin φ, z, η/2, u/10, v/10 (r, z, η, u, v as the standard features have them): of like
/// size, and without the jump at φ = ±π that tells neighbours apart. Every later stage sees the new ones.
struct PeriodicFeatures {
  struct Options {
    bool enabled = true;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(enabled, "", "false leaves the hit features as they are")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "periodic_features";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<HitFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::hit_features];
    if (!options.enabled) return RecordOf<Writes>{key::hit_features = x};
    check(x.size(1) == standard_features, "{}: expected the {} standard hit features, got {}", name, int(standard_features), shape_text(x));
    auto const phi = x.select(1, feature_phi) * std::numbers::pi;
    return RecordOf<Writes>{key::hit_features =
                                at::stack({2 * x.select(1, feature_r), phi.cos(), phi.sin(), x.select(1, feature_z),
                                           x.select(1, feature_eta) / 2, x.select(1, feature_u) / 10, x.select(1, feature_v) / 10},
                                          1)};
  }
  bool operator==(PeriodicFeatures const&) const = default;
};
static_assert(Transform<PeriodicFeatures>);

/// Edge features [E, g] times one factor a column: makes the small ones (Δφ/π) as large as the others. Every later stage sees the new ones.
struct ScaledEdges {
  struct Options {
    std::vector<double> scale{5, 20, 2, 3};
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(scale, "", "one factor for each edge feature")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "scaled_edges";
  using Reads = Keys<EdgeFeatures>;
  using Writes = Keys<EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& e = event[key::edge_features];
    check(e.size(1) == std::int64_t(options.scale.size()), ErrorKind::usage,
          "{}.scale: expected {} factors, one for each edge feature, got {}", name, e.size(1), options.scale.size());
    return RecordOf<Writes>{key::edge_features = e * at::tensor(options.scale, at::TensorOptions().dtype(at::kDouble)).to(e.options())};
  }
  bool operator==(ScaledEdges const&) const = default;
};
static_assert(Transform<ScaledEdges>);

}  // namespace dew
