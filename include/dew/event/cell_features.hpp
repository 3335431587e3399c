// SPDX-License-Identifier: BSL-1.0
// Cell features: what the read-out cells of a hit say of its charge and of the direction in which it was crossed.
// N hits, C cells. Lengths in mm.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "dew/event/columns.hpp"
#include "dew/event/csv.hpp"

namespace dew {

/// Which hit features a source makes.
enum class HitFeatureSet {
  standard,  ///< `node_features` [N, 6]
  cells,     ///< `cell_features` [N, 14]
};
constexpr auto names_of(HitFeatureSet) { return std::array{"standard", "cells"}; }

/// A module of a detector: where it is, how it is turned, how it is segmented.
struct DetectorModule {
  std::array<double, 3> centre{};    ///< x, y, z in mm
  std::array<double, 9> rotation{};  ///< local u, v, w → global: rows x, y, z
  double half_thickness = 0;         ///< mm
  double pitch_u = 0, pitch_v = 0;   ///< mm; below 0 where it is not known
  /// Local coordinates as global ones: rotated, not moved.
  std::array<double, 3> turned(double u, double v, double w) const {
    std::array<double, 3> out{};
    for (std::size_t i = 0; i < 3; ++i) out[i] = rotation[3 * i] * u + rotation[3 * i + 1] * v + rotation[3 * i + 2] * w;
    return out;
  }
};

/// The modules of a detector from a file `detectors.csv[.gz]`, as TrackML and ACTS write it: volume_id, layer_id, module_id, cx, cy, cz,
/// rot_xu … rot_zw, module_t, pitch_u, pitch_v. About 12 ms for 18,728 modules.
class DetectorModules {
 public:
  /// Throws `Error` (input), as `read_csv` does, and for a module that stands twice or whose number is out of range.
  explicit DetectorModules(std::filesystem::path const& path) : table_(read_csv(path, columns())), index_(numbers(table_)) {
    if (auto const row = index_.duplicate(); row >= 0)
      fail(ErrorKind::input, "{}: column 'module_id': the module stands twice", table_.where(std::size_t(row)));
    std::vector<std::vector<double> const*> reals;
    for (auto const* name : real_columns) reals.push_back(&table_.reals(name));
    auto const at = [&](std::size_t column, std::size_t row) { return (*reals[column])[row]; };
    for (std::size_t i = 0; i < table_.rows(); ++i) {
      auto& m = modules_.emplace_back();
      for (std::size_t c = 0; c < 3; ++c) m.centre[c] = at(c, i);
      for (std::size_t c = 0; c < 9; ++c) m.rotation[c] = at(3 + c, i);
      m.half_thickness = at(12, i), m.pitch_u = at(13, i), m.pitch_v = at(14, i);
    }
  }

  /// The row of a module, −1 for one that is not there.
  std::int64_t row(std::int64_t volume, std::int64_t layer, std::int64_t module) const {
    return in_range(volume, layer, module) ? index_.row(number(volume, layer, module)) : -1;
  }
  DetectorModule const& module(std::int64_t row) const& { return modules_[std::size_t(row)]; }
  /// "FILE:LINE" of a row.
  std::string where(std::int64_t row) const { return table_.where(std::size_t(row)); }

 private:
  static constexpr std::array<char const*, 15> real_columns{"cx",     "cy",     "cz",       "rot_xu",  "rot_xv",
                                                            "rot_xw", "rot_yu", "rot_yv",   "rot_yw",  "rot_zu",
                                                            "rot_zv", "rot_zw", "module_t", "pitch_u", "pitch_v"};
  static std::vector<CsvColumn> columns() {
    std::vector<CsvColumn> out;
    for (auto const* name : {"volume_id", "layer_id", "module_id"}) out.push_back({name, CsvColumn::Type::integer});
    for (auto const* name : real_columns) out.push_back({name});
    return out;
  }
  static bool in_range(std::int64_t volume, std::int64_t layer, std::int64_t module) {
    return volume >= 0 && volume < 1 << 14 && layer >= 0 && layer < 1 << 16 && module >= 0 && module < INT64_C(1) << 32;
  }
  static std::int64_t number(std::int64_t volume, std::int64_t layer, std::int64_t module) { return volume << 48 | layer << 32 | module; }
  static std::vector<std::int64_t> numbers(CsvTable const& table) {
    std::vector<std::int64_t> out;
    for (std::size_t i = 0; i < table.rows(); ++i) {
      auto const volume = table.integers("volume_id")[i], layer = table.integers("layer_id")[i], module = table.integers("module_id")[i];
      check(in_range(volume, layer, module), ErrorKind::input, "{}: column 'module_id': volume {}, layer {}, module {} is out of range",
            table.where(i), volume, layer, module);
      out.push_back(number(volume, layer, module));
    }
    return out;
  }

