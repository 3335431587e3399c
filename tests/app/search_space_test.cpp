// SPDX-License-Identifier: BSL-1.0
#include "dew/app/search_space.hpp"

#include <limits>

#include "dew/cluster/connected_components.hpp"
#include "dew/cluster/dbscan.hpp"
#include "dew/pipeline/any_of.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
enum class Curve { cosine, linear, constant };
constexpr auto names_of(Curve) { return std::array<std::string_view, 3>{"cosine", "linear", "constant"}; }

struct Part {
  struct Options {
    int hidden = 32;
    double learning_rate = 2e-3;
    Curve schedule = Curve::cosine;
    bool on = true;
    std::string title = "a b";
    std::vector<int> steps = {1, 2};
    double weight = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(hidden, "", "width"), DEW_OPTION(learning_rate, "1/s", "rate"), DEW_OPTION(schedule, "", "fall"),
                              DEW_OPTION(on, "", "on"), DEW_OPTION(title, "", "title"), DEW_OPTION(steps, "", "steps"),
                              DEW_OPTION(weight, "", "weight"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
};

/// Options of rarer kinds.
struct Rare {
  struct Options {
    std::vector<Curve> curves = {Curve::linear};
    double limit = std::numeric_limits<double>::infinity();
    int filter_hidden = 32;
    int events_per_step = 1;
    double eps = 0.3;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(curves, "", "curves"), DEW_OPTION(limit, "", "limit"), DEW_OPTION(filter_hidden, "", "width"),
                              DEW_OPTION(events_per_step, "", "events"), DEW_OPTION(eps, "", "reach"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  OptionSet set;
  Rare() { set.add("rare", options); }
};

/// A stage, its loss, and a clusterer chosen at run time.
struct All {
  Part stage, loss;
  AnyOf<Dbscan, ConnectedComponents> clusterer{Dbscan{}, ConnectedComponents{}};
  OptionSet set;
  All() { set.add("stage", stage.options), set.add("stage.loss.pull", loss.options), clusterer.add_options(set, "clusterer"); }
};

std::string thrown(auto&& f) {
  try {
    f();
  } catch (Error const& e) { return e.what(); }
  return "";
}
SearchSpace space_of(std::string const& text, All const& all) {
  TempDir const folder;
  write_file_atomically(folder / "space.toml", text);
  return read_search_space(folder / "space.toml", all.set);
}
SearchSpace space_of(std::string const& text) {
  All all;
  return space_of(text, all);
}
/// What is wrong with a file, without its folder.
std::string wrong(std::string const& text) {
  auto const what = thrown([&] { (void)space_of(text); });
  auto const name = what.find("space.toml");
  return name == std::string::npos ? what : what.substr(name);
}
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("a range is read as it is written, and written as it is read") {
  for (auto const* text : {"int 2..8", "int 2..8 step 2", "int 32..128 log", "int -4..-1", "float 0.0001..0.01 log", "float 0.1..0.9",
                           "float 0.0..1.0 step 0.25", "bool", "choice cosine linear", "int 2..8 if a.choice == graph",
                           "bool if a.choice == graph|cloud and b == true", "choice x y if a.choice == graph"})
    CHECK(to_text(search_range("p", text)) == text);
  auto const r = search_range("p", "  float  1e-4..1e-2   log  if a.b == x|y");
  CHECK(r == SearchRange{
                 .option = "p", .kind = SearchKind::number, .low = 1e-4, .high = 1e-2, .log = true, .conditions = {{"a.b", {"x", "y"}}}});
}

TEST_CASE("what is no range is shown what one looks like") {
  for (auto const* text :
       {"", "integer 2..8", "int", "int 2", "int 2-8", "int 2 .. 8", "int 2..8 by 2", "int 2..8 step", "bool on", "int 2..8 if",
        "int 2..8 if a", "int 2..8 if a==b", "int 2..8 if a == b or c == d", "int 2..8 if a == |", "int 2..8 if a = b"}) {
    INFO(text);
    CHECK(has(thrown([&] { (void)search_range("some.path", text); }), "some.path: expected a range such as int 2..8"));
  }
  CHECK(thrown([] { (void)search_range("p", "int 2..8.5"); }) == "p: expected integer, got '8.5'");
  CHECK(thrown([] { (void)search_range("p", "float 1..x"); }) == "p: expected number, got 'x'");
  CHECK(has(thrown([] { (void)search_range("p", "int 2..8 step 0"); }), "p: a step is larger than 0"));
  CHECK(has(thrown([] { (void)search_range("p", "int 1..9000000000000000"); }), "below 1e15"));
}

TEST_CASE("a file gives ranges to options of any part, by sections or by whole paths, in lists or in words") {
  All all;
  auto const space = space_of(
      "stage.hidden = \"int 32..128 log\"  # wide\nstage.schedule = [\"cosine\", \"linear\"]\n\n"
      "[stage.loss.pull]\nweight = \"float 0..2\"\non = \"bool\"\ntitle = [\"a b\", \"c\"]\nsteps = \"choice 1 1,2,3\"\n",
      all);
  REQUIRE(space.ranges.size() == 6);
  CHECK(to_text(*space.find("stage.hidden")) == "int 32..128 log");
  CHECK(to_text(*space.find("stage.schedule")) == "choice cosine linear");
  CHECK(to_text(*space.find("stage.loss.pull.weight")) == "float 0.0..2.0");
  CHECK(space.find("stage.loss.pull.title")->choices == std::vector<std::string>{"a b", "c"});
  CHECK(space_of(to_text(space)) == space);
  CHECK(all.stage.options == Part::Options{});  // trying what an option takes changes nothing
  CHECK(all.loss.options == Part::Options{});
}

TEST_CASE("options of a part count while it is chosen, and stand behind the choice") {
  auto const space = space_of(
      "clusterer.dbscan.eps = \"float 0.1..1\"\nclusterer.connected_components.score_min = \"float 0.1..0.9 if stage.on == true\"\n"
      "clusterer.choice = \"choice dbscan connected_components\"\nstage.on = \"bool\"\n");
  REQUIRE(space.ranges.size() == 4);
  CHECK(space.ranges[0].option == "clusterer.choice");
  CHECK(space.find("clusterer.choice")->conditions.empty());
  CHECK(space.find("clusterer.dbscan.eps")->conditions == std::vector<SearchCondition>{{"clusterer.choice", {"dbscan"}}});
  CHECK(space.find("clusterer.connected_components.score_min")->conditions ==
        std::vector<SearchCondition>{{"stage.on", {"true"}}, {"clusterer.choice", {"connected_components"}}});
  CHECK(space.ranges[3].option == "clusterer.connected_components.score_min");  // behind both
  CHECK(space_of(to_text(space)) == space);
}

TEST_CASE("what a file gets wrong is told with file and line") {
  CHECK(wrong("\nstage.hiden = \"int 1..2\"\n") == "space.toml:2: there is no option 'stage.hiden'; the nearest is 'stage.hidden'");
  CHECK(has(wrong("[stage]\n\nhidden = 64\n"), "space.toml:3: stage.hidden: expected a range such as"));
  CHECK(has(wrong("[stage]\nhidden = \"float 1..2\"\n"),
            "space.toml:2: stage.hidden: takes integer, not every number; expected int LOW..HIGH"));
  CHECK(has(wrong("stage.schedule = \"int 1..2\"\n"),
            "takes cosine|linear|constant, not every whole number; expected choice cosine linear constant"));
  CHECK(has(wrong("stage.learning_rate = \"bool\"\n"), "takes number, not true and false"));
  CHECK(wrong("stage.learning_rate = \"int 1..2\"\n").empty());  // a whole number is a number
  CHECK(has(wrong("stage.schedule = \"choice cosine square\"\n"),
            "space.toml:1: stage.schedule: expected one of cosine, linear, constant, got 'square'"));
  CHECK(has(wrong("stage.hidden = [1, 2.5]\n"), "stage.hidden: expected integer, got '2.5'"));
  CHECK(has(wrong("stage.schedule = \"choice cosine cosine\"\n"), "is there twice"));
  CHECK(has(wrong("stage.schedule = \"choice cosine\"\n"), "at least two values, got 1"));
  CHECK(has(wrong("stage.hidden = \"int 8..8\"\n"), "the lower bound has to be below the upper one, got 8..8"));
  CHECK(has(wrong("stage.learning_rate = \"float 1..inf\"\n"), "the lower bound has to be below"));
  CHECK(has(wrong("stage.hidden = \"int 0..8 log\"\n"), "a logarithmic range begins above 0, got 0..8"));
  CHECK(has(wrong("stage.hidden = \"int 1..8 step 1 log\"\n"), "logarithmic or has a step, not both"));
  CHECK(has(wrong("stage.hidden = \"int 2..9 step 2\"\n"), "steps of 2 lead from 2 to 8, not to 9"));
  CHECK(wrong("stage.learning_rate = \"float 0.1..0.7 step 0.2\"\n").empty());
  CHECK(has(wrong("stage.hidden = \"int 1..99999999999\"\n"), "stage.hidden: the bound 99999999999 lies outside of what the option takes"));
  CHECK(has(wrong("[stage]\nhidden = \"int 1..2\"\n[other]\n[stage]\nhidden = \"int 1..3\"\n"), "stage.hidden: is there twice"));
  CHECK(has(wrong("# nothing\n"), "space.toml: names no option to search"));
}

TEST_CASE("a condition names a choice, some of its values, and can hold") {
  CHECK(has(wrong("stage.hidden = \"int 1..2 if stage.weight == 1\"\n"),
            "space.toml:1: stage.hidden: the condition on stage.weight: it is no choice but number"));
  CHECK(has(wrong("stage.hidden = \"int 1..2 if stage.shedule == cosine\"\n"),
            "there is no option 'stage.shedule'; the nearest is 'stage.schedule'"));
  CHECK(has(wrong("stage.hidden = \"int 1..2 if stage.schedule == square\"\n"), "expected one of cosine, linear, constant, got 'square'"));
  CHECK(has(wrong("stage.hidden = \"int 1..2 if stage.schedule == constant\"\nstage.schedule = \"choice cosine linear\"\n"),
            "space.toml:1: stage.hidden: the condition on stage.schedule: never holds: the search tries cosine, linear alone"));
  CHECK(wrong("stage.hidden = \"int 1..2 if stage.schedule == constant\"\n").empty());  // not searched: what it is decides
  CHECK(has(wrong("stage.on = \"bool if stage.schedule == cosine\"\nstage.schedule = \"choice cosine linear if stage.on == true\"\n"),
            "space.toml:1: stage.on: its condition depends on itself"));
}

TEST_CASE("a space as JSON says all that a search needs") {
  All all;
  auto const json =
      search_space_json(space_of("stage.hidden = \"int 32..128 log\"\nstage.weight = \"float 0..1 step 0.5 if stage.schedule == linear\"\n"
                                 "stage.schedule = \"choice cosine linear\"\nstage.on = \"bool\"\n",
                                 all),
                        all.set)["space"];
  REQUIRE(json.size() == 4);
  CHECK(json[0].dump() == R"({"option":"stage.hidden","type":"int","low":32,"high":128,"step":0,"log":true,"if":[],)"
                          R"("default":32,"unit":"","help":"width","range":"int 32..128 log"})");
  CHECK(json[1]["choices"].dump() == R"(["cosine","linear"])");
  CHECK(json[1]["default"] == "cosine");
  CHECK(json[3]["type"] == "bool");
  CHECK(json[2]["option"] == "stage.weight");  // as soon as what it depends on is there
  CHECK(json[2]["low"] == 0.0);
  CHECK(json[2]["step"] == 0.5);
  CHECK(json[2]["if"].dump() == R"([{"option":"stage.schedule","values":["linear"],"default":"cosine"}])");
}

TEST_CASE("without a file every option is listed, with a range where one can be said, that a file takes") {
  All all;
  auto const json = searchable_options_json(all.set)["options"];
  REQUIRE(json.size() == all.set.entries().size());
  auto const at = [&](std::string const& option) {
    return *std::find_if(json.begin(), json.end(), [&](auto const& j) { return j["option"] == option; });
  };
  CHECK(at("stage.hidden")["range"] == "int 16..64 log");
  CHECK(at("stage.learning_rate")["range"] == "float 0.0002..0.02 log");
  CHECK(at("stage.learning_rate")["unit"] == "1/s");
  CHECK(at("stage.schedule")["range"] == "choice cosine linear constant");
  CHECK(at("stage.schedule")["choices"].size() == 3);
  CHECK(at("stage.on")["range"] == "bool");
  for (auto const* none : {"stage.title", "stage.steps", "stage.weight"}) CHECK(!at(none).contains("range"));
  CHECK(at("clusterer.dbscan.eps")["if"][0]["option"] == "clusterer.choice");
  std::string file;
  for (auto const& j : json)
    if (j.contains("range")) file += fmt::format("{} = {}\n", j["option"].get<std::string>(), to_text(j["range"].get<std::string>()));
  CHECK(wrong(file).empty());
}

TEST_CASE("both bounds of a range are finite, and ones that the option takes") {
  CHECK(has(wrong("stage.learning_rate = \"float -inf..1\"\n"), "the lower bound has to be below"));
  CHECK(
      has(wrong("stage.hidden = \"int -99999999999..1\"\n"), "stage.hidden: the bound -99999999999 lies outside of what the option takes"));
}

TEST_CASE("a condition with several values can hold if one of them can") {
  CHECK(wrong("stage.hidden = \"int 1..2 if stage.schedule == constant|cosine\"\nstage.schedule = \"choice cosine linear\"\n").empty());
}

TEST_CASE("a choice of parts is found wherever it stands in a path") {
  AnyOf<Dbscan, ConnectedComponents> clusterer{Dbscan{}, ConnectedComponents{}};
  OptionSet set;
  clusterer.add_options(set, "last.of.all");
  TempDir const folder;
  write_file_atomically(folder / "space.toml", "last.of.all.dbscan.eps = \"float 0.1..1\"\n");
  auto const space = read_search_space(folder / "space.toml", set);
  REQUIRE(space.ranges.size() == 1);
  CHECK(space.ranges[0].conditions == std::vector<SearchCondition>{{"last.of.all.choice", {"dbscan"}}});
}

TEST_CASE("a list of choices is no choice, and what JSON has no number for is a text") {
  Rare rare;
  CHECK(!suggested_range(rare.set.at("rare.curves")));
  auto const json = searchable_options_json(rare.set)["options"];
  CHECK(!json[0].contains("choices"));
  CHECK(json[0]["default"].dump() == R"(["linear"])");
  CHECK(json[1]["default"] == "inf");
}

TEST_CASE("a suggested range has whole or round bounds, and goes by the last word of the option's name") {
  Rare rare;
  auto const suggested = [&](std::string const& name) { return to_text(suggested_range(rare.set.at("rare." + name)).value()); };
  CHECK(suggested("filter_hidden") == "int 16..64 log");
  CHECK(suggested("events_per_step") == "int 1..4 log");
  CHECK(suggested("eps") == "float 0.1..0.9 log");
}

TEST_CASE("a range of numbers as JSON") {
  All all;
  CHECK(search_space_json(space_of("stage.weight = \"float 0.25..4 log\"\n", all), all.set)["space"][0].dump() ==
        R"({"option":"stage.weight","type":"float","low":0.25,"high":4.0,"step":0.0,"log":true,"if":[],)"
        R"("default":0.0,"unit":"","help":"weight","range":"float 0.25..4.0 log"})");
}
