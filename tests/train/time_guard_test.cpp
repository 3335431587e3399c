// SPDX-License-Identifier: BSL-1.0
#include "dew/train/time_guard.hpp"

using namespace dew;

TEST_CASE("time is up when twice the longest step and checkpoint and the reserve do not fit any more") {
  double now = 1000;
  TimeGuard guard(100, 5, [&] { return now; });
  CHECK(!guard.up());
  for (int i = 0; i < 3; ++i) {  // steps of 2 s, a checkpoint of 1 s among them
    now += i == 1 ? 3 : 2;
    if (i == 1) guard.saved(1);
    CHECK(!guard.up());
  }
  CHECK(guard.margin() == 2 * 3 + 2 * 1 + 5);
  CHECK(guard.left() == 93);
  now = 1000 + 100 - 13 - 3;  // as if steps of less had followed; this one has taken 77 s
  CHECK(guard.up());
  CHECK(guard.margin() == 2 * 77 + 2 + 5);
  now = 1000;
  CHECK(guard.up());  // it stays so
}

TEST_CASE("the margin is kept to the second") {
  double now = 0;
  TimeGuard guard(60, 10, [&] { return now; });
  CHECK(!guard.up());
  while (60 - now >= 10 + 2) {  // steps of 1 s
    CHECK(!guard.up());
    now += 1;
  }
  CHECK(now == 49);
  CHECK(guard.up());

  // without any step yet the reserve alone counts
  CHECK(TimeGuard(9, 10, [&] { return now; }).up());
  CHECK(!TimeGuard(11, 10, [&] { return now; }).up());
}

TEST_CASE("a long step is forgotten after 256 short ones") {
  double now = 0;
  TimeGuard guard(1e6, 0, [&] { return now; });
  CHECK(!guard.up());
  now += 50;
  CHECK(!guard.up());
  for (int i = 0; i < 255; ++i) {
    now += 1;
    CHECK(!guard.up());
    CHECK(guard.margin() == 100);
  }
  now += 1;
  CHECK(!guard.up());
  CHECK(guard.margin() == 2);
}
