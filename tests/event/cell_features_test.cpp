// SPDX-License-Identifier: BSL-1.0
#include "dew/event/cell_features.hpp"

#include <doctest/doctest.h>

#include "dew/event/trackml.hpp"
#include "event/gzip_writer.hpp"
#include "support/data.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using test::put_file;

namespace {
std::string const good_hits =
    "hit_id,x,y,z,volume_id,layer_id,module_id\n3,32,1,-10,8,2,1\n1,72,2,-20.5,8,4,7\n9,260,5,0,13,2,1\n5,-50,9,600,9,2,1\n";
std::string const good_cells = "hit_id,ch0,ch1,value\n1,10,20,0.5\n3,7,7,1.25\n1,11,18,0.25\n5,0,3,2\n1,13,19,0.125\n9,1,1,1\n5,0,4,1\n";
// the modules of (8, 2), (8, 4), (9, 2): turned about different axes; another of (8, 4) that no hit is on, without a pitch
std::string const good_detectors =
    "volume_id,layer_id,module_id,cx,cy,cz,rot_xu,rot_xv,rot_xw,rot_yu,rot_yv,rot_yw,rot_zu,rot_zv,rot_zw,module_t,module_minhu,module_"
    "maxhu,"
    "module_hv,pitch_u,pitch_v\n"
    "8,2,1,32,0,0,0,0,1,1,0,0,0,1,0,0.15,8,8,36,0.05,0.056\n"
    "8,4,6,72,0,0,0,0,1,1,0,0,0,1,0,0.15,8,8,36,-1,-1\n"
    "8,4,7,72,0,0,0.6,0,0.8,0.8,0,-0.6,0,1,0,0.2,8,8,36,0.05,0.06\n"
    "9,2,1,-50,0,600,0,-1,0,1,0,0,0,0,1,0.25,8,8,36,0.1,0.4\n";

class Files {
 public:
  Files() {
    put("hits.csv", good_hits), put("cells.csv", good_cells);
    put("truth.csv", "hit_id,particle_id,weight\n1,4,1\n"),
        put("particles.csv", "particle_id,vx,vy,vz,px,py,pz,q,nhits\n4,0,0,0,1,1,1,1,2\n");
    detectors(good_detectors);
  }
  void put(std::string const& name, std::string_view bytes) const { put_file(folder_ / ("event000000007-" + name), bytes); }
  void detectors(std::string_view bytes) const { put_file(folder_ / "detectors.csv", bytes); }
  TrackMl source() const {
    return TrackMl{
        {.events = folder_.path().string(), .detectors = (folder_ / "detectors.csv").string(), .features = HitFeatureSet::cells}};
  }
  std::string message(ErrorKind kind = ErrorKind::input) const {
    try {
      source().hits(7);
      return "no error";
    } catch (Error const& e) {
      CHECK(e.kind() == kind);
      std::string text = e.what();
      for (auto const& folder : {folder_.path().string() + "/event000000007-", folder_.path().string() + "/"})
        for (auto at = text.find(folder); at != text.npos; at = text.find(folder)) text.erase(at, folder.size());
      return text;
    }
  }

 private:
  test::TempDir folder_;
};
std::string with(std::string text, std::string_view from, std::string_view to) {
  auto const at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

/// The features behind the standard ones, by the formulas of the definitions, over all cells for each hit.
struct Cell {
  std::int64_t hit, ch0, ch1;
  double value;
};
struct Module { double r[9], t, pu, pv; };
std::vector<double> by_loops(std::int64_t hit, std::vector<Cell> const& cells, Module const& m) {
  double n = 0, q = 0, lo0 = 1e300, hi0 = -1e300, lo1 = 1e300, hi1 = -1e300;
  for (auto const& c : cells) {
    if (c.hit != hit) continue;
    n += 1, q += c.value;
    lo0 = std::min(lo0, double(c.ch0)), hi0 = std::max(hi0, double(c.ch0)), lo1 = std::min(lo1, double(c.ch1)),
    hi1 = std::max(hi1, double(c.ch1));
  }
  double const l[3] = {(hi0 - lo0 + 1) * m.pu, (hi1 - lo1 + 1) * m.pv, 2 * m.t};
  double g[3] = {0, 0, 0};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) g[i] += m.r[3 * i + j] * l[j];
  auto const eta = [](double const* a) {
    return -std::log(std::tan(0.5 * std::acos(a[2] / std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]))));
  };
  return {q / n, eta(l), std::atan2(l[1], l[0]), l[0], l[1], l[2], eta(g), std::atan2(g[1], g[0])};
}
void check_rows(Tensor const& got, std::vector<double> const& expected) {
  REQUIRE(got.size(0) == std::int64_t(expected.size()));
  for (std::size_t c = 0; c < expected.size(); ++c) {
    CAPTURE(c);
    CHECK(got[std::int64_t(c)].item<double>() == doctest::Approx(expected[c]).epsilon(1e-5));
  }
}
}  // namespace

