// SPDX-License-Identifier: BSL-1.0
// The state of repositories that git itself makes; skipped where there is no git.
#include "dew/app/git_state.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "support/path_variable.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
bool sh(std::string const& command) { return std::system(("( " + command + " ) > /dev/null 2>&1").c_str()) == 0; }
std::string output(TempDir const& folder, std::string const& command) {
  auto const file = folder / "output";
  REQUIRE(sh("( " + command + " ) > '" + file.string() + "'"));
  auto text = read_file(file);
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}
/// git in a folder, deaf to the user's configuration.
std::string git(fs::path const& folder, std::string const& arguments) {
  return fmt::format(
      "GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git -C '{}' -c user.name=n -c user.email=e -c init.defaultBranch=main {}",
      folder.string(), arguments);
}
void write(fs::path const& file, std::string const& text) { std::ofstream(file, std::ios::binary) << text; }
void later(fs::path const& file) { fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(10)); }
bool dirty(fs::path const& folder) {
  auto const state = git_state(folder);
  REQUIRE(state);
  REQUIRE(state->dirty.has_value());
  return *state->dirty;
}
}  // namespace

TEST_CASE("commit, branch and changes are those that git says, for every version of its index") {
  if (!sh("git --version")) {
    MESSAGE("[skipped] there is no git");
    return;
  }
  for (int const version : {2, 3, 4}) {
    CAPTURE(version);
    TempDir const folder;
    auto const root = folder / "repository";
    fs::create_directories(root / "deep" / "er");
    CHECK(!git_state(folder.path()).has_value());
    REQUIRE(sh(git(folder.path(), "init repository")));
    auto const fresh = git_state(root);
    REQUIRE(fresh);
    CHECK(fresh->commit.empty());
    CHECK(fresh->branch == "main");
    CHECK(fresh->dirty == false);
    CHECK(fresh->problem.empty());

    for (int i = 0; i < 9; ++i)
      write(root / "deep" / fmt::format("file{}{}", std::string(std::size_t(i), 'x'), i), fmt::format("text {}\n", i));
    write(root / "deep" / "er" / "last", "");
    write(root / "top", "top\n");
    fs::create_symlink("top", root / "link");
    REQUIRE(sh(git(root, "add .")));
    CHECK(dirty(root));  // staged, not committed
    REQUIRE(sh(git(root, "commit -m one")));
    REQUIRE(sh(git(root, fmt::format("update-index --index-version {}", version))));
    if (version == 3) {  // what an intention to add needs
      write(root / "intended", "x");
      REQUIRE(sh(git(root, "add -N intended")));
      CHECK(dirty(root));
      REQUIRE(sh(git(root, "rm --cached intended")));
      fs::remove(root / "intended");
      REQUIRE(sh(git(root, "commit --allow-empty -m two")));
    }
    auto const commit = output(folder, git(root, "rev-parse HEAD"));
    for (auto const& at : {root, root / "deep" / "er"}) {
      auto const state = git_state(at);
      REQUIRE(state);
      CHECK(state->commit == commit);
      CHECK(state->branch == "main");
      CHECK(state->dirty == false);
    }
    later(root / "top");  // only the time
    CHECK(!dirty(root));
    write(root / "untracked", "x");
    CHECK(!dirty(root));
    write(root / "deep" / "er" / "last", "longer");
    CHECK(dirty(root));
    write(root / "deep" / "er" / "last", "");
    CHECK(!dirty(root));
    write(root / "top", "pot\n");  // as long as before
    later(root / "top");
    CHECK(dirty(root));
    REQUIRE(sh(git(root, "add top")));
    CHECK(dirty(root));
    REQUIRE(sh(git(root, "commit -m three")));
    CHECK(!dirty(root));
    fs::remove(root / "link");
    fs::create_symlink("elsewhere", root / "link");
    CHECK(dirty(root));
    REQUIRE(sh(git(root, "checkout link")));
    CHECK(!dirty(root));
    fs::remove(root / "deep" / "file0");
    CHECK(dirty(root));
    REQUIRE(sh(git(root, "checkout .")));

    // another working tree, packed references, no branch
    REQUIRE(sh(git(root, "worktree add -b side ../other")));
    auto const other = git_state(folder / "other");
    REQUIRE(other);
    CHECK(other->branch == "side");
    CHECK(other->commit == output(folder, git(root, "rev-parse HEAD")));
    CHECK(other->dirty == false);
    REQUIRE(sh(git(root, "pack-refs --all")));
    CHECK(git_state(root)->commit == output(folder, git(root, "rev-parse HEAD")));
    CHECK(git_state(folder / "other")->commit == output(folder, git(root, "rev-parse HEAD")));
    REQUIRE(sh(git(root, "checkout --detach")));
    CHECK(git_state(root)->branch.empty());
    CHECK(git_state(root)->commit == output(folder, git(root, "rev-parse HEAD")));
    CHECK(!dirty(root));

    write(root / ".git" / "index", "DIRC and something else");
    CHECK(!git_state(root)->dirty.has_value());  // cannot be told
    CHECK(!git_state(root)->commit.empty());
  }
}

TEST_CASE("where git cannot be asked the state says why, in bounded time") {
  TempDir const folder, empty;
  auto const root = folder / "repository";
  fs::create_directories(root / ".git");
  {
    dew::test::PathVariable const nowhere(empty.path().string());
    auto const state = git_state(root);
    REQUIRE(state);
    CHECK(state->problem == "git: No such file or directory");
    CHECK(state->commit.empty());
    CHECK(!state->dirty.has_value());
    CHECK(!git_state(folder.path()).has_value());  // in no repository: git is not missed
  }
  write(empty / "git", "#!/bin/sh\nexec sleep 1000\n");
  fs::permissions(empty / "git", fs::perms::owner_all);
  dew::test::PathVariable const slow(empty.path().string() + ":" + std::getenv("PATH"));
  auto const state = git_state(root, run_command, 0.3);
  REQUIRE(state);
  CHECK(state->problem == "git: no answer in 0 s");
}

TEST_CASE("git is asked without locks, and a commit is known where only its status is not") {
  TempDir const folder;
  fs::create_directories(folder / ".git");
  std::vector<std::vector<std::string>> asked;
  auto const state = git_state(folder.path(), [&](std::vector<std::string> const& words, double patience_s) {
    CHECK(patience_s == 5);
    asked.push_back(words);
    if (words.at(4) == "rev-parse") return CommandResult{0, "0123abc\n", ""};
    if (words.at(4) == "symbolic-ref") return CommandResult{1, "", ""};
    return CommandResult{-1, "", "", "git: no answer in 5 s"};
  });
  REQUIRE(state);
  CHECK(state->commit == "0123abc");
  CHECK(state->branch.empty());
  CHECK(!state->dirty.has_value());
  CHECK(state->problem.empty());
  REQUIRE(asked.size() == 3);
  for (auto const& words : asked) CHECK(words.at(1) == "--no-optional-locks");  // a commit at the same time is not disturbed
}
