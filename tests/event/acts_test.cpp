// SPDX-License-Identifier: BSL-1.0
#include "dew/event/acts.hpp"

#include <doctest/doctest.h>

#include "event/gzip_writer.hpp"
#include "support/data.hpp"
#include "support/print.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using test::put_file;

namespace {
/// A geometry identifier, written as ACTS packs it.
constexpr std::int64_t geometry_id(std::int64_t volume, std::int64_t layer, std::int64_t module) {
  return volume << 56 | layer << 36 | module << 8;
}
std::int64_t constexpr big = 855686265662603265;  // no double holds it

// Measurements 40 (barrel, layer 2), 41 (left endcap), 42 (strips: not a pixel), 43 (barrel, layer 4), 44 (barrel, layer 6), 45 (barrel, layer 2).
// Their local_key is a byte that is no number, as ACTS writes it.
std::string const good_measurements = fmt::format(
    "measurement_id,geometry_id,local_key,local0,local1,time\n40,{},\x06,1.5,-2,0\n41,{},\x06,3,4,0\n42,{},\x06,1,1,0\n43,{},\x06,0,0.25,"
    "0\n"
    "44,{},\x06,0.5,10,0\n45,{},\x06,-1,0,0\n",
    geometry_id(17, 2, 3), geometry_id(16, 4, 1), geometry_id(23, 2, 1), geometry_id(17, 4, 1), geometry_id(17, 6, 2),
    geometry_id(17, 2, 3));
// The simulated hits, rows 0 to 5: of particles big, big, 7, 7, big, big.
std::string const good_hits =
    fmt::format("particle_id,geometry_id,tx,index\n{0},1,0,5\n{0},1,0,5\n7,1,0,5\n7,1,0,5\n{0},1,0,5\n{0},1,0,5\n", big);
// 40: big. 41: 7, big, big. 42: 7. 43: 7 and big, a tie. 44: big. 45: none
std::string const good_map = "measurement_id,hit_id\n40,0\n41,2\n41,1\n41,4\n42,3\n43,3\n43,0\n44,5\n";
std::string const good_particles =
    fmt::format("particle_id,particle_type,vx,vy,vz,px,py,pz,q\n{},13,3,4,0,3,-4,12,-1\n7,13,0,0,0,1,0,0,1\n", big);
std::string const good_cells =
    "geometry_id,hit_id,channel0,channel1,timestamp,value\n0,40,5,6,0,1\n0,40,6,8,0,2\n0,41,1,1,0,4\n0,42,1,1,0,1\n0,43,2,2,0,1\n"
    "0,44,3,3,0,1\n0,45,1,1,0,1\n";
std::string const good_detectors =
    "geometry_id,volume_id,boundary_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,module_t,"
    "pitch_u,pitch_v\n"
    "1,17,0,2,0,0,0,0,1,0,0,0,1,0,0,0,1,-1,-1,-1\n"       // the layer itself
    "1,17,0,2,3,30,1,5,0,0,1,1,0,0,0,1,0,0.25,0.1,0.2\n"  // (u, v, w) → (w, u, v)
    "1,17,0,4,1,70,2,6,0.6,0,0.8,0.8,0,-0.6,0,1,0,0.25,0.1,0.2\n"
    "1,17,0,6,2,110,3,7,0,0,1,1,0,0,0,1,0,0.25,0.1,0.2\n"
    "1,16,0,4,1,-50,8,-1500,0,-1,0,1,0,0,0,0,1,0.25,0.1,0.2\n"
    "1,23,0,2,1,300,0,-2900,1,0,0,0,1,0,0,0,1,0.25,-1,-1\n";

class Files {
 public:
  Files() {
    put("measurements.csv", good_measurements), put("measurement-simhit-map.csv", good_map), put("hits.csv", good_hits);
    put("particles_initial.csv", good_particles), put("cells.csv", good_cells), detectors(good_detectors);
  }
  void put(std::string const& name, std::string_view bytes) const { put_file(folder_ / ("event000000007-" + name), bytes); }
  void detectors(std::string_view bytes) const { put_file(folder_ / "detectors.csv", bytes); }
  void remove(std::string const& name) const { std::filesystem::remove(folder_ / ("event000000007-" + name)); }
  ActsCsv source() const { return ActsCsv{{.events = folder_.path().string(), .detectors = (folder_ / "detectors.csv").string()}}; }
  template <class F> std::string message(F&& f) const {
    try {
      f(source());
      return "no error";
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::input);
      std::string text = e.what();
      for (auto const& folder : {folder_.path().string() + "/event000000007-", folder_.path().string() + "/"})
        for (auto at = text.find(folder); at != text.npos; at = text.find(folder)) text.erase(at, folder.size());
      return text;
    }
  }

