// SPDX-License-Identifier: BSL-1.0
// From raw columns to records: how every source makes an event, and how a program of its own feeds a trained pipeline without files.
// N selected hits, P particles. Lengths in mm, momenta in GeV.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dew/event/id_index.hpp"
#include "dew/event/schema.hpp"
#include "dew/geometry/features.hpp"
#include "dew/geometry/reconstructable.hpp"

namespace dew {

/// The hits of an event, one row each. Spans: `{.hit_id = ids, .x = x, .y = y, .z = z, .volume = volume, .layer = layer}` from vectors.
struct HitColumns {
  std::span<std::int64_t const> hit_id;  ///< different numbers
  std::span<double const> x, y, z;       ///< mm
  std::span<std::int64_t const> volume, layer;
};

/// What is known of hits: one row a hit whose origin is known, in any order. A hit without a row is unknown.
struct TruthColumns {
  std::span<std::int64_t const> hit_id;
  std::span<std::int64_t const> particle_id;  ///< 0 noise, −1 unknown
  std::span<double const> weight = {};        ///< in the TrackML score; none: unknown
};

/// The particles of an event. A particle of the truth that has no row here gets pt 0 and η 0, so that no cut on pt ever selects it.
struct ParticleColumns {
  std::span<std::int64_t const> particle_id;
  std::span<double const> px, py, pz;          ///< GeV, where it was made
  std::span<double const> vx = {}, vy = {};    ///< mm, where that was; none: unknown
  std::span<double const> q = {};              ///< e, its charge; none: unknown
  std::span<std::int64_t const> primary = {};  ///< 1: made in a collision, 0: later, −1 unknown; none: unknown
};

namespace detail {
/// How errors name a row of each table: "event000001000-hits.csv:17" or "hits row 16".
struct RowNames {
  std::function<std::string(std::size_t)> hits = [](std::size_t row) { return fmt::format("hits, row {}", row); };
  std::function<std::string(std::size_t)> truth = [](std::size_t row) { return fmt::format("truth, row {}", row); };
  std::function<std::string(std::size_t)> particles = [](std::size_t row) { return fmt::format("particles, row {}", row); };
};

inline void check_column(std::size_t rows, std::size_t got, char const* table, char const* column) {
  check(got == rows, "{}: expected {} values in column '{}', got {}", table, rows, column, got);
}
inline void check_no_duplicate(IdIndex const& index, std::span<std::int64_t const> ids,
                               std::function<std::string(std::size_t)> const& where, char const* column) {
  if (auto const row = index.duplicate(); row >= 0) {
    auto const id = ids[std::size_t(row)];
    fail(ErrorKind::input, "{}: column '{}': duplicate {}, first at {}", where(std::size_t(row)), column, id,
         where(std::size_t(index.row(id))));
  }
}
inline void check_finite(double value, std::function<std::string(std::size_t)> const& where, std::size_t row, char const* column) {
  if (!std::isfinite(value)) [[unlikely]]
    fail(ErrorKind::input, "{}: column '{}': expected a finite number, got {}", where(row), column, value);
}

/// The rows of the hits in the geometry's volumes, and their layers' indices.
struct SelectedHits {
  std::vector<std::size_t> rows;
  std::vector<std::int64_t> layer;
};
inline SelectedHits select_hits(Geometry const& geometry, HitColumns const& hits, RowNames const& names) {
  auto const n = hits.hit_id.size();
  check_column(n, hits.x.size(), "hits", "x");
  check_column(n, hits.y.size(), "hits", "y");
  check_column(n, hits.z.size(), "hits", "z");
  check_column(n, hits.volume.size(), "hits", "volume_id");
  check_column(n, hits.layer.size(), "hits", "layer_id");
  SelectedHits out;
  out.rows.reserve(n), out.layer.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    check_finite(hits.x[i], names.hits, i, "x");
    check_finite(hits.y[i], names.hits, i, "y");
    check_finite(hits.z[i], names.hits, i, "z");
    auto const layer = geometry.index({hits.volume[i], hits.layer[i]});
    if (layer < 0) {
      if (geometry.has_volume(hits.volume[i])) [[unlikely]]
        fail(ErrorKind::input, "{}: column 'layer_id': volume {} of the detector '{}' has no layer {}", names.hits(i), hits.volume[i],
             geometry.name(), hits.layer[i]);
      continue;
    }
    if (float(hits.x[i]) == 0 && float(hits.y[i]) == 0) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'x': the hit lies on the beam line (x = y = 0), where η is not finite", names.hits(i));
    out.rows.push_back(i);
    out.layer.push_back(layer);
  }
  return out;
}

template <class T> Tensor to_tensor(std::vector<T> const& values) {
  auto out = at::empty({std::int64_t(values.size())}, c10::CppTypeToScalarType<T>::value);
  std::copy(values.begin(), values.end(), out.template mutable_data_ptr<T>());
  return out;
}

inline HitRecord hit_record(HitColumns const& hits, SelectedHits const& selected) {
  auto const n = std::int64_t(selected.rows.size());
  auto id = at::empty({n}, at::kLong), position = at::empty({n, 3}, at::kFloat);
  auto* ids = id.mutable_data_ptr<std::int64_t>();
  auto* xyz = position.mutable_data_ptr<float>();
  for (auto const row : selected.rows) {
    *ids++ = hits.hit_id[row];
    for (double const c : {hits.x[row], hits.y[row], hits.z[row]}) *xyz++ = float(c);
  }
  return HitRecord{key::hit_id = id, key::position = position, key::layer = to_tensor(selected.layer),
                   key::hit_features = node_features(position)};
}

inline HitRecord make_hits(Geometry const& geometry, HitColumns const& hits, RowNames const& names) {
  auto const selected = select_hits(geometry, hits, names);
  check_no_duplicate(IdIndex(hits.hit_id), hits.hit_id, names.hits, "hit_id");
  return hit_record(hits, selected);
}

/// What the truth says of every hit, by the hits' rows: particle −1 and weight 0 where no row says anything.
struct HitOrigins {
  std::vector<std::int64_t> particle;
  std::vector<double> weight;
};
inline HitOrigins origins_of_hits(HitColumns const& hits, TruthColumns const& truth, RowNames const& names) {
  check_column(truth.hit_id.size(), truth.particle_id.size(), "truth", "particle_id");
  if (!truth.weight.empty()) check_column(truth.hit_id.size(), truth.weight.size(), "truth", "weight");
  IdIndex const index(hits.hit_id);
  check_no_duplicate(index, hits.hit_id, names.hits, "hit_id");
  HitOrigins out{std::vector<std::int64_t>(hits.hit_id.size(), -1), std::vector<double>(hits.hit_id.size(), 0)};
  std::vector<bool> known(hits.hit_id.size(), false);
  for (std::size_t i = 0; i < truth.hit_id.size(); ++i) {
    auto const row = index.row(truth.hit_id[i]);
    if (row < 0) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'hit_id': the event has no hit {}", names.truth(i), truth.hit_id[i]);
    if (known[std::size_t(row)]) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'hit_id': duplicate {}", names.truth(i), truth.hit_id[i]);
    if (truth.particle_id[i] < -1) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'particle_id': expected a particle, 0 (noise) or -1 (unknown), got {}", names.truth(i),
           truth.particle_id[i]);
    known[std::size_t(row)] = true;
    out.particle[std::size_t(row)] = truth.particle_id[i];
    if (truth.weight.empty()) continue;
    check_finite(truth.weight[i], names.truth, i, "weight");
    if (truth.particle_id[i] >= 0) out.weight[std::size_t(row)] = truth.weight[i];
  }
  return out;
}