TEST_CASE("cell features: by definition, behind the standard ones, for the hits that are seen") {
  Files const files;
  auto const event = files.source().labelled(7);
  auto const x = event[key::hit_features];
  CHECK(shape_text(x) == "[3, 14]");
  CHECK(at::equal(x.narrow(1, 0, 6), node_features(event[key::position])));
  std::vector<Cell> const cells{{1, 10, 20, 0.5}, {3, 7, 7, 1.25}, {1, 11, 18, 0.25}, {5, 0, 3, 2}, {1, 13, 19, 0.125}, {5, 0, 4, 1}};
  check_rows(x[0].narrow(0, 6, 8), by_loops(3, cells, {{0, 0, 1, 1, 0, 0, 0, 1, 0}, 0.15, 0.05, 0.056}));
  check_rows(x[1].narrow(0, 6, 8), by_loops(1, cells, {{0.6, 0, 0.8, 0.8, 0, -0.6, 0, 1, 0}, 0.2, 0.05, 0.06}));
  check_rows(x[2].narrow(0, 6, 8), by_loops(5, cells, {{0, -1, 0, 1, 0, 0, 0, 0, 1}, 0.25, 0.1, 0.4}));
  // hit 1 by hand: channels 10 to 13 and 18 to 20
  CHECK(x[1][feature_column::mean_charge].item<double>() == doctest::Approx(0.875 / 3));
  CHECK(x[1][feature_column::length_u].item<double>() == doctest::Approx(0.2));
  CHECK(x[1][feature_column::length_v].item<double>() == doctest::Approx(0.18));
  CHECK(x[1][feature_column::length_w].item<double>() == doctest::Approx(0.4));
  CHECK(x[1][feature_column::local_phi].item<double>() == doctest::Approx(std::atan2(0.18, 0.2)));
  CHECK(x[1][feature_column::global_phi].item<double>() == doctest::Approx(std::atan2(0.16 - 0.24, 0.12 + 0.32)));
  CHECK(at::equal(x, files.source().hits(7)[key::hit_features]));
}

TEST_CASE("cell features: what is wrong is named with file, line and column") {
  CHECK(Files().message() == "no error");
  auto const spoil = [](std::string const& file, std::string const& bytes) {
    Files const files;
    if (file == "detectors.csv") files.detectors(bytes);
    else files.put(file, bytes);
    return files.message();
  };
  CHECK(spoil("cells.csv", with(good_cells, "5,0,3,2", "6,0,3,2")) == "cells.csv:5: column 'hit_id': the event has no hit 6");
  CHECK(spoil("cells.csv", with(good_cells, "\n3,7,7,1.25", "")) == "hits.csv:2: column 'hit_id': hit 3 has no cells");
  CHECK(spoil("cells.csv", with(good_cells, "ch1", "ch2")) == "cells.csv:1: column 'ch1' is missing; there are hit_id, ch0, ch2, value");
  CHECK(spoil("hits.csv", with(good_hits, "8,4,7", "8,4,9")) ==
        "hits.csv:3: column 'module_id': the detector has no module 9 in volume 8, layer 4");
  CHECK(spoil("hits.csv", with(good_hits, "8,4,7", "8,4,-1")) ==
        "hits.csv:3: column 'module_id': the detector has no module -1 in volume 8, layer 4");
  CHECK(spoil("hits.csv", with(good_hits, "8,4,7", "8,4,6")) == "detectors.csv:3: column 'pitch_u': expected a length above 0, got -1");
  CHECK(spoil("detectors.csv", with(good_detectors, "8,4,6", "8,4,7")) == "detectors.csv:4: column 'module_id': the module stands twice");
  CHECK(spoil("detectors.csv", with(good_detectors, "8,4,6", "8,4,-6")) ==
        "detectors.csv:3: column 'module_id': volume 8, layer 4, module -6 is out of range");
  CHECK(spoil("detectors.csv", with(good_detectors, "rot_zv", "rot")).starts_with("detectors.csv:1: column 'rot_zv' is missing"));
  auto source = Files().source();
  source.options.detectors = "";
  CHECK_THROWS_AS(source.hits(7), Error);
  Files const files;
  source = files.source();
  source.options.detectors = "";
  CHECK_THROWS_WITH_AS(source.hits(7), "trackml: features of cells need the detector's modules (option detectors)", Error);
}

