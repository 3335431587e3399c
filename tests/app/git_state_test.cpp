// SPDX-License-Identifier: BSL-1.0
// The state of repositories that git itself makes; skipped where there is no git.
#include "dew/app/git_state.hpp"

#include <cstdlib>
#include <fstream>

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
    CHECK(!fresh->dirty.has_value());

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

TEST_CASE("contents have the names that git gives them") {
  CHECK(dew::detail::git_blob_name("") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  CHECK(dew::detail::git_blob_name("hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a");
}
