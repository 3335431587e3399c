// SPDX-License-Identifier: BSL-1.0
#include "dew/event/trackml.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "event/gzip_writer.hpp"
#include "support/data.hpp"
#include "support/golden.hpp"
#include "support/print.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using test::put_file;

namespace {
std::int64_t constexpr big = 855686265662603265;  // no double holds it
std::string const good_hits =
    "hit_id,x,y,z,volume_id,layer_id,module_id\n3,32,1,-10,8,2,1\n1,72,2,-20.5,8,4,1\n2,116,3,-30,8,6,1\n9,260,5,0,13,2,1\n5,-50,9,600,9,2,"
    "1\n";
std::string const good_truth = fmt::format("hit_id,particle_id,weight\n1,{0},1\n2,{0},1\n3,{0},1\n9,{0},1\n", big);
std::string const good_particles = fmt::format("particle_id,vx,vy,vz,px,py,pz,q,nhits\n4,0,0,0,1,1,1,1,2\n{},0,0,0,3,-4,12,-1,4\n", big);

/// A folder with event 7 in it.
class Files {
 public:
  Files() { put("hits.csv", good_hits), put("truth.csv", good_truth), put("particles.csv", good_particles); }
  void put(std::string const& name, std::string_view bytes) const { put_file(folder_ / ("event000000007-" + name), bytes); }
  void remove(std::string const& name) const { std::filesystem::remove(folder_ / ("event000000007-" + name)); }
  TrackMl source() const { return TrackMl{{.events = folder_.path().string()}}; }
  std::filesystem::path const& path() const { return folder_.path(); }
  /// What an access throws, without the folder's name.
  template <class F> std::string message(F&& f, ErrorKind kind = ErrorKind::input) const {
    try {
      f(source());
      return "no error";
    } catch (Error const& e) {
      CHECK(e.kind() == kind);
      std::string text = e.what(), folder = folder_.path().string() + "/event000000007-";
      for (auto at = text.find(folder); at != text.npos; at = text.find(folder)) text.erase(at, folder.size());
      return text;
    }
  }

 private:
  test::TempDir folder_;
};
template <class T> std::vector<T> values(Tensor const& t) {
  return std::vector<T>(t.const_data_ptr<T>(), t.const_data_ptr<T>() + t.numel());
}
template <class R> bool equal(R const& a, R const& b) {
  bool same = true;
  a.for_each([&]<class K>(K, Tensor const& t) { same = same && at::equal(t, b[K{}]); });
  return same;
}
}  // namespace

TEST_CASE("an event is read from its files: selected hits in order, 64-bit ids, truth and particles") {
  Files const files;
  auto const source = files.source();
  CHECK(source.ids() == std::vector<std::int64_t>{7});
  auto const event = source.labelled(7);
  CHECK(values<std::int64_t>(event[key::hit_id]) == std::vector<std::int64_t>{3, 1, 2, 5});
  CHECK(values<std::int64_t>(event[key::layer]) == std::vector<std::int64_t>{7, 8, 9, 11});
  CHECK(values<float>(event[key::position].select(0, 1).contiguous()) == std::vector<float>{72, 2, -20.5});
  CHECK(values<std::int64_t>(event[key::particle_id]) == std::vector<std::int64_t>{big, big, big, -1});
  CHECK(values<float>(event[key::pt]) == std::vector<float>{5, 5, 5, 0});
  CHECK(values<std::int64_t>(event[key::truth_id]) == std::vector<std::int64_t>{big});
  CHECK(values<std::int64_t>(event[key::truth_hits]) == std::vector<std::int64_t>{3});
  CHECK(source.all_hit_ids(7) == std::vector<std::int64_t>{3, 1, 2, 9, 5});
  CHECK(equal(source.hits(7), HitRecord(event)));
  TrackMl full{{.events = source.options.events, .detector = TrackMlDetector::full}};
  CHECK(values<std::int64_t>(full.hits(7)[key::layer]) == std::vector<std::int64_t>{7, 8, 9, 24, 11});
  CHECK(values<std::int64_t>(full.labelled(7)[key::truth_hits]) == std::vector<std::int64_t>{4});
}

