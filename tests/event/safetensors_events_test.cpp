// SPDX-License-Identifier: BSL-1.0
#include "dew/event/safetensors_events.hpp"

#include <doctest/doctest.h>

#include "dew/event/simulated_detector.hpp"
#include "event/gzip_writer.hpp"
#include "support/print.hpp"
#include "support/temp_dir.hpp"

using namespace dew;

namespace {
SimulatedDetector const detector{{.events = 3, .seed = 5, .particles = 20}};
template <class R> bool equal(R const& a, R const& b) {
  bool same = true;
  a.for_each([&]<class K>(K, Tensor const& t) { same = same && at::equal(t, b[K{}]); });
  return same;
}
/// A folder with the detector's events.
class Folder {
 public:
  Folder() {
    auto const ids = detector.ids();
    write_safetensors_events(folder_ / "cache", detector, ids);
  }
  std::filesystem::path file(int id) const { return folder_ / "cache" / fmt::format("event{:09}.safetensors", id); }
  SafetensorsEvents source() const { return SafetensorsEvents{{.events = (folder_ / "cache").string()}}; }
  /// The second event's file with other content.
  template <class F> void change(F&& f) const {
    auto content = read_safetensors(file(2));
    f(content.tensors);
    write_safetensors(file(2), content);
  }
  template <class F> std::string message(F&& f) const {
    try {
      f(source());
      return "no error";
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::input);
      std::string const text = e.what(), folder = file(2).parent_path().string() + "/";
      CHECK(text.starts_with(folder));
      return text.substr(folder.size());
    }
  }

 private:
  test::TempDir folder_;
};
}  // namespace

TEST_CASE("events in safetensors files are the source's, bit by bit") {
  Folder const folder;
  auto const source = folder.source();
  CHECK(source.ids() == detector.ids());
  for (auto const id : detector.ids()) {
    CHECK(equal(source.labelled(id), detector.labelled(id)));
    CHECK(equal(source.hits(id), detector.hits(id)));
    CHECK(source.all_hit_ids(id).size() == std::size_t(detector.hits(id).rows(Hits{})));
  }
  auto const metadata = read_safetensors(folder.file(2)).metadata;
  CHECK(metadata.at("dew.source") == "simulated_detector");
  CHECK(metadata.at("dew.event") == "2");
  CHECK(source.fingerprint(1, false) != source.fingerprint(1, true));
  CHECK(source.fingerprint(1, true) != source.fingerprint(2, true));
}

TEST_CASE("an event without truth has hits - the details of the truth may be absent") {
  Folder const folder;
  auto const whole = folder.source().labelled(2);
  folder.change([](auto& tensors) {
    for (auto const* name : {"weight", "truth_weight", "truth_radius", "truth_charge", "truth_primary"}) tensors.erase(name);
  });
  auto const event = folder.source().labelled(2);
  CHECK(equal(LabelledRecord(event), LabelledRecord(whole)));
  CHECK((event[key::weight] == 0).all().item<bool>());
  CHECK((event[key::truth_radius] == -1).all().item<bool>());
  CHECK((event[key::truth_charge] == 0).all().item<bool>());
  CHECK((event[key::truth_primary] == -1).all().item<bool>());
  save_record(folder.file(2), HitRecord(whole));
  CHECK(equal(folder.source().hits(2), HitRecord(whole)));
  CHECK(folder.message([](auto s) { s.labelled(2); })
            .starts_with("event000000002.safetensors: is not the record that is asked for: missing particle_id, pt, eta"));
}

TEST_CASE("a broken or wrong file is an error that names it") {
  auto const labelled = [](auto s) { s.labelled(2); };
  auto const hits = [](auto s) { s.hits(2); };
  struct Broken {
    std::function<void(std::map<std::string, Tensor>&)> change;
    std::string message;
  };
  std::vector<Broken> const kinds{
      {[](auto& t) { t.erase("position"); }, "event000000002.safetensors: is not the record that is asked for: missing position"},
      {[](auto& t) { t["surplus"] = at::ones({2}); },
       "event000000002.safetensors: is not the record that is asked for: unexpected surplus"},
      {[](auto& t) { t["layer"] = t["layer"].to(at::kInt); }, "event000000002.safetensors: layer: expected 64-bit integers, got dtype Int"},
      {[](auto& t) { t["position"] = t["position"].narrow(1, 0, 2).contiguous(); },
       "event000000002.safetensors: position: expected shape [rows, 3]"},
      {[](auto& t) { t["layer"] = t["layer"].narrow(0, 1, 3).contiguous(); }, "event000000002.safetensors: layer: expected"},
  };
  for (auto const& kind : kinds) {
    CAPTURE(kind.message);
    Folder const folder;
    folder.change(kind.change);
    CHECK(folder.message(labelled).substr(0, kind.message.size()) == kind.message);
    CHECK(folder.message(hits).substr(0, kind.message.size()) == kind.message);
    CHECK(folder.source().hits(1).rows(Hits{}) > 0);
  }
  Folder const folder;
  test::put_file(folder.file(2), "no tensors");
  CHECK(folder.message(labelled).starts_with("event000000002.safetensors: truncated safetensors"));
  CHECK(folder.message(hits).starts_with("event000000002.safetensors: truncated safetensors"));
  CHECK(folder.message([](auto s) { s.labelled(9); }) == "event000000009.safetensors: no such file");
  CHECK_THROWS_WITH_AS(SafetensorsEvents{}.ids(), "safetensors: no folder of events is given", Error);
}
