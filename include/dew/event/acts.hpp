// SPDX-License-Identifier: BSL-1.0
// ActsCsv: events from CSV files as ACTS writes them.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/cell_features.hpp"
#include "dew/event/columns.hpp"
#include "dew/event/csv.hpp"
#include "dew/event/event_folder.hpp"
#include "dew/geometry/open_data_detector.hpp"

namespace dew {

/// What an ACTS geometry identifier says: 8 bits volume, 8 boundary, 12 layer, 8 approach, 20 sensitive (the module), 8 extra.
struct ActsGeometryId {
  std::int64_t volume = 0, boundary = 0, layer = 0, approach = 0, module = 0, extra = 0;
  static constexpr ActsGeometryId of(std::uint64_t bits) {
    auto const field = [&](int shift, int width) { return std::int64_t(bits >> shift & ((std::uint64_t(1) << width) - 1)); };
    return {.volume = field(56, 8),
            .boundary = field(48, 8),
            .layer = field(36, 12),
            .approach = field(28, 8),
            .module = field(8, 20),
            .extra = field(0, 8)};
  }
  bool operator==(ActsGeometryId const&) const = default;
};

/// Whether a particle's barcode says that it was made in a collision: 1, or 0 where it came later; −1 where it names no collision. 12 bits
/// primary vertex, 12 secondary vertex, 16 particle, 8 generation, 16 sub-particle; what is primary has none but the first and the third.
constexpr std::int64_t acts_primary(std::uint64_t barcode) {
  if (barcode >> 52 == 0) return -1;
  return (barcode & 0x000f'ff00'00ff'ffff) == 0 ? 1 : 0;
}

/// The part of ACTS's Open Data Detector whose hits a pipeline sees.
enum class ActsDetector { pixels, full };
constexpr auto names_of(ActsDetector) { return std::array{"pixels", "full"}; }

/// Events from a folder of files as ACTS's CSV writers leave them, plain or gzip'ed, and a file with the detector's modules:
///
///     event000000000-measurements.csv[.gz]            measurement_id, geometry_id, local0, local1 [mm]
///     event000000000-measurement-simhit-map.csv[.gz]  measurement_id, hit_id
///     event000000000-hits.csv[.gz]                    particle_id, a row each simulated hit: hit_id counts them from 0
///     event000000000-particles_initial.csv[.gz]       particle_id, px, py, pz [GeV]; vx, vy [mm], q if they are there;
///                                                     or -particles_simulated, -particles
///     event000000000-cells.csv[.gz]                   hit_id (a measurement), channel0, channel1, value; for `features = cells` alone
///     detectors.csv[.gz]                              see `DetectorModules`
///
/// A hit is a measurement, `hit_id` its measurement_id. Its position is where the detector's module puts its local coordinates (both, in
/// mm: Cartesian modules, strips of stereo pairs with their second coordinate); volume, layer and module are decoded from its geometry_id.
/// Its particle is the one with most of its simulated hits, of equals the first in the map; a measurement without a simulated hit is noise.
/// What is primary is read off a particle's barcode (see `acts_primary`). Columns are found by name, others are passed over. Hits outside the detector's volumes are left out.
///
/// Holds no state: calls are independent and may come from several threads. Errors name file, line and column. 50 ms for 12,000
/// measurements with their truth, most of it for unpacking.
struct ActsCsv {
  struct Options {
    std::string events = {};
    std::string detectors = {};
    ActsDetector detector = ActsDetector::pixels;
    DistinctLayers reconstructable = DistinctLayers::volume_and_layer;
    HitFeatureSet features = HitFeatureSet::standard;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(events, "", "folder of the events' files"),
                              DEW_OPTION(detectors, "", "file of the detector's modules, detectors.csv or detectors.csv.gz"),
                              DEW_OPTION(detector, "", "whose hits are seen: the pixel detector's (volumes 16, 17, 18) or all"),
                              DEW_OPTION(reconstructable, "", "what makes two of a particle's layers different, of which it needs 3"),
                              DEW_OPTION(features, "", "hit features: the 6 standard ones, or 14 with those of the cells"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "acts";

  Geometry geometry() const { return options.detector == ActsDetector::pixels ? open_data_pixel_detector() : open_data_detector(); }

  /// The numbers of the events in the folder, ascending.
  std::vector<std::int64_t> ids() const { return folder().ids({"-measurements.csv", "-measurements.csv.gz"}); }

  /// An event's hits, from its measurements (and cells) alone.
  HitRecord hits(std::int64_t id) const {
    auto const m = measurements(id);
    return with_features(detail::make_hits(geometry(), m.columns(), m.names()), id, m);
  }

  /// An event's hits and their truth.
  DetailedRecord labelled(std::int64_t id) const {
    using enum CsvColumn::Type;
    auto const m = measurements(id);
    auto const particle = particles_of(m, id);
    auto const particles = read_csv(
        particles_file(id), {{"particle_id", integer}, {"px"}, {"py"}, {"pz"}, {"vx", real, true}, {"vy", real, true}, {"q", real, true}});
    bool const has_vertex = particles.has("vx") && particles.has("vy");
    auto const where_there = [&](char const* column, bool there) {
      return there ? std::span<double const>(particles.reals(column)) : std::span<double const>();
    };
    std::vector<std::int64_t> primary;
    for (auto const barcode : particles.integers("particle_id")) primary.push_back(acts_primary(std::uint64_t(barcode)));
    auto names = m.names();
    names.particles = [&](std::size_t row) { return particles.where(row); };
    return with_features(
        detail::make_labelled(geometry(), m.columns(), {.hit_id = m.table.integers("measurement_id"), .particle_id = particle},
                              {.particle_id = particles.integers("particle_id"),
                               .px = particles.reals("px"),
                               .py = particles.reals("py"),
                               .pz = particles.reals("pz"),
                               .vx = where_there("vx", has_vertex),
                               .vy = where_there("vy", has_vertex),
                               .q = where_there("q", particles.has("q")),
                               .primary = primary},
                              options.reconstructable, names),
        id, m);
  }

  /// The numbers of all measurements in the file, in order, those that the pipeline does not see too.
  std::vector<std::int64_t> all_hit_ids(std::int64_t id) const {
    return read_csv(folder().csv(id, {"measurements"}), {{"measurement_id", CsvColumn::Type::integer}}).integers("measurement_id");
  }

  /// A hash of the content of the files that are read for an event (without its truth, or with it).
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const {
    auto const folder = this->folder();
    auto hash = content_hash(read_file(folder.csv(id, {"measurements"})), content_hash(read_file(modules_file())));
    if (options.features == HitFeatureSet::cells) hash = content_hash(read_file(folder.csv(id, {"cells"})), hash);
    if (labelled)
      for (auto const& path : {folder.csv(id, {"measurement-simhit-map"}), folder.csv(id, {"hits"}), particles_file(id)})
        hash = content_hash(read_file(path), hash);
    return hash;
  }

  bool operator==(ActsCsv const&) const = default;

 private:
  /// An event's measurements, placed in the detector.
  struct Measurements {
    DetectorModules modules;
    CsvTable table;
    std::vector<double> x, y, z;  // mm
    std::vector<std::int64_t> volume, layer, module;
    HitColumns columns() const {
      return {.hit_id = table.integers("measurement_id"), .x = x, .y = y, .z = z, .volume = volume, .layer = layer};
    }
    detail::RowNames names() const {
      auto const where = [this](std::size_t row) { return table.where(row); };
      return {.hits = where, .truth = where};
    }
  };

  EventFolder folder() const { return {name, options.events}; }
  std::string const& modules_file() const {
    check(!options.detectors.empty(), ErrorKind::usage, "acts: no file of the detector's modules is given (option detectors)");
    return options.detectors;
  }
  std::filesystem::path particles_file(std::int64_t id) const {
    return folder().csv(id, {"particles_initial", "particles_simulated", "particles"});
  }

  Measurements measurements(std::int64_t id) const {
    using enum CsvColumn::Type;
    auto const folder = this->folder();
    Measurements out{
        DetectorModules(modules_file()),
        read_csv(folder.csv(id, {"measurements"}), {{"measurement_id", integer}, {"geometry_id", integer}, {"local0"}, {"local1"}}),
        {},
        {},
        {},
        {},
        {},
        {}};
    auto const& id_of = out.table.integers("measurement_id");
    detail::check_no_duplicate(IdIndex(id_of), id_of, out.names().hits, "measurement_id");
    auto const& geometry_id = out.table.integers("geometry_id");
    auto const &local0 = out.table.reals("local0"), &local1 = out.table.reals("local1");
    for (std::size_t i = 0; i < out.table.rows(); ++i) {
      auto const place = ActsGeometryId::of(std::uint64_t(geometry_id[i]));
      auto const row = out.modules.row(place.volume, place.layer, place.module);
      if (row < 0) [[unlikely]]
        fail(ErrorKind::input, "{}: column 'geometry_id': the detector has no module {} in volume {}, layer {} ({})", out.table.where(i),
             place.module, place.volume, place.layer, geometry_id[i]);
      auto const& module = out.modules.module(row);
      auto const in = module.turned(local0[i], local1[i], 0);
      out.x.push_back(module.centre[0] + in[0]), out.y.push_back(module.centre[1] + in[1]), out.z.push_back(module.centre[2] + in[2]);
      out.volume.push_back(place.volume), out.layer.push_back(place.layer), out.module.push_back(place.module);
    }
    return out;
  }

  /// The particle of each measurement [rows].
  std::vector<std::int64_t> particles_of(Measurements const& m, std::int64_t id) const {
    using enum CsvColumn::Type;
    auto const folder = this->folder();
    auto const hits = read_csv(folder.csv(id, {"hits"}), {{"particle_id", integer}});
    auto const map = read_csv(folder.csv(id, {"measurement-simhit-map"}), {{"measurement_id", integer}, {"hit_id", integer}});
    IdIndex const index(m.table.integers("measurement_id"));
    auto const &of = map.integers("measurement_id"), &hit = map.integers("hit_id"), &particle = hits.integers("particle_id");
    std::vector<std::vector<std::pair<std::int64_t, int>>> shares(m.table.rows());  // by measurement: particle and number of its hits
    for (std::size_t i = 0; i < map.rows(); ++i) {
      auto const row = index.row(of[i]);
      if (row < 0) [[unlikely]]
        fail(ErrorKind::input, "{}: column 'measurement_id': the event has no measurement {}", map.where(i), of[i]);
      if (hit[i] < 0 || hit[i] >= std::int64_t(hits.rows())) [[unlikely]]
        fail(ErrorKind::input, "{}: column 'hit_id': the event has no simulated hit {}", map.where(i), hit[i]);
      auto const its = particle[std::size_t(hit[i])];
      if (its < 0) [[unlikely]]
        fail(ErrorKind::input, "{}: column 'particle_id': expected a particle or 0 (none), got {}", hits.where(std::size_t(hit[i])), its);
      auto& share = shares[std::size_t(row)];
      auto const at = std::find_if(share.begin(), share.end(), [&](auto const& s) { return s.first == its; });
      if (at == share.end()) share.emplace_back(its, 1);
      else ++at->second;
    }
    std::vector<std::int64_t> out;
    for (auto const& share : shares) {
      auto const most = std::max_element(share.begin(), share.end(), [](auto const& a, auto const& b) { return a.second < b.second; });
      out.push_back(most == share.end() ? 0 : most->first);
    }
    return out;
  }

  template <class R> R with_features(R const& event, std::int64_t id, Measurements const& m) const {
    if (options.features == HitFeatureSet::standard) return event;
    using enum CsvColumn::Type;
    auto const cells =
        read_csv(folder().csv(id, {"cells"}), {{"hit_id", integer}, {"channel0", integer}, {"channel1", integer}, {"value"}});
    return R(event.with(key::hit_features = cell_features(event, m.columns(), m.module,
                                                          {.hit_id = cells.integers("hit_id"),
                                                           .channel0 = cells.integers("channel0"),
                                                           .channel1 = cells.integers("channel1"),
                                                           .value = cells.reals("value")},
                                                          m.modules, m.names(), [&](std::size_t row) { return cells.where(row); })));
  }
};
static_assert(EventSource<ActsCsv>);

}  // namespace dew