  CsvTable table_;
  IdIndex index_;
  std::vector<DetectorModule> modules_;
};

/// The read-out cells of an event, one row each, in any order.
struct CellColumns {
  std::span<std::int64_t const> hit_id;
  std::span<std::int64_t const> channel0, channel1;  ///< along u and v of the hit's module
  std::span<double const> value;                     ///< charge, arbitrary units
};

/// The columns of `cell_features`, behind those of `node_features`.
namespace feature_column {
inline constexpr std::int64_t mean_charge = 6, local_eta = 7, local_phi = 8, length_u = 9, length_v = 10, length_w = 11, global_eta = 12,
                              global_phi = 13, with_cells = 14;
}  // namespace feature_column

/// The 14 features [N, 14] of hits, in float: the six standard ones as they are in `hits`, then, over a hit's n cells with charges of sum Q
/// and with R its module's rotation,
///
///     Q/n, leta, lphi, ℓ_u, ℓ_v, ℓ_w, geta, gphi
///     ℓ_u = (max channel0 − min channel0 + 1)·pitch_u, ℓ_v likewise, ℓ_w = 2·half thickness, g = R·ℓ
///     leta = −ln tan(½ arccos(ℓ_w/|ℓ|)), lphi = atan2(ℓ_v, ℓ_u), geta = −ln tan(½ arccos(g_z/|g|)), gphi = atan2(g_y, g_x)
///
/// unscaled, in double. `columns` are those that `hits` was made from, `module` [rows] is their module's number within its layer. Throws
/// `Error` (input) for cells of a hit that is not in the event, a hit without cells, and a module that the detector does not have or whose
/// pitch or thickness is not known, naming the row. O(N + C). arXiv:1904.06778
inline Tensor cell_features(
    HitRecord const& hits, HitColumns const& columns, std::span<std::int64_t const> module, CellColumns const& cells,
    DetectorModules const& modules, detail::RowNames const& names = {},
    std::function<std::string(std::size_t)> const& cell_name = [](std::size_t row) { return fmt::format("cells, row {}", row); }) {
  struct Cluster {
    std::int64_t cells = 0, low0 = INT64_MAX, high0 = INT64_MIN, low1 = INT64_MAX, high1 = INT64_MIN;
    double charge = 0;
  };
  detail::check_column(columns.hit_id.size(), module.size(), "hits", "module_id");
  detail::check_column(cells.hit_id.size(), cells.channel0.size(), "cells", "channel0");
  detail::check_column(cells.hit_id.size(), cells.channel1.size(), "cells", "channel1");
  detail::check_column(cells.hit_id.size(), cells.value.size(), "cells", "value");
  IdIndex const index(columns.hit_id);
  std::vector<Cluster> clusters(columns.hit_id.size());
  for (std::size_t i = 0; i < cells.hit_id.size(); ++i) {
    auto const row = index.row(cells.hit_id[i]);
    if (row < 0) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'hit_id': the event has no hit {}", cell_name(i), cells.hit_id[i]);
    auto& c = clusters[std::size_t(row)];
    ++c.cells, c.charge += cells.value[i];
    c.low0 = std::min(c.low0, cells.channel0[i]), c.high0 = std::max(c.high0, cells.channel0[i]);
    c.low1 = std::min(c.low1, cells.channel1[i]), c.high1 = std::max(c.high1, cells.channel1[i]);
  }

  auto const n = hits.rows(Hits{});
  constexpr auto added = feature_column::with_cells - feature_column::count;
  auto shape = at::empty({n, added}, at::kFloat);
  auto* out = shape.mutable_data_ptr<float>();
  auto const* ids = hits[key::hit_id].const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) {
    auto const at = std::size_t(index.row(ids[i]));
    auto const& c = clusters[at];
    if (c.cells == 0) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'hit_id': hit {} has no cells", names.hits(at), ids[i]);
    auto const row = modules.row(columns.volume[at], columns.layer[at], module[at]);
    if (row < 0) [[unlikely]]
      fail(ErrorKind::input, "{}: column 'module_id': the detector has no module {} in volume {}, layer {}", names.hits(at), module[at],
           columns.volume[at], columns.layer[at]);
    auto const& m = modules.module(row);
    auto const demand = [&](double length, char const* column) {
      if (!(length > 0)) [[unlikely]]
        fail(ErrorKind::input, "{}: column '{}': expected a length above 0, got {}", modules.where(row), column, length);
    };
    demand(m.half_thickness, "module_t"), demand(m.pitch_u, "pitch_u"), demand(m.pitch_v, "pitch_v");
    double const u = (double(c.high0) - double(c.low0) + 1) * m.pitch_u, v = (double(c.high1) - double(c.low1) + 1) * m.pitch_v,
                 w = 2 * m.half_thickness;
    auto const g = m.turned(u, v, w);
    for (double const value : {c.charge / double(c.cells), pseudorapidity(std::hypot(u, v), w), std::atan2(v, u), u, v, w,
                               pseudorapidity(std::hypot(g[0], g[1]), g[2]), std::atan2(g[1], g[0])})
      *out++ = float(value);
  }
  return at::cat({hits[key::hit_features], shape}, 1);
}

}  // namespace dew
