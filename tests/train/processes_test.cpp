// SPDX-License-Identifier: BSL-1.0
#include "dew/train/processes.hpp"

#include "dew/train/core_share.hpp"
#include "dew/train/started_processes.hpp"
#include "support/fake_processes.hpp"

using namespace dew;
using dew::test::FakeProcesses;

TEST_CASE("a group of one exchanges nothing") {
  OneProcess one;
  CHECK(one.alone());
  CHECK(one.first());
  auto const t = at::ones({3});
  one.sum(t);
  one.broadcast(t);
  CHECK(at::equal(t, at::ones({3})));
  CHECK(one.of_first("text") == "text");
  CHECK(one.first_says(true));
  CHECK(!one.first_says(false));
  for (int i = 0; i < 5; ++i) CHECK(one.has(i));
}

TEST_CASE("items of a list are shared without overlap") {
  FakeProcesses const a(0, 3), b(1, 3), c(2, 3);
  for (int i = 0; i < 10; ++i) CHECK(int(a.has(i)) + int(b.has(i)) + int(c.has(i)) == 1);
}

TEST_CASE("what rank 0 says holds for all") {
  FakeProcesses second(1, 2);
  second.answers = [](std::string const& mine) {
    CHECK(mine.empty());  // others have no say
    return std::vector<std::string>{"yes", mine};
  };
  CHECK(second.first_says(false));
}

TEST_CASE("a time limit or bucket of nothing is refused") {
  CHECK_THROWS_WITH_AS(OneProcess({.timeout_s = 0}), "processes: timeout_s and bucket_mb are more than 0, got 0 and 2", Error);
  CHECK_THROWS_AS(OneProcess({.bucket_mb = -1}), Error);
}

TEST_CASE("lost processes are named") {
  CHECK(dew::detail::lost_text({"rank 1 (process 7 on a)"}, "a sum", 600) ==
        "rank 1 (process 7 on a) is lost, or busy for longer than 600 s (--processes.timeout_s), while the others wait for a sum; all "
        "processes end");
  CHECK(dew::detail::lost_text({"rank 1", "rank 2"}, "a sum", 2.5).starts_with("rank 1, rank 2 are lost, or busy for longer than 2.5 s"));
  CHECK(dew::detail::lost_text({}, "a sum", 5) == "a sum did not end within 5 s though every process answers; all processes end");
}

TEST_CASE("threads are the cores divided by the processes that share them") {
  auto const cores = dew::detail::allowed_cores();
  int const all = CPU_COUNT(&cores);
  OneProcess one;
  CHECK(threads_each(one) == all);
  FakeProcesses four(1, 4);
  CHECK(threads_each(four) == std::max(1, all / 4));  // all on the same cores
  four.answers = [](std::string const& mine) { return std::vector<std::string>{"a 1", mine, "b 1", "c 1"}; };
  CHECK(threads_each(four) == all);  // the others have cores of their own
}

TEST_CASE("several processes without a back end are refused in one sentence") {
  CHECK(start_processes({}, {}, at::kCPU)->alone());
#ifndef DEW_MPI
  Launch const launch{.rank = 1, .size = 4, .by = "srun", .said_by = "SLURM_STEP_NUM_TASKS"};
  CHECK_THROWS_WITH_AS(
      start_processes(launch, {}, at::kCPU),
      "this is process 2 of 4 that srun has started (SLURM_STEP_NUM_TASKS), and this program was built without MPI, through which "
      "processes train together: configure it with -DDEW_MPI=ON, or start it once",
      Error);
#endif
}