TEST_CASE("weights, the radius of production, charge and origin are read where the files have them") {
  Files const files;
  auto const with = files.source().labelled(7);
  CHECK(values<float>(with[key::truth_charge]) == std::vector<float>{-1});
  CHECK(values<std::int64_t>(with[key::truth_primary]) == std::vector<std::int64_t>{-1});
  CHECK(values<float>(with[key::weight]) == std::vector<float>{1, 1, 1, 0});
  CHECK(values<float>(with[key::truth_weight]) == std::vector<float>{3});
  CHECK(values<float>(with[key::truth_radius]) == std::vector<float>{0});
  files.put("particles.csv", fmt::format("particle_id,vx,vy,vz,px,py,pz,primary\n{},-6,8,1,3,-4,12,1\n", big));
  CHECK(values<float>(files.source().labelled(7)[key::truth_radius]) == std::vector<float>{10});
  CHECK(values<float>(files.source().labelled(7)[key::truth_charge]) == std::vector<float>{0});
  CHECK(values<std::int64_t>(files.source().labelled(7)[key::truth_primary]) == std::vector<std::int64_t>{1});
  files.put("truth.csv", fmt::format("hit_id,particle_id\n1,{0}\n2,{0}\n3,{0}\n", big));
  files.put("particles.csv", fmt::format("particle_id,px,py,pz,vx\n{},3,-4,12,1\n", big));
  auto const without = files.source().labelled(7);
  CHECK(values<float>(without[key::weight]) == std::vector<float>{0, 0, 0, 0});
  CHECK(values<float>(without[key::truth_radius]) == std::vector<float>{-1});
  CHECK(values<float>(without[key::truth_pt]) == std::vector<float>{5});
}

TEST_CASE("bare hits need the hits file alone - absent truth and particles are named") {
  Files const files;
  files.remove("truth.csv"), files.remove("particles.csv");
  CHECK(files.source().hits(7).rows(Hits{}) == 4);
  CHECK(files.source().all_hit_ids(7).size() == 5);
  CHECK(files.message([](auto s) { s.labelled(7); }) == "truth.csv: no such file, nor one that ends in .gz");
  files.put("truth_partial.csv.gz", test::gzip("hit_id,particle_id,label_source\n1,4,A\n"));
  CHECK(files.message([](auto s) { s.labelled(7); }) == "particles.csv: no such file, nor one that ends in .gz");
  files.put("particles.csv", good_particles);
  CHECK(values<std::int64_t>(files.source().labelled(7)[key::particle_id]) == std::vector<std::int64_t>{-1, 4, -1, -1});
  files.remove("hits.csv");
  CHECK(files.message([](auto s) { s.hits(7); }) == "hits.csv: no such file, nor one that ends in .gz");
}

TEST_CASE("plain and gzip'ed events, and columns in another order, are the same records") {
  Files const files;
  auto const plain = files.source().labelled(7);
  for (std::string name : {"hits.csv", "truth.csv", "particles.csv"}) files.remove(name);
  files.put("hits.csv.gz", test::gzip(good_hits)), files.put("truth.csv.gz", test::gzip(good_truth)),
      files.put("particles.csv.gz", test::gzip(good_particles));
  CHECK(equal(files.source().labelled(7), plain));
  CHECK(files.source().ids() == std::vector<std::int64_t>{7});
  files.put("hits.csv",
            "layer_id,z,extra,hit_id,y,x,volume_id\n2,-10,a,3,1,32,8\n4,-20.5,b,1,2,72,8\n6,-30,c,2,3,116,8\n2,0,d,9,5,260,13\n2,600,e,5,9,"
            "-50,9\n");
  CHECK(equal(files.source().labelled(7), plain));
  CHECK(files.source().ids() == std::vector<std::int64_t>{7});
  files.put("hits.csv", "hit_id,x,y,z,volume_id,layer_id\n3,32,1,-10,8,2\n");  // of both, the plain file is read
  CHECK(files.source().hits(7).rows(Hits{}) == 1);
}

TEST_CASE("ids are the events whose hits are there") {
  test::TempDir const folder;
  for (auto name : {"event000001001-hits.csv.gz", "event000000003-hits.csv", "event000001001-hits.csv", "event000000004-truth.csv",
                    "event000000005-hits_unlabelled_barrel.csv.gz", "event6-hits.csv", "event1234567890-hits.csv",
                    "event00000000x-hits.csv", "xevent000000008-hits.csv", "event000000009-hits.csv.part", "readme.md"})
    put_file(folder / name, "");
  CHECK(TrackMl{{.events = folder.path().string()}}.ids() == std::vector<std::int64_t>{3, 1001, 1234567890});
  CHECK_THROWS_WITH_AS(TrackMl{}.ids(), "trackml: no folder of events is given", Error);
  CHECK_THROWS_WITH_AS(TrackMl{{.events = "/nowhere/at/all"}}.ids(), "/nowhere/at/all: no such folder", Error);
}

