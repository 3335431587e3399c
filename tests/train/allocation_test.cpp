// SPDX-License-Identifier: BSL-1.0
#include "dew/train/allocation.hpp"

#include <csignal>

using namespace dew;

namespace {
/// SLURM, the clock and the screen, as a test says.
struct Stage {
  std::map<std::string, std::string> variables;
  double now = 50;
  std::map<std::string, CommandResult> answers;  // by the program's name
  std::vector<std::string> said, warned, called;

  Surroundings around() {
    Surroundings around;
    around.environment = [this](std::string const& name) {
      auto const at = variables.find(name);
      return at == variables.end() ? std::nullopt : std::optional(at->second);
    };
    around.clock = [this] { return now; };
    around.date = [] { return 1e9; };
    around.command = [this](std::vector<std::string> const& arguments, double) {
      called.push_back(shell_line(arguments));
      auto const at = answers.find(arguments[0]);
      return at == answers.end() ? CommandResult{-1, "", "", arguments[0] + ": No such file or directory"} : at->second;
    };
    around.warn = [this](std::string const& text) { warned.push_back(text); };
    around.say = [this](std::string const& text) { said.push_back(text); };
    return around;
  }
};
using Texts = std::vector<std::string>;
}  // namespace

TEST_CASE("outside a batch system there is no guard, and signals say how to stop") {
  Stage stage;
  {
    Allocation allocation({}, stage.around());
    CHECK(!allocation.job());
    CHECK(!allocation.restarted());
    CHECK(allocation.text() == "");
    stage.now += 1e7;
    CHECK(!allocation.stop());
    std::raise(SIGINT);
    CHECK(!allocation.stopped());  // not before it is asked
    CHECK(allocation.stop());
    CHECK(allocation.stopped());
    CHECK(allocation.reason() == StopReason::interrupt);
    CHECK(allocation.leave("x train --resume RUN") == 130);
  }
  CHECK(stage.said == Texts{"stopped; go on with: x train --resume RUN"});
  stage.said.clear();
  {
    Allocation allocation({}, stage.around());
    std::raise(SIGTERM);
    CHECK(allocation.stop());
    CHECK(allocation.leave("x") == 143);
  }
  {
    Allocation allocation({.requeue_status = 99}, stage.around());
    allocation.progressed();
    std::raise(SIGUSR1);
    CHECK(allocation.stop());
    CHECK(allocation.leave("x") == 99);
  }
  CHECK(stage.said == Texts{"stopped by SIGTERM; go on with: x", "stopped by the signal to requeue; go on with: x"});
  CHECK(stage.called.empty());
}

TEST_CASE("of the reasons of several processes a person's counts before the batch system's") {
  Stage stage;
  Allocation allocation({}, stage.around());
  allocation.stopped_too(StopReason::none);
  CHECK(!allocation.stopped());
  for (auto const& [said, counts] : {std::pair{StopReason::time, StopReason::time},
                                     {StopReason::requeue, StopReason::requeue},
                                     {StopReason::time, StopReason::requeue},
                                     {StopReason::terminate, StopReason::terminate},
                                     {StopReason::requeue, StopReason::terminate}}) {
    allocation.stopped_too(said);
    CHECK(allocation.reason() == counts);
  }
  CHECK(allocation.leave("x") == 143);
  CHECK(stage.called.empty());
}

TEST_CASE("a job of SLURM is requeued by its number when it is signalled or its time is nearly up") {
  Stage stage;
  stage.variables = {{"SLURM_JOB_ID", "17"}, {"SLURM_ARRAY_JOB_ID", "15"}, {"SLURM_ARRAY_TASK_ID", "2"}, {"SLURM_RESTART_COUNT", "2"}};
  stage.answers["squeue"] = {0, "1:00\n", ""};
  stage.answers["scontrol"] = {0, "", ""};
  {
    Allocation allocation({}, stage.around());
    CHECK(allocation.restarted());
    CHECK(allocation.text() == "SLURM job 15_2, requeued 2 times before, 0:01:00 left");
    CHECK(stage.called == Texts{"squeue --noheader --jobs 15_2 --Format TimeLeft"});
    CHECK(!allocation.stop());
    allocation.save([&] { stage.now += 4; });
    allocation.progressed();
    stage.now += 6;  // one step of 10 s with a checkpoint of 4 s: 2 · 10 + 2 · 4 + 15 s have to be left
    CHECK(!allocation.stop());
    stage.now += 7;
    CHECK(!allocation.stop());
    stage.now += 1;
    stage.answers["squeue"] = {0, "0:42\n", ""};  // asked again before it stops
    CHECK(allocation.stop());
    CHECK(allocation.reason() == StopReason::time);
    CHECK(allocation.why_text() == "stopped in time, with 0:00:42 left");
    stage.now += 3;
    CHECK(allocation.leave("x") == 75);
  }
  CHECK(stage.said == Texts{"stopped in time, with 0:00:42 left", "requeued: job 15_2 goes on by itself"});
  CHECK(stage.called == Texts{"squeue --noheader --jobs 15_2 --Format TimeLeft", "squeue --noheader --jobs 15_2 --Format TimeLeft",
                              "scontrol requeue 15_2"});
  CHECK(stage.warned.empty());  // the end was where it was thought to be

  stage.said.clear(), stage.called.clear();
  stage.variables["SLURM_RESTART_COUNT"] = "1";
  stage.variables["SLURM_JOB_END_TIME"] = "1000003600";
  Allocation allocation({}, stage.around());
  CHECK(allocation.text() == "SLURM job 15_2, requeued once before, 1:00:00 left");
  CHECK(stage.called.empty());  // the environment said it
  CHECK(!allocation.stop());
  allocation.progressed();
  std::raise(SIGUSR1);
  CHECK(allocation.stop());
  std::raise(SIGTERM);  // SLURM's, behind its own
  CHECK(allocation.stop());
  CHECK(allocation.leave("x") == 75);
  CHECK(stage.said == Texts{"stopped by the signal to requeue", "requeued: job 15_2 goes on by itself"});
}