inline DetailedRecord make_labelled(Geometry const& geometry, HitColumns const& hits, TruthColumns const& truth,
                                    ParticleColumns const& particles, DistinctLayers distinct, RowNames const& names) {
  auto const selected = select_hits(geometry, hits, names);
  auto const origin = origins_of_hits(hits, truth, names);
  check_column(particles.particle_id.size(), particles.px.size(), "particles", "px");
  check_column(particles.particle_id.size(), particles.py.size(), "particles", "py");
  check_column(particles.particle_id.size(), particles.pz.size(), "particles", "pz");
  bool const has_vertex = !particles.vx.empty() || !particles.vy.empty();
  if (has_vertex) check_column(particles.particle_id.size(), particles.vx.size(), "particles", "vx");
  if (has_vertex) check_column(particles.particle_id.size(), particles.vy.size(), "particles", "vy");
  if (!particles.q.empty()) check_column(particles.particle_id.size(), particles.q.size(), "particles", "q");
  if (!particles.primary.empty()) check_column(particles.particle_id.size(), particles.primary.size(), "particles", "primary");
  IdIndex const given(particles.particle_id);
  check_no_duplicate(given, particles.particle_id, names.particles, "particle_id");

  std::vector<std::int64_t> hit_particle;  // [N]
  std::vector<float> hit_weight;           // [N]
  for (auto const row : selected.rows) hit_particle.push_back(origin.particle[row]), hit_weight.push_back(float(origin.weight[row]));
  std::vector<std::int64_t> ids;  // [P]
  std::copy_if(hit_particle.begin(), hit_particle.end(), std::back_inserter(ids), [](auto id) { return id > 0; });
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<float> pt, eta, radius, charge;  // [P]
  std::vector<std::int64_t> primary;           // [P]
  for (auto const id : ids) {
    auto const row = given.row(id);
    if (row < 0) {
      pt.push_back(0), eta.push_back(0), radius.push_back(-1), charge.push_back(0), primary.push_back(-1);
      continue;
    }
    auto const at = std::size_t(row);
    check_finite(particles.px[at], names.particles, at, "px");
    check_finite(particles.py[at], names.particles, at, "py");
    check_finite(particles.pz[at], names.particles, at, "pz");
    auto const transverse = std::sqrt(particles.px[at] * particles.px[at] + particles.py[at] * particles.py[at]);
    pt.push_back(float(transverse)), eta.push_back(float(pseudorapidity(transverse, particles.pz[at])));
    if (has_vertex) check_finite(particles.vx[at], names.particles, at, "vx"), check_finite(particles.vy[at], names.particles, at, "vy");
    radius.push_back(has_vertex ? float(std::hypot(particles.vx[at], particles.vy[at])) : -1);
    if (!particles.q.empty()) check_finite(particles.q[at], names.particles, at, "q");
    charge.push_back(particles.q.empty() ? 0 : float(particles.q[at]));
    primary.push_back(particles.primary.empty() ? -1 : particles.primary[at]);
    check(primary.back() >= -1 && primary.back() <= 1, ErrorKind::input, "{}: column 'primary': expected 1, 0 or -1 (unknown), got {}",
          names.particles(at), primary.back());
  }

  IdIndex const index(ids);
  std::vector<std::int64_t> row_of(hit_particle.size()), count(ids.size(), 0);  // [N] row of the hit's particle or −1, [P]
  std::vector<double> weight(ids.size(), 0);                                    // [P]
  for (std::size_t i = 0; i < hit_particle.size(); ++i) {
    row_of[i] = hit_particle[i] > 0 ? index.row(hit_particle[i]) : -1;
    if (row_of[i] >= 0) ++count[std::size_t(row_of[i])], weight[std::size_t(row_of[i])] += hit_weight[i];
  }
  auto const found = reconstructable_particles(geometry, row_of, selected.layer, std::int64_t(ids.size()), distinct);

  auto const n = std::int64_t(row_of.size()), p = std::int64_t(ids.size());
  auto hit_pt = at::zeros({n}, at::kFloat), hit_eta = at::zeros({n}, at::kFloat);
  auto hit_found = at::zeros({n}, at::kBool), truth_found = at::zeros({p}, at::kBool);
  for (std::int64_t i = 0; i < p; ++i) truth_found.mutable_data_ptr<bool>()[i] = found[std::size_t(i)];
  auto* pts = hit_pt.mutable_data_ptr<float>();
  auto* etas = hit_eta.mutable_data_ptr<float>();
  auto* founds = hit_found.mutable_data_ptr<bool>();
  for (std::int64_t i = 0; i < n; ++i)
    if (auto const row = row_of[std::size_t(i)]; row >= 0)
      pts[i] = pt[std::size_t(row)], etas[i] = eta[std::size_t(row)], founds[i] = found[std::size_t(row)];
  return hit_record(hits, selected)
      .with(key::particle_id = to_tensor(hit_particle), key::pt = hit_pt, key::eta = hit_eta, key::reconstructable = hit_found,
            key::truth_id = to_tensor(ids), key::truth_pt = to_tensor(pt), key::truth_eta = to_tensor(eta),
            key::truth_hits = to_tensor(count), key::truth_reconstructable = truth_found, key::weight = to_tensor(hit_weight),
            key::truth_weight = to_tensor(weight).to(at::kFloat), key::truth_radius = to_tensor(radius),
            key::truth_charge = to_tensor(charge), key::truth_primary = to_tensor(primary));
}
}  // namespace detail