 private:
  test::TempDir folder_;
};
template <class T> std::vector<T> values(Tensor const& t) {
  auto const flat = t.contiguous();
  return std::vector<T>(flat.const_data_ptr<T>(), flat.const_data_ptr<T>() + flat.numel());
}
std::string with(std::string text, std::string_view from, std::string_view to) {
  auto const at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}
template <class R> bool equal(R const& a, R const& b) {
  bool same = true;
  a.for_each([&]<class K>(K, Tensor const& t) { same = same && at::equal(t, b[K{}]); });
  return same;
}
using Integers = std::vector<std::int64_t>;
using Reals = std::vector<float>;
}  // namespace

TEST_CASE("a geometry identifier is taken apart") {
  CHECK(bool(ActsGeometryId::of(0x1000004000000201) == ActsGeometryId{.volume = 16, .layer = 4, .module = 2, .extra = 1}));
  CHECK(bool(ActsGeometryId::of(0xffffffffffffffff) ==
             ActsGeometryId{.volume = 255, .boundary = 255, .layer = 4095, .approach = 255, .module = 1048575, .extra = 255}));
  CHECK(bool(ActsGeometryId::of(std::uint64_t(geometry_id(17, 2, 3))) == ActsGeometryId{.volume = 17, .layer = 2, .module = 3}));
}

TEST_CASE("an ACTS barcode says what is primary") {
  auto const barcode = [](std::uint64_t primary, std::uint64_t secondary, std::uint64_t particle, std::uint64_t generation,
                          std::uint64_t sub) { return primary << 52 | secondary << 40 | particle << 24 | generation << 16 | sub; };
  CHECK(acts_primary(4503599644147712) == 1);  // from a file of ACTS
  CHECK(acts_primary(barcode(4095, 0, 65535, 0, 0)) == 1);
  CHECK(acts_primary(barcode(1, 1, 1, 0, 0)) == 0);
  CHECK(acts_primary(barcode(1, 2048, 1, 0, 0)) == 0);
  CHECK(acts_primary(barcode(1, 0, 1, 1, 0)) == 0);
  CHECK(acts_primary(barcode(1, 0, 1, 128, 0)) == 0);
  CHECK(acts_primary(barcode(1, 0, 1, 0, 1)) == 0);
  CHECK(acts_primary(barcode(1, 0, 1, 0, 32768)) == 0);
  CHECK(acts_primary(barcode(0, 0, 7, 0, 0)) == -1);
}

TEST_CASE("an ACTS event is read from its files: measurements in place, most of their simulated hits, particles") {
  Files const files;
  auto const source = files.source();
  CHECK(source.ids() == Integers{7});
  auto const event = source.labelled(7);
  CHECK(values<std::int64_t>(event[key::hit_id]) == Integers{40, 41, 43, 44, 45});
  CHECK(values<std::int64_t>(event[key::layer]) == Integers{7, 0, 8, 9, 7});
  // centre + R·(local0, local1, 0)
  CHECK(values<float>(event[key::position]) == Reals{30, 2.5, 3, /**/ -54, 11, -1500, /**/ 70, 2, 6.25, /**/ 110, 3.5, 17, /**/ 30, 0, 5});
  CHECK(values<std::int64_t>(event[key::particle_id]) == Integers{big, big, 7, big, 0});
  CHECK(values<std::int64_t>(event[key::truth_id]) == Integers{7, big});
  CHECK(values<float>(event[key::truth_pt]) == Reals{1, 5});
  CHECK(values<float>(event[key::truth_radius]) == Reals{0, 5});
  CHECK(values<float>(event[key::truth_charge]) == Reals{1, -1});
  CHECK(values<std::int64_t>(event[key::truth_primary]) == Integers{-1, acts_primary(std::uint64_t(big))});
  CHECK(values<std::int64_t>(event[key::truth_hits]) == Integers{1, 3});
  CHECK(values<bool>(event[key::truth_reconstructable]) == std::vector<bool>{false, true});
  CHECK(source.all_hit_ids(7) == Integers{40, 41, 42, 43, 44, 45});
  CHECK(equal(source.hits(7), HitRecord(event)));
  auto full = source;
  full.options.detector = ActsDetector::full;
  CHECK(values<std::int64_t>(full.hits(7)[key::layer]) == Integers{7, 0, 18, 8, 9, 7});
  CHECK(values<std::int64_t>(full.labelled(7)[key::particle_id]) == Integers{big, big, 7, 7, big, 0});
}

