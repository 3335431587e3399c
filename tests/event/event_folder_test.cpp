// SPDX-License-Identifier: BSL-1.0
#include "dew/event/event_folder.hpp"

#include <doctest/doctest.h>

#include "event/gzip_writer.hpp"
#include "support/print.hpp"
#include "support/temp_dir.hpp"

using namespace dew;

TEST_CASE("an event folder: numbers of events by ending, and the files of one") {
  test::TempDir const folder;
  for (auto const* file :
       {"event000000012-a.csv", "event000000012-a.csv.gz", "event000000003-a.csv.gz", "event000000004-b.csv", "event12-a.csv",
        "event0000000013-a.csv", "event1234567890-a.csv", "xevent000000008-a.csv", "event00000000x-a.csv"})
    test::put_file(folder / file, "");
  EventFolder const events("mine", folder.path().string());
  CHECK(events.ids({"-a.csv", "-a.csv.gz"}) == std::vector<std::int64_t>{3, 12, 1234567890});
  CHECK(events.ids({"-a.csv"}) == std::vector<std::int64_t>{12, 1234567890});
  CHECK(events.csv(12, {"a"}) == folder / "event000000012-a.csv");
  CHECK(events.csv(3, {"b", "a"}) == folder / "event000000003-a.csv.gz");
  CHECK_THROWS_WITH_AS(events.csv(3, {"b"}), doctest::Contains("event000000003-b.csv: no such file, nor one that ends in .gz"), Error);
  CHECK(events.file(7, ".safetensors") == folder / "event000000007.safetensors");
  CHECK_THROWS_WITH_AS(EventFolder("mine", ""), "mine: no folder of events is given", Error);
  CHECK_THROWS_WITH_AS(EventFolder("mine", "/nowhere/at/all"), "/nowhere/at/all: no such folder", Error);
}
