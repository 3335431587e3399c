// SPDX-License-Identifier: BSL-1.0
#include "dew/app/flags.hpp"

#include "support/temp_dir.hpp"

using namespace dew;

namespace {
struct Size {
  using Options = Size;
  int width = 1;
  std::vector<double> cuts = {};
  static constexpr auto describe() {
    return hana::make_tuple(DEW_OPTION(width, "mm", "how wide"), DEW_OPTION(cuts, "", "where it is cut"));
  }
  bool operator==(Size const&) const = default;
};
/// Two commands of a program: `first` has an option and --json, `second` another option.
struct Commands {
  CLI::App program{"program"};
  CLI::App *first = program.add_subcommand("first", ""), *second = program.add_subcommand("second", "");
  Size one, two;
  OptionSet of_first, of_second;
  CommandFlags flags;
  Commands() {
    of_first.add("one", one), of_second.add("two", two);
    for (auto const& e : of_first.entries()) add_option_flag(first, flags, e);
    for (auto const& e : of_second.entries()) add_option_flag(second, flags, e);
    first->add_option("--json", flags.json, "");
    for (auto* c : {first, second}) c->allow_extras();
  }
  std::string refusal(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    program.parse(words);
    try {
      for (auto const* c : {first, second}) refuse_extras(*c, {first, second});
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      return e.what();
    }
    return "none";
  }
};
}  // namespace

TEST_CASE("options are flags by their paths") {
  Commands c;
  CHECK(c.refusal({"first", "--one.cuts", "1,2", "--one.width=3"}) == "none");
  CHECK(c.flags.set.size() == 2);
  c.flags.set_in({&c.of_second, &c.of_first});
  CHECK(c.one.width == 3);
  CHECK(c.one.cuts == std::vector<double>{1, 2});
  CHECK(c.two == Size{});
  c.flags.set = {};
  c.flags.say("three.width", "1");
  CHECK_THROWS_WITH_AS(c.flags.set_in({&c.of_first, &c.of_second}), "--there is no option 'three.width'; the nearest is 'two.width'",
                       Error);
}

TEST_CASE("what a command does not have is refused: with the commands that have it, or with the nearest") {
  CHECK(Commands().refusal({"second", "--one.width", "2"}) == "second --one.width: would have no effect, it is an option of first");
  CHECK(Commands().refusal({"second", "--json=x"}) == "second --json: would have no effect, it is an option of first");
  CHECK(Commands().refusal({"second", "--two.witdh", "2"}) == "second --two.witdh: there is no such option; the nearest is --two.width");
  CHECK(Commands().refusal({"first", "word"}) == "first: 'word' was not expected");
}

TEST_CASE("options of stages, source and metrics act on a run, those of a training do not") {
  for (auto const* path : {"dbscan.eps", "tracking.eta_max", "source", "processes.back_end", "batch.array"}) {
    CAPTURE(path);
    CHECK(acts_on_a_run(path, "source"));
  }
  for (auto const* path : {"seed", "source", "condenser.fit.epochs", "condenser.loss.coward.weight", "dbscan.scan.eps_max",
                           "checkpoint.keep_best", "log.wandb"}) {
    CAPTURE(path);
    CHECK(!acts_on_a_run(path, "trackml"));
  }
}

TEST_CASE("a file that is there is not overwritten without force") {
  test::TempDir const folder;
  CHECK_NOTHROW(refuse_existing(folder / "absent", false));
  CHECK_NOTHROW(refuse_existing(folder.path(), true));
  CHECK_THROWS_AS(refuse_existing(folder.path(), false), Error);
}