TEST_CASE("an ACTS event: bare hits need measurements and modules alone - gzip'ed files and other names of the particles' file") {
  Files const files;
  auto const plain = files.source().labelled(7);
  auto const bare = files.source().hits(7);
  files.put("particles_simulated.csv.gz", test::gzip(good_particles)), files.remove("particles_initial.csv");
  files.put("measurements.csv.gz", test::gzip(good_measurements)), files.remove("measurements.csv");
  CHECK(equal(files.source().labelled(7), plain));
  CHECK(files.source().ids() == Integers{7});
  for (auto const* name : {"hits.csv", "measurement-simhit-map.csv", "particles_simulated.csv.gz", "cells.csv"}) files.remove(name);
  CHECK(equal(files.source().hits(7), bare));
  CHECK(files.message([](auto s) { s.labelled(7); }) == "hits.csv: no such file, nor one that ends in .gz");
  CHECK_THROWS_WITH_AS(ActsCsv{}.ids(), "acts: no folder of events is given", Error);
  auto source = files.source();
  source.options.detectors = "";
  CHECK_THROWS_WITH_AS(source.hits(7), "acts: no file of the detector's modules is given (option detectors)", Error);
}

TEST_CASE("an ACTS event: cell features where the pitch is known") {
  Files const files;
  auto source = files.source();
  source.options.features = HitFeatureSet::cells;
  auto const x = source.labelled(7)[key::hit_features];
  CHECK(shape_text(x) == "[5, 14]");
  CHECK(x[0][feature_column::mean_charge].item<float>() == doctest::Approx(1.5));
  CHECK(x[0][feature_column::length_u].item<float>() == doctest::Approx(0.2));
  CHECK(x[0][feature_column::length_v].item<float>() == doctest::Approx(0.6));
  CHECK(x[0][feature_column::global_phi].item<float>() == doctest::Approx(std::atan2(0.2, 0.5)));
  CHECK(at::equal(x, source.hits(7)[key::hit_features]));
  source.options.detector = ActsDetector::full;
  CHECK_THROWS_WITH_AS(source.hits(7), doctest::Contains("detectors.csv:7: column 'pitch_u': expected a length above 0, got -1"), Error);
}

TEST_CASE("broken ACTS files end in FILE:LINE: what, with the column") {
  struct Broken { std::string file, bytes, message; };
  std::vector<Broken> const kinds{
      {"measurements.csv", with(good_measurements, "local1", "l1"),
       "measurements.csv:1: column 'local1' is missing; there are measurement_id, geometry_id, local_key, local0, l1, time"},
      {"measurements.csv", with(good_measurements, "-2,0", "x,0"), "measurements.csv:2: column 'local1': expected a number, got 'x'"},
      {"measurements.csv", with(good_measurements, "\n41,", "\n40,"),
       "measurements.csv:3: column 'measurement_id': duplicate 40, first at measurements.csv:2"},
      {"measurements.csv", with(good_measurements, fmt::to_string(geometry_id(17, 4, 1)), fmt::to_string(geometry_id(17, 4, 9))),
       fmt::format("measurements.csv:5: column 'geometry_id': the detector has no module 9 in volume 17, layer 4 ({})",
                   geometry_id(17, 4, 9))},
      {"measurement-simhit-map.csv", with(good_map, "42,3", "50,3"),
       "measurement-simhit-map.csv:6: column 'measurement_id': the event has no measurement 50"},
      {"measurement-simhit-map.csv", with(good_map, "42,3", "42,6"),
       "measurement-simhit-map.csv:6: column 'hit_id': the event has no simulated hit 6"},
      {"hits.csv", with(good_hits, "\n7,", "\n-7,"), "hits.csv:4: column 'particle_id': expected a particle or 0 (none), got -7"},
      {"hits.csv", with(good_hits, "\n7,", "\n7.5,"), "hits.csv:4: column 'particle_id': expected an integer, got '7.5'"},
      {"particles_initial.csv", with(good_particles, "\n7,", fmt::format("\n{},", big)),
       fmt::format("particles_initial.csv:3: column 'particle_id': duplicate {}, first at particles_initial.csv:2", big)},
      {"particles_initial.csv", with(good_particles, "12,-1", "inf,-1"),
       "particles_initial.csv:2: column 'pz': expected a finite number, got 'inf'"},
  };
  for (auto const& kind : kinds) {
    CAPTURE(kind.message);
    Files const files;
    files.put(kind.file, kind.bytes);
    CHECK(files.message([](auto s) { s.labelled(7); }) == kind.message);
    if (kind.file == "measurements.csv") CHECK(files.message([](auto s) { s.hits(7); }) == kind.message);
    else CHECK(files.source().hits(7).rows(Hits{}) == 5);
  }
  CHECK(Files().message([](auto s) { s.labelled(7); }) == "no error");
}

