// SPDX-License-Identifier: BSL-1.0
#include "dew/train/run_lock.hpp"

#include <unistd.h>

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

TEST_CASE("a run folder has one holder, and a file left by a dead one is no obstacle") {
  TempDir const folder;
  auto const file = folder / RunLock::name;
  write_file_atomically(file, "process 1 on a machine that is no more");
  {
    RunLock const lock(folder.path());
    CHECK(lock.held());
    auto const text = read_file(file);
    CHECK(text.starts_with(fmt::format("process {} on ", ::getpid())));
    CHECK(text.find("no more") == std::string::npos);
    try {
      RunLock const second(folder.path());
      FAIL("a second holder");
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      CHECK(std::string(e.what()) == folder.path().string() + ": " + text + " is training in this folder");
    }
    CHECK(read_file(file) == text);
  }
  CHECK(!std::filesystem::exists(file));
  CHECK(RunLock(folder.path()).held());  // free again
  CHECK_THROWS_AS(RunLock(folder / "nowhere"), Error);
}