TEST_CASE("ten kinds of broken files end in FILE:LINE: what, with the column") {
  struct Broken { std::string file, bytes, message; };
  auto const with = [](std::string text, std::string_view from, std::string_view to) {
    auto const at = text.find(from);
    REQUIRE(at != text.npos);
    return text.replace(at, from.size(), to);
  };
  auto const packed = test::gzip(good_hits);
  std::vector<Broken> const kinds{
      {"hits.csv", with(good_hits, "layer_id", "layer"),
       "hits.csv:1: column 'layer_id' is missing; there are hit_id, x, y, z, volume_id, layer, module_id"},
      {"hits.csv", with(good_hits, "-20.5", "abc"), "hits.csv:3: column 'z': expected a number, got 'abc'"},
      {"hits.csv", with(good_hits, "116", "inf"), "hits.csv:4: column 'x': expected a finite number, got 'inf'"},
      {"hits.csv", with(good_hits, "-20.5,8,4,1", "-20.5,8,4"),
       "hits.csv:3: the row is too short: expected 7 fields, got 6; column 'module_id' is missing"},
      {"hits.csv", with(good_hits, "-20.5,8,4,1", "-20.5,8,4,1,0"),
       "hits.csv:3: the row is too long: expected 7 fields, got 8; the last is column 'module_id'"},
      {"hits.csv", with(good_hits, "\n2,", "\n3,"), "hits.csv:4: column 'hit_id': duplicate 3, first at hits.csv:2"},
      {"hits.csv", "", "hits.csv: is empty: expected a line of column names"},
      {"truth.csv", with(good_truth, "\n2,", "\n8,"), "truth.csv:3: column 'hit_id': the event has no hit 8"},
      {"hits.csv.gz", packed.substr(0, packed.size() / 2), "hits.csv.gz: truncated gzip: it ends in the compressed data"},
      {"particles.csv", with(good_particles, "-4", "--4"), "particles.csv:3: column 'py': expected a number, got '--4'"},
      {"truth.csv", with(good_truth, "\n2,", "\n1,"), "truth.csv:3: column 'hit_id': duplicate 1"},
      {"truth.csv", with(good_truth, fmt::to_string(big), "1.5"), "truth.csv:2: column 'particle_id': expected an integer, got '1.5'"},
      {"particles.csv", with(good_particles, "\n4,", fmt::format("\n{},", big)),
       fmt::format("particles.csv:3: column 'particle_id': duplicate {}, first at particles.csv:2", big)},
      {"hits.csv", with(good_hits, "8,4,1", "8,5,1"), "hits.csv:3: column 'layer_id': volume 8 of the detector 'pixels' has no layer 5"},
      {"hits.csv", with(good_hits, "72,2", "0,0"),
       "hits.csv:3: column 'x': the hit lies on the beam line (x = y = 0), where η is not finite"},
  };
  for (auto const& kind : kinds) {
    CAPTURE(kind.message);
    Files const files;
    if (kind.file.ends_with(".gz")) files.remove("hits.csv");
    files.put(kind.file, kind.bytes);
    CHECK(files.message([](auto s) { s.labelled(7); }) == kind.message);
    if (kind.file.starts_with("hits")) CHECK(files.message([](auto s) { s.hits(7); }) == kind.message);
    else CHECK(files.source().hits(7).rows(Hits{}) == 4);
  }
  Files const files;
  CHECK(files.message([](auto s) { s.labelled(7); }) == "no error");
}

TEST_CASE("a fingerprint changes with the content of the files that are read, and with nothing else") {
  Files const files;
  auto const source = files.source();
  auto const bare = source.fingerprint(7, false), labelled = source.fingerprint(7, true);
  CHECK(bare != labelled);
  files.put("hits.csv", good_hits), files.put("other.csv", "x");
  CHECK(source.fingerprint(7, false) == bare);
  files.put("truth.csv", good_truth + "5,4,1\n");
  CHECK(source.fingerprint(7, false) == bare);
  CHECK(source.fingerprint(7, true) != labelled);
  files.put("truth.csv", good_truth);
  CHECK(source.fingerprint(7, true) == labelled);
  files.put("particles.csv", good_particles + " ");
  CHECK(source.fingerprint(7, true) != labelled);
  auto changed = good_hits;
  changed[50] = changed[50] == '1' ? '2' : '1';
  files.put("hits.csv", changed);
  CHECK(source.fingerprint(7, false) != bare);
}

TEST_CASE("its options are described, compared and printed") {
  TrackMl a{{.events = "here", .detector = TrackMlDetector::full, .reconstructable = DistinctLayers::layer_id}}, b = a;
  CHECK(a == b);
  b.options.events = "there";
  CHECK(a != b);
  auto const text = print(a.options);
  CHECK(text.find("detector = \"full\"") != text.npos);
  CHECK(text.find("reconstructable = \"layer_id\"") != text.npos);
  CHECK(TrackMl{}.geometry() == pixel_detector());
  CHECK(a.geometry() == full_detector());
}

