// SPDX-License-Identifier: BSL-1.0
#include "dew/train/slurm.hpp"

using namespace dew;

namespace {
Environment environment(std::map<std::string, std::string> const& variables) {
  return [variables](std::string const& name) {
    auto const at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  };
}
/// squeue as it answers, and what it was asked.
RunCommand squeue(CommandResult answer, std::vector<std::string>* asked = nullptr) {
  return [=](std::vector<std::string> const& arguments, double) {
    if (asked) *asked = arguments;
    return answer;
  };
}
}  // namespace

TEST_CASE("the job is found by its environment") {
  CHECK(!slurm_job(environment({})));
  CHECK(!slurm_job(environment({{"SLURM_JOB_ID", ""}})));
  CHECK(*slurm_job(environment({{"SLURM_JOB_ID", "17"}})) == SlurmJob{.id = "17"});
  CHECK(*slurm_job(environment({{"SLURM_JOB_ID", "19"}, {"SLURM_RESTART_COUNT", "2"}, {"SLURM_JOB_END_TIME", "1700000000"}})) ==
        SlurmJob{.id = "19", .restarts = 2, .ends = 1700000000});
  // the number of one task is that of the array: it has to be named by both
  CHECK(slurm_job(environment({{"SLURM_JOB_ID", "17"}, {"SLURM_ARRAY_JOB_ID", "17"}, {"SLURM_ARRAY_TASK_ID", "3"}}))->id == "17_3");
  CHECK(slurm_job(environment({{"SLURM_JOB_ID", "17"}, {"SLURM_ARRAY_TASK_ID", "3"}}))->id == "17");
  for (auto const* text : {"x", "-1", "1x", "1 ", "0x1", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(slurm_job(environment({{"SLURM_JOB_ID", text}})),
                         ("SLURM_JOB_ID in the environment: expected a number, got '" + std::string(text) + "'").c_str(), Error);
  }
}

TEST_CASE("this process's environment is read") {
  ::setenv("DEW_TEST_VARIABLE", "a b", 1);
  CHECK(process_environment()("DEW_TEST_VARIABLE") == "a b");
  ::unsetenv("DEW_TEST_VARIABLE");
  CHECK(!process_environment()("DEW_TEST_VARIABLE"));
}

TEST_CASE("the time that is left comes from SLURM's environment, else from squeue") {
  std::vector<std::string> asked;
  CHECK(*seconds_left({.id = "17", .ends = 1000}, 900, squeue({0, "9:00", ""}, &asked)) == 100);
  CHECK(asked.empty());
  CHECK(*seconds_left({.id = "17", .ends = 1000}, 1001, squeue({0, "9:00", ""}, &asked)) == 540);  // a limit that was raised
  CHECK(*seconds_left_by_squeue({.id = "17", .ends = 1000}, squeue({0, "9:00", ""})) == 540);      // whatever it was at the start
  CHECK(*seconds_left({.id = "17_3"}, 0, squeue({0, "1-02:03:04          \n", ""}, &asked)) == 93784);
  CHECK(asked == std::vector<std::string>{"squeue", "--noheader", "--jobs", "17_3", "--Format", "TimeLeft"});
  CHECK(*seconds_left({.id = "17"}, 0, squeue({0, "0:59\n", ""})) == 59);
  for (auto const* none : {"UNLIMITED", "NOT_SET", "INVALID"}) CHECK(!seconds_left({.id = "17"}, 0, squeue({0, none, ""})));
  auto const refusal = [](CommandResult const& answer) {
    try {
      (void)seconds_left({.id = "17"}, 0, squeue(answer));
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::input);
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(refusal({1, "", "slurm_load_jobs error: Invalid job id specified\n"}) ==
        "squeue does not say how much time job 17 has left: slurm_load_jobs error: Invalid job id specified");
  CHECK(refusal({-1, "", "", "squeue: No such file or directory"}) ==
        "squeue does not say how much time job 17 has left: squeue: No such file or directory");
  CHECK(refusal({0, " \n", ""}) == "squeue does not say how much time job 17 has left");
  CHECK(refusal({0, "soon", ""}) == "squeue: expected minutes, H:MM:SS or D-HH:MM:SS, got 'soon'");
}

TEST_CASE("the tasks of an array are read as SLURM takes them") {
  using Ids = std::vector<std::int64_t>;
  CHECK(array_ids("3") == Ids{3});
  CHECK(array_ids("0-3") == Ids{0, 1, 2, 3});
  CHECK(array_ids("9,1,5-6") == Ids{1, 5, 6, 9});
  CHECK(array_ids("0-15:5%2") == Ids{0, 5, 10, 15});
  CHECK(array_ids("1,1-2") == Ids{1, 2});
  for (auto const* text : {"", "a", "1-", "3-1", "1,", "1-5:0", "1%", "1 2", "-1", "4194304"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(array_ids(text),
                         ("tasks of an array: expected something like 0-9 or 1,5,9, got '" + std::string(text) + "'").c_str(), Error);
  }
}

TEST_CASE("a task knows which of how many it is") {
  auto const task = [](std::map<std::string, std::string> const& variables, std::string const& tasks = "") {
    std::map<std::string, std::string> full;
    for (auto const& [name, value] : variables) full["SLURM_ARRAY_TASK_" + name] = value;
    return array_task(environment(full), tasks);
  };
  CHECK(task({{"ID", "3"}, {"MIN", "0"}, {"MAX", "9"}, {"COUNT", "10"}, {"STEP", "1"}}) == ArrayTask{3, 3, 10});
  CHECK(task({{"ID", "3"}, {"COUNT", "10"}}) == ArrayTask{3, 3, 10});
  CHECK(task({{"ID", "11"}, {"MIN", "1"}, {"MAX", "16"}, {"COUNT", "4"}, {"STEP", "5"}}) == ArrayTask{11, 2, 4});
  // some of the tasks again: the environment speaks of these alone
  CHECK(task({{"ID", "7"}, {"MIN", "7"}, {"MAX", "7"}, {"COUNT", "1"}}, "0-9") == ArrayTask{7, 7, 10});
  CHECK(task({{"ID", "9"}}, "1,5,9") == ArrayTask{9, 2, 3});
  auto const refusal = [&](std::map<std::string, std::string> const& variables, std::string const& tasks = "") {
    try {
      (void)task(variables, tasks);
    } catch (Error const& e) { return std::string(e.what()); }
    return std::string("none");
  };
  CHECK(refusal({}).starts_with("this is no task of a job array: SLURM_ARRAY_TASK_ID is not set"));
  CHECK(refusal({{"ID", "1"}}).starts_with("how many tasks has the array?"));
  CHECK(refusal({{"ID", "x"}, {"COUNT", "2"}}) == "SLURM_ARRAY_TASK_ID in the environment: expected a number, got 'x'");
  CHECK(refusal({{"ID", "5"}, {"MIN", "1"}, {"MAX", "9"}, {"COUNT", "3"}}).starts_with("the 3 tasks from 1 to 9 have unequal distances"));
  CHECK(refusal({{"ID", "4"}}, "1,5,9") == "task 4 is none of the array's tasks 1,5,9");
  CHECK(refusal({{"ID", "10"}, {"COUNT", "10"}}) == "task 10 is none of the array's tasks 0-9:1");
  CHECK(refusal({{"ID", "2"}, {"COUNT", "3"}, {"STEP", "5"}}) == "task 2 is none of the array's tasks 0-10:5");
}
