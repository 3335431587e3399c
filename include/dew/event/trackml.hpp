// SPDX-License-Identifier: BSL-1.0
// TrackMl: events from CSV files in the layout of the TrackML challenge.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/cell_features.hpp"
#include "dew/event/columns.hpp"
#include "dew/event/csv.hpp"
#include "dew/event/event_folder.hpp"

namespace dew {

/// The part of TrackML's detector whose hits a pipeline sees.
enum class TrackMlDetector { pixels, full };
constexpr auto names_of(TrackMlDetector) { return std::array{"pixels", "full"}; }

/// Events from a folder of files as TrackML writes them, plain or gzip'ed:
///
///     event000001000-hits.csv[.gz]        hit_id, x, y, z [mm], volume_id, layer_id
///     event000001000-truth.csv[.gz]       hit_id, particle_id, weight if it is there; or -truth_partial.csv[.gz]
///     event000001000-particles.csv[.gz]   particle_id, px, py, pz [GeV]; vx, vy [mm], q, primary (1 or 0) if they are there
///     event000001000-cells.csv[.gz]       hit_id, ch0, ch1, value; for `features = cells` alone, with the hits' module_id and `detectors`
///
/// Columns are found by name, others are passed over. Only the hits file is needed for `hits`. Of a file that is there
/// twice, the plain one is read. Hits outside the geometry's volumes are left out; hits without a row in the truth are unknown (id −1);
/// particles that the particles file does not have get pt 0 and η 0.
///
/// Holds no state: calls are independent and may come from several threads. Errors name file, line and column (see `read_csv`,
/// `make_hits`). About 5 ms for 15,000 hits with their truth, 40 ms for 100,000; features of cells take some 15 ms more.
struct TrackMl {
  struct Options {
    std::string events = {};
    TrackMlDetector detector = TrackMlDetector::pixels;
    DistinctLayers reconstructable = DistinctLayers::volume_and_layer;
    std::string detectors = {};
    HitFeatureSet features = HitFeatureSet::standard;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(events, "", "folder of the events' files"),
                              DEW_OPTION(detector, "", "whose hits are seen: the pixel detector's (volumes 7, 8, 9) or all"),
                              DEW_OPTION(reconstructable, "", "what makes two of a particle's layers different, of which it needs 3"),
                              DEW_OPTION(detectors, "", "file of the detector's modules, detectors.csv[.gz]; for features of the cells"),
                              DEW_OPTION(features, "", "hit features: the 6 standard ones, or 14 with those of the cells"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "trackml";

  Geometry geometry() const { return options.detector == TrackMlDetector::pixels ? pixel_detector() : full_detector(); }

  /// The numbers of the events in the folder, ascending.
  std::vector<std::int64_t> ids() const { return folder().ids({"-hits.csv", "-hits.csv.gz"}); }

  /// An event's hits, from its hits file (and cells) alone.
  HitRecord hits(std::int64_t id) const {
    auto const table = hits_table(id);
    return with_features(detail::make_hits(geometry(), hit_columns(table), {.hits = rows_of(table)}), id, table);
  }

  /// An event's hits and their truth.
  DetailedRecord labelled(std::int64_t id) const {
    using enum CsvColumn::Type;
    auto const tables = read_csv_files({hits_file(id),
                                        {truth_file(id), {{"hit_id", integer}, {"particle_id", integer}, {"weight", real, true}}},
                                        {file(id, {"particles"}),
                                         {{"particle_id", integer},
                                          {"px"},
                                          {"py"},
                                          {"pz"},
                                          {"vx", real, true},
                                          {"vy", real, true},
                                          {"q", real, true},
                                          {"primary", integer, true}}}});
    auto const &hits = tables[0], &truth = tables[1], &particles = tables[2];
    bool const has_vertex = particles.has("vx") && particles.has("vy");
    auto const where_there = [](CsvTable const& table, char const* column, bool there) {
      return there ? std::span<double const>(table.reals(column)) : std::span<double const>();
    };
    auto const event =
        detail::make_labelled(geometry(), hit_columns(hits),
                              {.hit_id = truth.integers("hit_id"),
                               .particle_id = truth.integers("particle_id"),
                               .weight = where_there(truth, "weight", truth.has("weight"))},
                              {.particle_id = particles.integers("particle_id"),
                               .px = particles.reals("px"),
                               .py = particles.reals("py"),
                               .pz = particles.reals("pz"),
                               .vx = where_there(particles, "vx", has_vertex),
                               .vy = where_there(particles, "vy", has_vertex),
                               .q = where_there(particles, "q", particles.has("q")),
                               .primary = particles.has("primary") ? std::span<std::int64_t const>(particles.integers("primary"))
                                                                   : std::span<std::int64_t const>()},
                              options.reconstructable, {.hits = rows_of(hits), .truth = rows_of(truth), .particles = rows_of(particles)});
    return with_features(event, id, hits);
  }

  /// The numbers of all hits in the file, in order, those that the pipeline does not see too.
  std::vector<std::int64_t> all_hit_ids(std::int64_t id) const { return hits_table(id).integers("hit_id"); }

  /// A hash of the content of an event's files (what `hits` reads, or with its truth).
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const {
    auto hash = content_hash(read_file(file(id, {"hits"})));
    if (options.features == HitFeatureSet::cells)
      for (auto const& path : {file(id, {"cells"}), modules_file()}) hash = content_hash(read_file(path), hash);
    if (labelled)
      for (auto const& path : {truth_file(id), file(id, {"particles"})}) hash = content_hash(read_file(path), hash);
    return hash;
  }

  bool operator==(TrackMl const&) const = default;

 private:
  EventFolder folder() const { return {name, options.events}; }
  std::filesystem::path file(std::int64_t id, std::initializer_list<std::string_view> kinds) const { return folder().csv(id, kinds); }
  std::filesystem::path modules_file() const {
    check(!options.detectors.empty(), ErrorKind::usage, "trackml: features of cells need the detector's modules (option detectors)");
    return options.detectors;
  }
  std::filesystem::path truth_file(std::int64_t id) const { return file(id, {"truth", "truth_partial"}); }
  CsvFile hits_file(std::int64_t id) const {
    using enum CsvColumn::Type;
    std::vector<CsvColumn> columns{{"hit_id", integer}, {"x"}, {"y"}, {"z"}, {"volume_id", integer}, {"layer_id", integer}};
    if (options.features == HitFeatureSet::cells) columns.push_back({"module_id", integer});
    return {file(id, {"hits"}), columns};
  }
  CsvTable hits_table(std::int64_t id) const {
    auto const hits = hits_file(id);
    return read_csv(hits.path, hits.columns);
  }
  static HitColumns hit_columns(CsvTable const& table) {
    return {.hit_id = table.integers("hit_id"),
            .x = table.reals("x"),
            .y = table.reals("y"),
            .z = table.reals("z"),
            .volume = table.integers("volume_id"),
            .layer = table.integers("layer_id")};
  }
  template <class R> R with_features(R const& event, std::int64_t id, CsvTable const& hits) const {
    if (options.features == HitFeatureSet::standard) return event;
    using enum CsvColumn::Type;
    DetectorModules const modules(modules_file());
    auto const cells = read_csv(file(id, {"cells"}), {{"hit_id", integer}, {"ch0", integer}, {"ch1", integer}, {"value"}});
    return R(event.with(key::hit_features = cell_features(event, hit_columns(hits), hits.integers("module_id"),
                                                          {.hit_id = cells.integers("hit_id"),
                                                           .channel0 = cells.integers("ch0"),
                                                           .channel1 = cells.integers("ch1"),
                                                           .value = cells.reals("value")},
                                                          modules, {.hits = rows_of(hits)}, rows_of(cells))));
  }
  static std::function<std::string(std::size_t)> rows_of(CsvTable const& table) {
    return [&table](std::size_t row) { return table.where(row); };
  }
};
static_assert(EventSource<TrackMl>);

}  // namespace dew