TEST_CASE("cell features: the fingerprint follows the cells and the modules, where they are read") {
  Files const files;
  auto const source = files.source();
  auto standard = source;
  standard.options.features = HitFeatureSet::standard;
  auto const cells = source.fingerprint(7, false), plain = standard.fingerprint(7, false);
  files.put("cells.csv", good_cells + "1,9,9,9\n");
  CHECK(standard.fingerprint(7, false) == plain);
  CHECK(source.fingerprint(7, false) != cells);
  files.put("cells.csv", good_cells), files.detectors(with(good_detectors, "0.056", "0.057"));
  CHECK(source.fingerprint(7, false) != cells);
  CHECK(standard.fingerprint(7, false) == plain);
}

TEST_CASE("recorded events: cell features of a whole event, against loops over its files") {
  auto const folder = test::test_data("trackml");
  if (!folder) return;
  auto const small = *folder / "small", modules = *folder / "detectors.csv.gz";
  TrackMl const source{
      {.events = small.string(), .detector = TrackMlDetector::full, .detectors = modules.string(), .features = HitFeatureSet::cells}};
  auto const event = source.labelled(1);
  auto const x = event[key::hit_features];
  CHECK(shape_text(x) == "[5527, 14]");
  CHECK(at::isfinite(x).all().item<bool>());
  using enum CsvColumn::Type;
  auto const hits = read_csv(small / "event000000001-hits.csv.gz",
                             {{"hit_id", integer}, {"volume_id", integer}, {"layer_id", integer}, {"module_id", integer}});
  auto const rows = read_csv(small / "event000000001-cells.csv.gz", {{"hit_id", integer}, {"ch0", integer}, {"ch1", integer}, {"value"}});
  std::vector<CsvColumn> columns{{"volume_id", integer}, {"layer_id", integer}, {"module_id", integer},
                                 {"module_t"},           {"pitch_u"},           {"pitch_v"}};
  std::vector<std::string> const rotation{"rot_xu", "rot_xv", "rot_xw", "rot_yu", "rot_yv", "rot_yw", "rot_zu", "rot_zv", "rot_zw"};
  for (auto const& name : rotation) columns.push_back({name});
  auto const table = read_csv(modules, columns);
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < rows.rows(); ++i)
    cells.push_back({rows.integers("hit_id")[i], rows.integers("ch0")[i], rows.integers("ch1")[i], rows.reals("value")[i]});
  for (std::int64_t i = 0; i < x.size(0); i += 311) {
    auto const hit = event[key::hit_id][i].item<std::int64_t>();
    for (std::size_t h = 0; h < hits.rows(); ++h)
      for (std::size_t m = 0; hits.integers("hit_id")[h] == hit && m < table.rows(); ++m) {
        bool same = true;
        for (auto const* name : {"volume_id", "layer_id", "module_id"}) same = same && table.integers(name)[m] == hits.integers(name)[h];
        if (!same) continue;
        Module module{{}, table.reals("module_t")[m], table.reals("pitch_u")[m], table.reals("pitch_v")[m]};
        for (std::size_t c = 0; c < 9; ++c) module.r[c] = table.reals(rotation[c])[m];
        check_rows(x[i].narrow(0, 6, 8), by_loops(hit, cells, module));
      }
  }
}
