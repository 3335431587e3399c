// SPDX-License-Identifier: BSL-1.0
#include "dew/train/slurm_time.hpp"

using namespace dew;

TEST_CASE("times are read as SLURM writes them") {
  auto const seconds = [](char const* text) { return parse_slurm_time(text, "--time"); };
  CHECK(seconds("5") == 300);
  CHECK(seconds("0:08") == 8);
  CHECK(seconds("90:30") == 5430);
  CHECK(seconds("2:03:04") == 7384);
  CHECK(seconds("1-2") == 93600);
  CHECK(seconds("1-2:3") == 93780);
  CHECK(seconds("1-02:03:04") == 93784);
  for (auto const* text : {"", "a", "1:", ":1", "-5", "1:2:3:4", "1-2:3:4:5", "5 ", " 5", "1-", "0.5", "1:-2", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(seconds(text), ("--time: expected minutes, H:MM:SS or D-HH:MM:SS, got '" + std::string(text) + "'").c_str(),
                         Error);
  }
  try {
    seconds("x");
  } catch (Error const& e) { CHECK(e.kind() == ErrorKind::usage); }
}

TEST_CASE("times are written as SLURM reads them") {
  CHECK(slurm_time_text(0) == "0:00:00");
  CHECK(slurm_time_text(-3) == "0:00:00");
  CHECK(slurm_time_text(59.9) == "0:00:59");
  CHECK(slurm_time_text(93784) == "1-02:03:04");
  for (double const s : {1.0, 61.0, 3599.0, 3600.0, 86399.0, 86400.0, 1e6}) CHECK(parse_slurm_time(slurm_time_text(s), "") == s);
}
