// SPDX-License-Identifier: BSL-1.0
#include "dew/app/run_record.hpp"

#include <fstream>

#include "support/path_variable.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

TEST_CASE("moments as text and back") {
  CHECK(utc_text(0) == "1970-01-01T00:00:00Z");
  CHECK(utc_text(1769860800.9) == "2026-01-31T12:00:00Z");
  CHECK(utc_seconds("2026-01-31T12:00:00Z") == 1769860800);
  CHECK(std::isnan(utc_seconds("2026-01-31")));
  CHECK(std::isnan(utc_seconds("2026-01-31T12:00:00Z and more")));
}

TEST_CASE("each start of a run is added to its record, with its end once there is one") {
  TempDir const folder;
  auto const file = folder / "run.json";
  double now = 1769860800;
  auto const clock = [&] { return now; };
  auto const read = [&] { return nlohmann::json::parse(read_file(file)); };
  {
    RunRecord record(file, {"program", 7, {"program", "train", "--out", "a b"}, "cpu", 2}, clock);
    auto const json = read();
    CHECK(json["program"] == "program");
    CHECK(json["seed"] == 7);
    CHECK(json["number_of_starts"] == 1);
    auto const& start = json["starts"][0];
    CHECK(start["started"] == "2026-01-31T12:00:00Z");
    CHECK(start["command"] == nlohmann::json{"program", "train", "--out", "a b"});
    CHECK(start["folder"] == std::filesystem::current_path().string());
    CHECK(start["process"] == ::getpid());
    CHECK(start["device"] == "cpu");
    CHECK(start["threads"] == 2);
    CHECK(start["dew"] == std::string(version));
    CHECK(start["libtorch"].get<std::string>().find('.') != std::string::npos);
    CHECK(start["compiler"] != "unknown");
    for (auto const* name : {"host", "user"}) CHECK(!start[name].get<std::string>().empty());
    CHECK(start.contains("git"));
    CHECK(!start.contains("ended"));
    CHECK(!json.contains("summary"));
    CHECK(record.json()["number_of_starts"] == 1);
  }
  now += 3600;  // the first was cut off
  RunRecord second(file, {"other", 8, {"other"}, "cuda", 1}, clock);
  now += 60;
  second.ended("finished", "one line");
  auto const json = read();
  CHECK(json["program"] == "program");  // as it began
  CHECK(json["number_of_starts"] == 2);
  CHECK(!json["starts"][0].contains("ended"));
  CHECK(json["starts"][1]["started"] == "2026-01-31T13:00:00Z");
  CHECK(json["starts"][1]["ended"] == "2026-01-31T13:01:00Z");
  CHECK(json["starts"][1]["outcome"] == "finished");
  CHECK(json["summary"] == "one line");
  for (auto const& entry : std::filesystem::directory_iterator(folder.path())) CHECK(entry.path() == file);  // nothing is left aside

  std::ofstream(file) << "{\"starts\": 3";
  RunRecord const anew(file, {"program", 7, {}, "cpu", 2}, clock);
  CHECK(read()["number_of_starts"] == 1);
  CHECK_THROWS_AS((RunRecord{folder / "no" / "run.json", {"program", 7, {}, "cpu", 2}}), Error);
}

TEST_CASE("a record outside of a repository says null of git, and in one why git could not be asked") {
  TempDir const folder, nothing;
  auto const before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  dew::test::PathVariable const nowhere(nothing.path().string());
  auto const git = [&] { return RunRecord(folder / "run.json", {"program", 7, {}, "cpu", 2}).json()["starts"].back()["git"]; };
  auto const outside = git();
  std::filesystem::create_directory(folder / ".git");
  auto const inside = git();
  std::filesystem::current_path(before);
  CHECK(outside.is_null());
  CHECK(inside == nlohmann::ordered_json{{"problem", "git: No such file or directory"}});
}
