// SPDX-License-Identifier: BSL-1.0
#include "dew/train/time_guard.hpp"

#include <limits>
#include <optional>
#include <vector>

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

TEST_CASE("an end that moves is asked for from time to time, and before time is up") {
  double now = 0;
  std::vector<double> asked;
  std::optional<double> answer = 3000;
  TimeGuard guard(1000, 20, [&] { return now; });
  guard.ask_again(
      [&] {
        asked.push_back(now);
        now += 3;  // an answer takes its time, which is no step
        return answer;
      },
      500);
  auto const up_at = [&](double then) {
    now = then;
    return guard.up();
  };
  CHECK(!up_at(0));
  for (double t = 5; t < 500; t += 5) CHECK(!up_at(t));
  CHECK(asked.empty());
  CHECK(!up_at(500));
  CHECK(asked == std::vector<double>{500});
  CHECK(guard.left() == 3000);  // from the answer on
  CHECK(guard.margin() == 2 * 5 + 20);
  answer = 100;  // lowered: heard of at the next question
  for (double t = 508; t < 1003; t += 5) CHECK(!up_at(t));
  CHECK(asked.size() == 1);
  CHECK(!up_at(1003));
  CHECK(asked == std::vector<double>{500, 1003});
  CHECK(guard.left() == 100);
  answer = 2000;  // raised: heard of when time would be up
  for (double t = 1011; t < 1077; t += 5) CHECK(!up_at(t));
  CHECK(asked.size() == 2);
  CHECK(guard.left() == 30);
  CHECK(!up_at(1077));
  CHECK(asked == std::vector<double>{500, 1003, 1077});
  CHECK(guard.left() == 2000);
  answer = std::numeric_limits<double>::infinity();  // no limit any more
  for (double t = 1085; t < 1580; t += 5) CHECK(!up_at(t));
  CHECK(!up_at(1580));
  CHECK(asked.size() == 4);
  CHECK(!up_at(1e6));
  CHECK(guard.left() == *answer);
}

TEST_CASE("an answer is trusted for some seconds, and without one the end stays") {
  double now = 0;
  int asked = 0;
  std::optional<double> answer = 10.75;
  auto const ask = [&] { return ++asked, answer; };
  TimeGuard guard(20, 10, [&] { return now; });
  guard.ask_again(ask, 600, 5);
  for (; now < 9.75; now += 0.25) CHECK(!guard.up());
  CHECK(asked == 0);
  CHECK(!guard.up());  // 10.25 s left where 10.5 are needed: half a second more was found
  CHECK(asked == 1);
  now = 10;
  CHECK(!guard.up());
  answer = 1000;
  now = 10.25;
  CHECK(guard.up());  // not enough any more, and asked a moment ago
  now = 30;
  CHECK(guard.up());  // it stays so, whatever anybody would say
  CHECK(asked == 1);

  now = 0, asked = 0, answer = std::nullopt;
  TimeGuard unanswered(20, 10, [&] { return now; });
  unanswered.ask_again(ask, 600, 5);
  for (; now < 9.75; now += 0.25) CHECK(!unanswered.up());
  CHECK(unanswered.up());
  CHECK(asked == 1);
  CHECK(unanswered.left() == 10.25);
}

TEST_CASE("an end that does not move counts beside one that does, and nobody is asked for it") {
  double now = 0;
  int asked = 0;
  TimeGuard guard(std::numeric_limits<double>::infinity(), 10, [&] { return now; });
  guard.not_after(50);
  guard.not_after(70);
  guard.ask_again([&] { return ++asked, std::optional(1e6); }, 39.75, 5);
  CHECK(guard.left() == 50);
  for (; now <= 39.5; now += 0.25) CHECK(!guard.up());
  CHECK(guard.up());  // though it would have been time to ask
  CHECK(asked == 0);
}