TEST_CASE("a time limit that is raised or lowered is noticed") {
  Stage stage;
  stage.variables = {{"SLURM_JOB_ID", "17"}, {"SLURM_JOB_END_TIME", "1000000060"}};  // in 60 s
  stage.answers["squeue"] = {0, "2:00:00\n", ""};
  auto const ask = std::string("squeue --noheader --jobs 17 --Format TimeLeft");
  {
    Allocation allocation({}, stage.around());
    CHECK(allocation.text() == "SLURM job 17, 0:01:00 left");
    for (int i = 0; i < 4; ++i, stage.now += 10) CHECK(!allocation.stop());  // 2 · 10 + 15 s are needed
    CHECK(stage.called == Texts{ask});                                       // with 30 left
    CHECK(stage.warned == Texts{"SLURM has moved the end of job 17: 2:00:00 left"});
    CHECK(!allocation.stop());
    stage.answers["squeue"] = {0, "0:20\n", ""};  // lowered
    for (int i = 0; i < 56; ++i) {
      stage.now += 10;
      CHECK(!allocation.stop());
    }
    CHECK(stage.called.size() == 1);
    for (int i = 0; i < 3 && !allocation.stopped(); ++i) {
      stage.now += 10;
      (void)allocation.stop();
    }
    CHECK(stage.called.size() == 2);
    CHECK(stage.warned.back() == "SLURM has moved the end of job 17: 0:00:20 left");
    CHECK(allocation.reason() == StopReason::time);
    CHECK(allocation.why_text() == "stopped in time, with 0:00:20 left");
  }
  stage.warned.clear(), stage.called.clear();
  stage.answers["squeue"] = {0, "UNLIMITED\n", ""};
  {
    Allocation allocation({}, stage.around());
    stage.now += 50;
    CHECK(!allocation.stop());
    CHECK(stage.warned == Texts{"SLURM has moved the end of job 17: no limit any more"});
    CHECK(allocation.text() == "SLURM job 17");
    stage.now += 1e6;
    CHECK(!allocation.stop());
    CHECK(stage.called.size() == 2);
    CHECK(stage.warned.size() == 1);  // said once
  }
  // no answer: the end stays; nobody is asked where that is not wanted
  stage.warned.clear(), stage.called.clear();
  stage.answers["squeue"] = {1, "", "no controller"};
  {
    Allocation allocation({}, stage.around());
    stage.now += 50;
    CHECK(allocation.stop());
    CHECK(allocation.why_text() == "stopped in time, with 0:00:10 left");
  }
  CHECK(stage.called == Texts{ask});
  CHECK(stage.warned.empty());
  {
    Allocation allocation({.ask_every_s = 0}, stage.around());
    stage.now += 50;
    CHECK(allocation.stop());
  }
  CHECK(stage.called.size() == 1);
  // a first answer that fails is made up for later
  stage.variables.erase("SLURM_JOB_END_TIME");
  {
    Allocation allocation({.ask_every_s = 100}, stage.around());
    CHECK(stage.warned.size() == 1);
    CHECK(allocation.text() == "SLURM job 17");
    stage.answers["squeue"] = {0, "10:00\n", ""};
    stage.now += 100;
    CHECK(!allocation.stop());
    CHECK(allocation.text() == "SLURM job 17, 0:10:00 left");
  }
}

TEST_CASE("a process beside one that looks at the time asks nobody and hears signals alone") {
  Stage stage;
  stage.variables = {{"SLURM_JOB_ID", "17"}};
  Allocation allocation({.stop_after = "0:20"}, stage.around(), 0, false);
  stage.now += 1e6;
  CHECK(!allocation.stop());
  CHECK(stage.called.empty());
  CHECK(allocation.text() == "SLURM job 17");
  allocation.stopped_too(StopReason::time);
  CHECK(allocation.why_text() == "stopped in time");
  std::raise(SIGUSR1);
  CHECK(allocation.stop());
  CHECK(allocation.reason() == StopReason::time);  // the first that it was told
}

