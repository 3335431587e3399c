// SPDX-License-Identifier: BSL-1.0
// Transforms of a model's inputs: hit features without a jump in phi, rescaled edge features, and the detector's symmetries in training.
#pragma once
#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Columns of the standard hit features, in order: r/1000, φ/π, z/1000, η, 1000·u, 1000·v.
enum StandardFeature : std::int64_t { feature_r, feature_phi, feature_z, feature_eta, feature_u, feature_v, standard_features };
constexpr std::int64_t periodic_features = standard_features + 1;  // cos φ and sin φ instead of φ

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

/// In training, the event turned about the beam by a random angle and, each in half of the cases, mirrored in z and in φ, drawn anew for
/// each epoch and event: the detector is the same after it, so that few events teach like many. Elsewhere nothing changes.
///
/// For the standard hit features [N, 6] or those of `PeriodicFeatures` [N, 7], and the edge features of a geometric graph [E, 4], scaled or not. Serves the next model
/// alone: put it right in front of that one. O(N + E), any device. Not where a model reads features of cells: they know their module.
struct Symmetries {
  struct Options {
    bool rotate = true;
    bool mirror_z = true;
    bool mirror_phi = true;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(rotate, "", "in training, turn each event by a random angle"),
                              DEW_OPTION(mirror_z, "", "in training, mirror half of the events in z"),
                              DEW_OPTION(mirror_phi, "", "in training, mirror half of the events in phi: charges change their sign"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "symmetries";
  static constexpr bool cacheable = false;
  using Reads = Keys<HitFeatures, EdgeFeatures>;
  using Writes = Keys<HitFeatures, EdgeFeatures>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Context const& context) const {
    auto const &x = event[key::hit_features], &e = event[key::edge_features];
    bool const any = options.rotate || options.mirror_z || options.mirror_phi;
    if (!context.training || !any) return RecordOf<Writes>{key::hit_features = x, key::edge_features = e};
    check((x.size(1) == standard_features || x.size(1) == periodic_features) && e.size(1) == 4, ErrorKind::usage,
          "{}: expected the 6 standard hit features or the 7 periodic ones, and the 4 edge features of a geometric graph, got {} and {}",
          name, shape_text(x), shape_text(e));
    auto const drawn = at::rand({3}, context.generator(), at::TensorOptions().dtype(at::kDouble).device(context.device)).to(at::kCPU);
    auto const* const random = drawn.const_data_ptr<double>();
    double const angle = options.rotate ? 2 * std::numbers::pi * random[0] : 0, z = options.mirror_z && random[1] < 0.5 ? -1 : 1,
                 phi = options.mirror_phi && random[2] < 0.5 ? -1 : 1;
    auto columns = x.unbind(1);
    auto const turn = [&, c = std::cos(angle), s = std::sin(angle)](std::size_t first) {  // (cos φ, sin φ), or (u, v)
      auto const a = columns[first], b = columns[first + 1];
      columns[first] = c * a - s * b;
      columns[first + 1] = phi * (s * a + c * b);
    };
    bool const periodic = x.size(1) == periodic_features;
    if (periodic) turn(1);
    else {
      auto const turned = phi * (columns[feature_phi] + angle / std::numbers::pi);
      columns[feature_phi] = turned - 2 * (turned / 2).round();
    }
    auto const behind_phi = std::size_t(periodic ? 3 : 2);
    columns[behind_phi] = z * columns[behind_phi];
    columns[behind_phi + 1] = z * columns[behind_phi + 1];
    turn(behind_phi + 2);
    auto const sign = at::tensor({1.0, phi, z, 1.0}, at::TensorOptions().dtype(at::kDouble)).to(e.options());
    return RecordOf<Writes>{key::hit_features = at::stack(columns, 1), key::edge_features = e * sign};
  }
  bool operator==(Symmetries const&) const = default;
};
static_assert(Transform<Symmetries>);

}  // namespace dew
