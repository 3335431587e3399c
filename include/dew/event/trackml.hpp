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
#include "dew/event/columns.hpp"
#include "dew/event/csv.hpp"

namespace dew {

/// The part of TrackML's detector whose hits a pipeline sees.
enum class TrackMlDetector { pixels, full };
constexpr auto names_of(TrackMlDetector) { return std::array{"pixels", "full"}; }

/// Events from a folder of files as TrackML writes them, plain or gzip'ed:
///
///     event000001000-hits.csv[.gz]        hit_id, x, y, z [mm], volume_id, layer_id
///     event000001000-truth.csv[.gz]       hit_id, particle_id; or -truth_partial.csv[.gz]
///     event000001000-particles.csv[.gz]   particle_id, px, py, pz [GeV]
///
/// Columns are found by name, others are passed over; cells are not read. Only the hits file is needed for `hits`. Of a file that is there
/// twice, the plain one is read. Hits outside the geometry's volumes are left out; hits without a row in the truth are unknown (id −1);
/// particles that the particles file does not have get pt 0 and η 0.
///
/// Holds no state: calls are independent and may come from several threads. Errors name file, line and column (see `read_csv`, `make_hits`).
/// About 10 ms for 15,000 hits with their truth, 60 ms for 100,000.
struct TrackMl {
  struct Options {
    std::string events = {};
    TrackMlDetector detector = TrackMlDetector::pixels;
    DistinctLayers reconstructable = DistinctLayers::volume_and_layer;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(events, "", "folder of the events' files"),
                              DEW_OPTION(detector, "", "whose hits are seen: the pixel detector's (volumes 7, 8, 9) or all"),
                              DEW_OPTION(reconstructable, "", "what makes two of a particle's layers different, of which it needs 3"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "trackml";

  Geometry geometry() const { return options.detector == TrackMlDetector::pixels ? pixel_detector() : full_detector(); }

  /// The numbers of the events in the folder, ascending.
  std::vector<std::int64_t> ids() const {
    std::vector<std::int64_t> out;
    std::error_code error;
    auto const folder = this->folder();
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
      if (auto const id = event_of(at->path().filename().string()); id >= 0) out.push_back(id);
    check(!error, ErrorKind::input, "{}: {}", folder.string(), error.message());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  /// An event's hits, from its hits file alone.
  HitRecord hits(std::int64_t id) const {
    auto const table = hits_table(id);
    return detail::make_hits(geometry(), hit_columns(table), {.hits = rows_of(table)});
  }

  /// An event's hits and their truth.
  LabelledRecord labelled(std::int64_t id) const {
    using enum CsvColumn::Type;
    auto const hits = hits_table(id);
    auto const truth = read_csv(truth_file(id), {{"hit_id", integer}, {"particle_id", integer}});
    auto const particles = read_csv(file(id, {"particles"}), {{"particle_id", integer}, {"px"}, {"py"}, {"pz"}});
    return detail::make_labelled(
        geometry(), hit_columns(hits), {.hit_id = truth.integers("hit_id"), .particle_id = truth.integers("particle_id")},
        {.particle_id = particles.integers("particle_id"),
         .px = particles.reals("px"),
         .py = particles.reals("py"),
         .pz = particles.reals("pz")},
        options.reconstructable, {.hits = rows_of(hits), .truth = rows_of(truth), .particles = rows_of(particles)});
  }

  /// The numbers of all hits in the file, in order, those that the pipeline does not see too.
  std::vector<std::int64_t> all_hit_ids(std::int64_t id) const { return hits_table(id).integers("hit_id"); }

  /// A hash of the content of an event's files (the hits file alone, or with its truth).
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const {
    auto hash = content_hash(read_file(file(id, {"hits"})));
    if (labelled)
      for (auto const& path : {truth_file(id), file(id, {"particles"})}) hash = content_hash(read_file(path), hash);
    return hash;
  }

  bool operator==(TrackMl const&) const = default;

 private:
  static std::string stem(std::int64_t id) { return fmt::format("event{:09}-", id); }
  /// The number of the event of which this is the hits file, −1 for other files.
  static std::int64_t event_of(std::string_view file) {
    if (file.ends_with(".gz")) file.remove_suffix(3);
    constexpr std::string_view front = "event", back = "-hits.csv";
    if (!file.starts_with(front) || !file.ends_with(back) || file.size() < front.size() + back.size() + 9) return -1;
    auto const digits = file.substr(front.size(), file.size() - front.size() - back.size());
    std::int64_t id = -1;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    return error == std::errc() && end == digits.data() + digits.size() && stem(id) + "hits.csv" == file ? id : -1;
  }
  std::filesystem::path folder() const {
    check(!options.events.empty(), ErrorKind::usage, "trackml: no folder of events is given");
    std::filesystem::path path = options.events;
    check(std::filesystem::is_directory(path), ErrorKind::input, "{}: no such folder", path.string());
    return path;
  }
  /// The first of these files that there is.
  std::filesystem::path file(std::int64_t id, std::initializer_list<std::string_view> kinds) const {
    auto const folder = this->folder();
    for (auto kind : kinds)
      for (auto end : {".csv", ".csv.gz"})
        if (auto path = folder / (stem(id) + std::string(kind) + end); std::filesystem::exists(path)) return path;
    fail(ErrorKind::input, "{}: no such file, nor one that ends in .gz",
         (folder / (stem(id) + std::string(*kinds.begin()) + ".csv")).string());
  }
  std::filesystem::path truth_file(std::int64_t id) const { return file(id, {"truth", "truth_partial"}); }
  CsvTable hits_table(std::int64_t id) const {
    using enum CsvColumn::Type;
    return read_csv(file(id, {"hits"}), {{"hit_id", integer}, {"x"}, {"y"}, {"z"}, {"volume_id", integer}, {"layer_id", integer}});
  }
  static HitColumns hit_columns(CsvTable const& table) {
    return {.hit_id = table.integers("hit_id"),
            .x = table.reals("x"),
            .y = table.reals("y"),
            .z = table.reals("z"),
            .volume = table.integers("volume_id"),
            .layer = table.integers("layer_id")};
  }
  static std::function<std::string(std::size_t)> rows_of(CsvTable const& table) {
    return [&table](std::size_t row) { return table.where(row); };
  }
};
static_assert(EventSource<TrackMl>);

}  // namespace dew