TEST_CASE("SIGTERM and Ctrl-C requeue nothing, also in SLURM") {
  Stage stage;
  stage.variables = {{"SLURM_JOB_ID", "17"}};
  stage.answers["squeue"] = {0, "UNLIMITED\n", ""};
  for (int const number : {SIGTERM, SIGINT}) {
    stage.called.clear();
    Allocation allocation({}, stage.around());
    CHECK(allocation.text() == "SLURM job 17");
    allocation.progressed();
    std::raise(number);
    CHECK(allocation.stop());
    CHECK(allocation.leave("x") == 128 + number);
    CHECK(stage.called.size() == 1);
  }
}

TEST_CASE("where the job cannot be requeued it is said how to go on") {
  Stage stage;
  stage.variables = {{"SLURM_JOB_ID", "17"}};
  stage.answers["squeue"] = {0, "10:00\n", ""};
  auto const leave = [&](BatchOptions const& options, bool progressed = true) {
    stage.said.clear(), stage.called.clear();
    Allocation allocation(options, stage.around());
    if (progressed) allocation.progressed();
    std::raise(SIGUSR1);
    CHECK(allocation.stop());
    return allocation.leave("x");
  };
  CHECK(leave({}) == 75);
  CHECK(stage.said ==
        Texts{"stopped by the signal to requeue", "could not be requeued: scontrol: No such file or directory; go on with: x"});
  stage.answers["scontrol"] = {1, "", "Requested operation is presently disabled\n"};
  CHECK(leave({}) == 75);
  CHECK(stage.said.back() == "could not be requeued: Requested operation is presently disabled; go on with: x");
  // a command of one's own, with the shell's variables
  stage.answers["sh"] = {0, "", ""};
  CHECK(leave({.requeue_command = "resubmit $SLURM_JOB_ID", .requeue_status = 3}) == 3);
  CHECK(stage.called.back() == "sh -c 'resubmit $SLURM_JOB_ID'");
  CHECK(stage.said.back() == "requeued: job 17 goes on by itself");
  // the exit status alone
  CHECK(leave({.requeue_command = "none"}) == 75);
  CHECK(stage.said == Texts{"stopped by the signal to requeue; go on with: x"});
  CHECK(stage.called.size() == 1);
  // an allocation in which nothing was done would be followed by others like it, also where the status alone requeues
  CHECK(leave({.requeue_command = "none"}, false) == 1);
  CHECK(leave({}, false) == 1);
  CHECK(stage.called.size() == 1);
  CHECK(stage.said ==
        Texts{"stopped by the signal to requeue; not requeued, for this allocation was too short to come any further; go on with: x"});
}

TEST_CASE("--stop-after guards without a batch system, and the nearer end counts with one") {
  Stage stage;
  {
    Allocation allocation({.stop_after = "2"}, stage.around(), 30);  // 30 s more are kept for loggers
    CHECK(allocation.text() == "0:02:00 left");
    allocation.progressed();
    stage.now += 75;
    CHECK(!allocation.stop());
    stage.now += 0.5;
    CHECK(allocation.stop());
    CHECK(allocation.leave("x") == 75);
    CHECK(stage.said == Texts{"stopped in time, with 0:00:44 left; go on with: x"});
    CHECK(stage.called.empty());
  }
  stage.variables = {{"SLURM_JOB_ID", "17"}};
  stage.answers["squeue"] = {0, "10:00\n", ""};
  CHECK(Allocation({.stop_after = "0:30"}, stage.around()).text() == "SLURM job 17, 0:00:30 left");
  CHECK(Allocation({.stop_after = "1-0"}, stage.around()).text() == "SLURM job 17, 0:10:00 left");
  CHECK(stage.warned.empty());
  stage.answers["squeue"] = {1, "", "no controller"};
  CHECK(Allocation({}, stage.around()).text() == "SLURM job 17");
  CHECK(stage.warned == Texts{"squeue does not say how much time job 17 has left: no controller; only a signal can stop it in time"});
  CHECK(Allocation({.stop_after = "0:30"}, stage.around()).text() == "SLURM job 17, 0:00:30 left");
}

TEST_CASE("bad options are refused") {
  Stage stage;
  auto const refusal = [&](BatchOptions const& options) {
    try {
      Allocation const allocation(options, stage.around());
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(refusal({.stop_after = "soon"}) == "--stop-after: expected minutes, H:MM:SS or D-HH:MM:SS, got 'soon'");
  CHECK(refusal({.reserve_s = -1}) == "batch.reserve_s: expected at least 0, got -1");
  CHECK(refusal({.requeue_status = 256}) == "batch.requeue_status: expected 0 to 255, got 256");
  CHECK(refusal({.ask_every_s = -1}) == "batch.ask_every_s: expected at least 0, got -1");
  CHECK(refusal({}) == "none");
}