/// The record of a bare event: its hits in the geometry's volumes, in order; positions in float32, features computed in double from them.
/// Throws `Error` (input) on coordinates that are not finite, a hit on the beam line, a layer that the hit's volume does not have and an
/// identifier that stands twice, naming the row; (internal) on columns of different lengths. O(N log layers).
///
///     auto labels = finder(make_hits(pixel_detector(), {.hit_id = id, .x = x, .y = y, .z = z, .volume = volume, .layer = layer}));
inline HitRecord make_hits(Geometry const& geometry, HitColumns const& hits) { return detail::make_hits(geometry, hits, {}); }

/// The same with what is known: per hit the particle's id (−1 where the truth has no row), pt, η and weight; the particles (id > 0) that left
/// a selected hit, sorted by id, with the number and the weight of their selected hits, the radius where they were made, charge and origin; which are
/// reconstructable. Throws `Error` (input) also on truth for a hit that is not in the event, and on a hit or a particle that stands twice.
/// O(N log N).
inline DetailedRecord make_labelled(Geometry const& geometry, HitColumns const& hits, TruthColumns const& truth,
                                    ParticleColumns const& particles, DistinctLayers distinct = DistinctLayers::volume_and_layer) {
  return detail::make_labelled(geometry, hits, truth, particles, distinct, {});
}

}  // namespace dew