// ---- recorded events -------------------------------------------------------------------------------------------------------------------
TEST_CASE("recorded events: hits of pt > 0.5 GeV, every hit labelled") {
  auto const folder = test::test_data("trackml/hipt");
  if (!folder) return;
  TrackMl const source{{.events = folder->string()}};
  auto const ids = source.ids();
  REQUIRE(ids.size() == 80);
  CHECK(ids.front() == 1000);
  CHECK(ids.back() == 1079);
  for (auto id : {1000, 1001, 1042}) {
    auto const event = source.labelled(id);
    auto const n = event.rows(Hits{});
    auto const all = source.all_hit_ids(id);
    CHECK(all.size() > std::size_t(n));
    CHECK((all.size() >= 9000 && all.size() <= 17000));
    CHECK((event[key::particle_id] > 0).all().item<bool>());
    CHECK((event[key::pt] > 0.4999).all().item<bool>());
    CHECK(event[key::truth_hits].sum().item<std::int64_t>() == n);
    CHECK(at::isfinite(event[key::hit_features]).all().item<bool>());
    CHECK((event[key::truth_id].slice(0, 1) > event[key::truth_id].slice(0, 0, -1)).all().item<bool>());
    CHECK(equal(source.hits(id), HitRecord(event)));
  }
}

TEST_CASE("recorded events: official files with noise, barrel files, partial truth of a whole event") {
  auto const folder = test::test_data("trackml");
  if (!folder) return;
  auto const small = TrackMl{{.events = (*folder / "small").string(), .detector = TrackMlDetector::full}}.labelled(1);
  CHECK(small.rows(Hits{}) == 5527);
  CHECK((small[key::particle_id] == 0).sum().item<std::int64_t>() == 829);
  CHECK((small[key::particle_id] >= 0).all().item<bool>());
  auto const barrel = TrackMl{{.events = (*folder / "barrel").string(), .detector = TrackMlDetector::full}}.labelled(1000);
  CHECK(barrel.rows(Hits{}) == 53793);
  CHECK((barrel[key::particle_id] == 0).sum().item<std::int64_t>() == 12626);
  TrackMl const whole{{.events = (*folder / "full").string()}};
  auto const event = whole.labelled(1001);
  auto const known = (event[key::particle_id] != -1).sum().item<std::int64_t>();
  CHECK(whole.all_hit_ids(1001).size() == 93680);
  CHECK((event.rows(Hits{}) > 40000 && known > 0 && known < event.rows(Hits{}) / 4));
  CHECK((event[key::particle_id] == 0).sum().item<std::int64_t>() == 0);
}

TEST_CASE("reference values: layers, and features whose differences are the edges' features") {
  auto const golden = test::golden("geometric_graph_default");
  if (!golden) return;
  auto const& t = golden->tensors;
  auto const id = at::arange(t.at("x_mm").size(0), at::kLong);
  auto const reals = [&](char const* name) { return std::span(t.at(name).const_data_ptr<double>(), std::size_t(t.at(name).numel())); };
  auto const integers = [](Tensor const& x) { return std::span(x.const_data_ptr<std::int64_t>(), std::size_t(x.numel())); };
  auto const record = make_hits(pixel_detector(), {.hit_id = integers(id),
                                                   .x = reals("x_mm"),
                                                   .y = reals("y_mm"),
                                                   .z = reals("z_mm"),
                                                   .volume = integers(t.at("volume_id")),
                                                   .layer = integers(t.at("layer_id"))});
  CHECK(at::equal(record[key::layer], t.at("layer")));
  auto const x = record[key::hit_features].to(at::kDouble), attr = t.at("edge_attr").to(at::kDouble);
  auto const d = x.index_select(0, t.at("edge_index")[1]) - x.index_select(0, t.at("edge_index")[0]);
  auto const column = [](Tensor const& m, std::int64_t c) { return m.select(1, c); };
  auto const dphi = column(d, feature_column::phi) - 2 * (column(d, feature_column::phi) / 2).round();
  CHECK((column(d, feature_column::r) - column(attr, 0)).abs().max().item<double>() < 1e-6);
  CHECK((dphi - column(attr, 1)).abs().max().item<double>() < 1e-6);
  CHECK((column(d, feature_column::z) - column(attr, 2)).abs().max().item<double>() < 1e-6);
  auto const distance = (column(d, feature_column::eta).pow(2) + (dphi * std::numbers::pi).pow(2)).sqrt();
  CHECK((distance - column(attr, 3)).abs().max().item<double>() < 1e-5);
}
