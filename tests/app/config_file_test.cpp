// SPDX-License-Identifier: BSL-1.0
#include "dew/app/config_file.hpp"

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
struct Part {
  struct Options {
    double eps = 0.5;
    int n = 2;
    bool on = true;
    std::string text = "a # \"b\"";
    std::vector<double> list = {1, 2.5};
    std::vector<double> empty = {};
    std::string path = {};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(eps, "mm", "radius"), DEW_OPTION(n, "", "count"), DEW_OPTION(on, "", "on"),
                              DEW_OPTION(text, "", "text"), DEW_OPTION(list, "", "list"), DEW_OPTION(empty, "", "empty list"),
                              DEW_OPTION(path, "", "path"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
};
struct All {
  Part top, stage, fit;
  OptionSet set;
  All() { set.add("", top.options), set.add("stage", stage.options), set.add("stage.fit", fit.options); }
};
std::string thrown(auto&& f) {
  try {
    f();
  } catch (Error const& e) { return e.what(); }
  return "";
}
}  // namespace

TEST_CASE("a file that is written complete is read back equal") {
  TempDir const folder;
  auto const file = folder.path() / "config.toml";
  All a, b;
  a.top.options.eps = 0.125;
  a.stage.options = {.eps = 1e-7, .n = -3, .on = false, .text = "x\\y \"z\"", .list = {}, .empty = {4}, .path = "/some where/else"};
  a.fit.options.list = {0.1};
  write_file_atomically(file, config_text(a.set, "a heading\nof two lines"));
  read_config(file, b.set);
  CHECK(a.top.options == b.top.options);
  CHECK(a.stage.options == b.stage.options);
  CHECK(a.fit.options == b.fit.options);
}

TEST_CASE("the file is commented: heading, unit, meaning and default of what was changed") {
  All a;
  a.stage.options.eps = 2;
  auto const text = config_text(a.set, "run 1");
  CHECK(text.starts_with("# run 1\n"));
  CHECK(text.find("[stage.fit]") != std::string::npos);
  CHECK(text.find("# [mm] radius") != std::string::npos);
}

TEST_CASE("what a file gets wrong is told with file, line and the nearest name") {
  TempDir const folder;
  auto const file = folder.path() / "c.toml";
  auto const with = [&](std::string const& text) {
    write_file_atomically(file, text);
    All a;
    return thrown([&] { read_config(file, a.set); });
  };
  CHECK(with("eps = 1.0\n\n[stage]\nesp = 2.0\n") == file.string() + ":4: there is no option 'stage.esp'; the nearest is 'stage.eps'");
  CHECK(with("[stage.fit]\nn = 1.5\n") == file.string() + ":2: stage.fit.n: expected integer, got '1.5'");
  CHECK(with("[stag]\nn = 1\n").find("c.toml:2: there is no option 'stag.n'") != std::string::npos);
  CHECK(with("on = maybe\n") == file.string() + ":1: on: expected true or false, got 'maybe'");
  CHECK(with("eps = 1.0\n[stage]\nn = 5\n").empty());
}

TEST_CASE("a file that is not there is named") {
  All a;
  CHECK(thrown([&] { read_config("absent.toml", a.set); }).find("absent.toml") != std::string::npos);
}

TEST_CASE("the table of options has a line each") {
  All a;
  auto const text = options_table(a.set);
  CHECK(std::count(text.begin(), text.end(), '\n') == 21);
  CHECK(text.find("stage.fit.list") != std::string::npos);
}