TEST_CASE("an ACTS fingerprint changes with the files that are read, and with nothing else") {
  Files const files;
  auto const source = files.source();
  auto const bare = source.fingerprint(7, false), labelled = source.fingerprint(7, true);
  CHECK(bare != labelled);
  files.put("cells.csv", "x");
  CHECK(source.fingerprint(7, true) == labelled);
  files.put("hits.csv", good_hits + "7,1,0,5\n");
  CHECK(source.fingerprint(7, false) == bare);
  CHECK(source.fingerprint(7, true) != labelled);
  files.put("hits.csv", good_hits), files.detectors(with(good_detectors, "110", "111"));
  CHECK(source.fingerprint(7, false) != bare);
}

TEST_CASE("the Open Data Detector: layers and pairs as TrackML's pixels, then the strips") {
  auto const pixels = open_data_pixel_detector(), full = open_data_detector();
  CHECK(pixels.layer_count() == 18);
  CHECK(full.layer_count() == 48);
  CHECK(pixels.index({16, 4}) == pixel_layer::left_far);
  CHECK(pixels.index({16, 16}) == pixel_layer::left_near);
  CHECK(pixels.index({17, 2}) == pixel_layer::barrel_inner);
  CHECK(pixels.index({18, 14}) == pixel_layer::right_far);
  CHECK(pixels.index({16, 2}) == -1);
  for (std::int64_t i = 0; i < 18; ++i) CHECK(bool(full.layers()[std::size_t(i)] == pixels.layers()[std::size_t(i)]));
  auto const pairs = pixels.pairs(), trackml = pixel_detector().pairs();
  REQUIRE(pairs.size() == trackml.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    CHECK((pairs[i].inner == trackml[i].inner && pairs[i].outer == trackml[i].outer && pairs[i].transition == trackml[i].transition));
    CHECK((pairs[i].crossing_r_mm > 0) == (trackml[i].crossing_r_mm > 0));
  }
}

TEST_CASE("recorded ACTS events: every measurement is where its particle was, and every particle is known") {
  auto const folder = test::test_data("acts");
  if (!folder) return;
  ActsCsv const source{
      {.events = (*folder / "exact").string(), .detectors = (*folder / "detectors.csv.gz").string(), .detector = ActsDetector::full}};
  CHECK(source.ids() == Integers{0});
  auto const event = source.labelled(0);
  CHECK(event.rows(Hits{}) == 11862);
  auto const simulated = read_csv(*folder / "exact/event000000000-hits.csv.gz", {{"tx"}, {"ty"}, {"tz"}});
  std::size_t column = 0;
  for (auto const* name : {"tx", "ty", "tz"}) {
    auto const& exact = simulated.reals(name);
    auto const x = event[key::position].select(1, std::int64_t(column++)).to(at::kDouble).contiguous();
    double worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) worst = std::max(worst, std::abs(x.const_data_ptr<double>()[i] - exact[i]));
    CHECK(worst < 2e-4);  // the simulation stops inside the module
  }
  CHECK((event[key::particle_id] > 0).all().item<bool>());
  CHECK(event.rows(Particles{}) <= 1000);
  CHECK(event.rows(Particles{}) > 950);
  CHECK((event[key::truth_pt] > 0).all().item<bool>());
  CHECK((event[key::truth_radius] >= 0).all().item<bool>());
  CHECK((event[key::truth_charge].abs() == 1).all().item<bool>());
  CHECK((event[key::truth_primary] == 1).all().item<bool>());
  CHECK(at::isfinite(event[key::hit_features]).all().item<bool>());
  auto pixels = source;
  pixels.options.detector = ActsDetector::pixels;
  CHECK(pixels.hits(0).rows(Hits{}) == 3125 + 1609 + 1282);
  ActsCsv const geometric{
      {.events = (*folder / "geometric").string(), .detectors = (*folder / "detectors.csv.gz").string(), .detector = ActsDetector::full}};
  CHECK(geometric.labelled(0).rows(Hits{}) == 10907);
}
