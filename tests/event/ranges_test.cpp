// SPDX-License-Identifier: BSL-1.0
#include "dew/event/ranges.hpp"

#include <doctest/doctest.h>

#include "support/print.hpp"

using namespace dew;

TEST_CASE("ranges are read in the order written") {
  using Numbers = std::vector<std::int64_t>;
  CHECK(parse_ranges("1-5,9") == Numbers{1, 2, 3, 4, 5, 9});
  CHECK(parse_ranges("1000-1002") == Numbers{1000, 1001, 1002});
  CHECK(parse_ranges("0") == Numbers{0});
  CHECK(parse_ranges("9, 3 - 4 ,1") == Numbers{9, 3, 4, 1});
  CHECK(parse_ranges("7-7") == Numbers{7});
}

TEST_CASE("what is no list of ranges is a usage error that shows it") {
  for (auto text : {"", ",", "1,", ",1", "1-", "-1", "a", "1-5x", "1--5", "1..5", "1;2", "1 2", "99999999999999999999", "1.5"}) {
    CAPTURE(text);
    try {
      parse_ranges(text);
      FAIL("expected an error");
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      CHECK(e.what() == fmt::format("event ranges: expected something like 1-5,9, got '{}'", text));
    }
  }
  CHECK_THROWS_WITH_AS(parse_ranges("5-1"), "event ranges: 5-1 runs backwards in '5-1'", Error);
  CHECK_THROWS_WITH_AS(parse_ranges("1-5,3"), "event ranges: 3 stands twice in '1-5,3'", Error);
  CHECK_THROWS_WITH_AS(parse_ranges("0-9999999999"), "event ranges: '0-9999999999' holds more than 10000000 events", Error);
  CHECK_THROWS_WITH_AS(parse_ranges("0-9223372036854775807,1"), "event ranges: '0-9223372036854775807,1' holds more than 10000000 events",
                       Error);
}
