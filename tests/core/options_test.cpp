// SPDX-License-Identifier: BSL-1.0
#include "dew/core/options.hpp"

using namespace dew;

namespace {
enum class Colour { red, green };
constexpr auto names_of(Colour) { return std::array<std::string_view, 2>{"red", "green"}; }

struct Part {
  struct Options {
    double radius_mm = 0.5;
    int layers = 3;
    std::int64_t many = 1LL << 40;
    bool on = true;
    std::string text = "a \"b\" \\ c";
    std::vector<double> list = {1, 2.5};
    std::vector<std::string> words = {"x, y", "z"};
    Colour colour = Colour::green;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(radius_mm, "mm", "a radius; 0: none"), DEW_OPTION(layers, "", "layers"),
                              DEW_OPTION(many, "", "many"), DEW_OPTION(on, "", "on"), DEW_OPTION(text, "", "text"),
                              DEW_OPTION(list, "", "a list"), DEW_OPTION(words, "", "words"), DEW_OPTION(colour, "", "a colour"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
};
std::string thrown(auto&& f) {
  try {
    f();
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::usage);
    return e.what();
  }
  return "";
}
}  // namespace

TEST_CASE("the members of an aggregate are counted") {
  CHECK(dew::detail::member_count<Part::Options>() == 8);
  struct None {};
  CHECK(dew::detail::member_count<None>() == 0);
}

TEST_CASE("every value that is written is read back") {
  Part part{{.radius_mm = 0.1, .layers = -4, .on = false, .text = "", .list = {}, .colour = Colour::red}};
  Part other;
  OptionSet a, b;
  a.add("part", part.options);
  b.add("part", other.options);
  CHECK(!(part.options == other.options));
  for (auto const& e : a.entries()) b.at(e.path).set(toml_words(e.get()));
  CHECK(part.options == other.options);
  for (double x : {1e300, -1e-300, 0.1, 3.0, 1.0 / 3}) CHECK(from_text<double>({to_text(x)}, "x") == x);
  CHECK(toml_words(to_text(std::string("a \"b\" \\ c"))) == std::vector<std::string>{"a \"b\" \\ c"});
  CHECK(toml_words(to_text(std::vector<std::string>{"x, y", "z"})) == std::vector<std::string>{"x, y", "z"});
}

TEST_CASE("printing names every member with its value and meaning") {
  auto const text = print(Part{}.options);
  CHECK(text.find("radius_mm = 0.5  # [mm] a radius; 0: none") != std::string::npos);
  CHECK(text.find("colour = \"green\"") != std::string::npos);
  CHECK(text.find("list = [1.0, 2.5]") != std::string::npos);
}

TEST_CASE("a misspelt option is answered with the nearest") {
  Part part;
  OptionSet set;
  set.add("dbscan", part.options);
  CHECK(thrown([&] { set.at("dbscan.radius_m", "run.toml:3: "); }) ==
        "run.toml:3: there is no option 'dbscan.radius_m'; the nearest is 'dbscan.radius_mm'");
  CHECK(nearest_name("edge_clasifier", {"condenser", "edge_classifier", "dbscan"}) == "edge_classifier");
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
}

TEST_CASE("two options of one path are refused") {
  Part part;
  OptionSet set;
  set.add("part", part.options);
  CHECK(thrown([&] { set.add("part", part.options); }).find("two options have the path 'part.radius_mm'") != std::string::npos);
}

TEST_CASE("a value of the wrong type is refused by path") {
  Part part;
  OptionSet set;
  set.add("p", part.options);
  CHECK(thrown([&] { set.at("p.layers").set({"3x"}); }) == "p.layers: expected integer, got '3x'");
  CHECK(thrown([&] { set.at("p.layers").set({"2.5"}); }) == "p.layers: expected integer, got '2.5'");
  CHECK(thrown([&] { set.at("p.radius_mm").set({""}); }) == "p.radius_mm: expected number, got ''");
  CHECK(thrown([&] { set.at("p.on").set({"yes"}); }) == "p.on: expected true or false, got 'yes'");
  CHECK(thrown([&] { set.at("p.colour").set({"blue"}); }) == "p.colour: expected one of red, green, got 'blue'");
  CHECK(thrown([&] { set.at("p.radius_mm").set({"1", "2"}); }).find("p.radius_mm: expected number") != std::string::npos);
  CHECK(part.options == Part::Options{});
}

TEST_CASE("lists come as one word or several") {
  CHECK(from_text<std::vector<int>>({"1,2", "3"}, "x") == std::vector{1, 2, 3});
  CHECK(from_text<std::vector<int>>({}, "x").empty());
}
