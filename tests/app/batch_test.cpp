// SPDX-License-Identifier: BSL-1.0
// A program in a batch system: stopped by signals and by its time, requeued, divided among the tasks of an array, submitted. SLURM's programs are
// scripts here; the real ones are tests/slurm's.
#include <csignal>

#include "app/tiny_program.hpp"
#include "dew/core/torch.hpp"
#include "support/path_variable.hpp"
#include "support/run_program.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::PathVariable;
using dew::test::ProgramResult;
using dew::test::run_program;
using dew::test::TempDir;
namespace fs = std::filesystem;

namespace {
using Arguments = std::vector<std::string>;

/// Sends this process a signal at a step of the training, or at its end, before it is scored.
struct Raise {
  int signal = 0;
  std::int64_t at = 0;
  static constexpr std::int64_t scoring = -1;
};

using Result = ProgramResult;

Result program(Arguments const& arguments, Raise raise = {}) {
  dew::test::Listener listener;
  listener.step_ended = [raise](StepEnded const& e) {
    if (raise.signal != 0 && e.step == raise.at) std::raise(raise.signal);
  };
  listener.training_ended = [raise](TrainingEnded const&) {
    if (raise.signal != 0 && raise.at == Raise::scoring) std::raise(raise.signal);
  };
  return run_program("tiny", arguments,
                     [&](int argc, char const* const* argv) { return dew::test::tiny_program(argc, argv, 4, listener); });
}

/// Six small events, made once for all tests of this process.
std::string events() {
  static TempDir const folder;
  static bool const made =
      program({"simulate", "--out", folder.path().string(), "--select", "1-6", "--particles", "40", "--quiet"}).status == 0;
  REQUIRE(made);
  return folder.path().string();
}
Arguments train_arguments(fs::path const& out, Arguments const& more = {}) {
  Arguments a{"train", "--events", events(), "--train", "1-4", "--validate", "5-6", "--out", out.string(), "--threads", "1", "--quiet"};
  a.insert(a.end(), more.begin(), more.end());
  return a;
}
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

/// Variables of the environment, for a scope.
class Variables {
 public:
  using List = std::initializer_list<std::pair<std::string, std::string>>;
  explicit Variables(List variables, std::string const& prefix = "") {
    for (auto const& [name, value] : variables) {
      names_.push_back(prefix + name);
      ::setenv(names_.back().c_str(), value.c_str(), 1);
    }
  }
  ~Variables() {
    for (auto const& name : names_) ::unsetenv(name.c_str());
  }
  Variables(Variables const&) = delete;
  Variables& operator=(Variables const&) = delete;

 private:
  std::vector<std::string> names_;
};
/// Those of a job of SLURM's.
struct Job : Variables {
  Job(List variables) : Variables(variables, "SLURM_") {}
};
/// Those of a process that Open MPI's mpirun has started.
struct Rank : Variables {
  Rank(int rank, int size, std::string const& start)
      : Variables(
            {{"OMPI_COMM_WORLD_RANK", std::to_string(rank)}, {"OMPI_COMM_WORLD_SIZE", std::to_string(size)}, {"PMIX_NAMESPACE", start}}) {}
};

/// Scripts in place of SLURM's programs, which write down how they are called.
class Slurm {
 public:
  explicit Slurm(std::string const& left = "1-00:00:00") : path_(folder_.path().string() + ":" + std::getenv("PATH")) {
    script("squeue", "echo " + left);
    script("scontrol", "echo \"scontrol $*\" >> " + calls());
    script("sbatch", "echo \"sbatch $*\" >> " + calls() + "\necho 23");
  }
  void script(std::string const& name, std::string const& text) const {
    write_file_atomically(folder_ / name, "#!/bin/sh\n" + text + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  std::string calls() const { return (folder_ / "calls").string(); }
  std::string called() const { return fs::exists(calls()) ? read_file(calls()) : ""; }

 private:
  TempDir folder_;
  PathVariable path_;
};

/// A run that nothing interrupts.
fs::path whole() {
  static TempDir const folder;
  static bool const made = program(train_arguments(folder / "run")).status == 0;
  REQUIRE(made);
  return folder / "run";
}
void check_same_run(fs::path const& a, fs::path const& b) {
  for (auto const* name : {"model.safetensors", "metrics.json", "config.toml"}) {
    CAPTURE(name);
    CHECK(read_file(a / name) == read_file(b / name));
  }
}
/// Works in another folder for a scope.
class WorkIn {
 public:
  explicit WorkIn(fs::path const& folder) : before_(fs::current_path()) { fs::current_path(folder); }
  ~WorkIn() { fs::current_path(before_); }
  WorkIn(WorkIn const&) = delete;
  WorkIn& operator=(WorkIn const&) = delete;

 private:
  fs::path before_;
};
}  // namespace

TEST_CASE("a job that is signalled requeues itself, and the same command goes on with it to the same bytes") {
  TempDir const folder;
  Slurm const slurm;
  auto const run = folder / "run";
  auto const arguments = train_arguments(run);
  {
    Job const job{{"JOB_ID", "17"}, {"ARRAY_JOB_ID", "17"}, {"ARRAY_TASK_ID", "3"}};
    auto const first = program(arguments, {SIGUSR1, 6});
    CHECK(first.err == "");
    CHECK(first.status == 75);
    CHECK(first.out == "stopped by the signal to requeue\nrequeued: job 17_3 goes on by itself\n");
    CHECK(slurm.called() == "scontrol requeue 17_3\n");
    CHECK(!fs::exists(run / "lock"));
    CHECK(!fs::exists(run / "metrics.json"));
  }
  {
    Job const job{{"JOB_ID", "17"}, {"RESTART_COUNT", "1"}};
    auto const second = program(arguments, {SIGTERM, 11});  // somebody cancels it
    CHECK(second.status == 143);
    CHECK(second.out == "stopped by SIGTERM; go on with: tiny train --resume " + run.string() + "\n");
    CHECK(slurm.called() == "scontrol requeue 17_3\n");
  }
  {
    Job const job{{"JOB_ID", "17"}, {"RESTART_COUNT", "2"}};
    auto const third = program(arguments);
    CHECK(third.status == 0);
    CHECK(!has(third.err, "starts over"));
    check_same_run(run, whole());
    auto const model = fs::last_write_time(run / "model.safetensors");
    auto const forced = train_arguments(run, {"--force"});
    for (auto const& again : {arguments, forced}) {  // a node that fails at the very end
      auto const fourth = program(again);
      CHECK(fourth.status == 0);
      CHECK(fourth.out == run.string() + ": is finished already\n");
    }
    CHECK(fs::last_write_time(run / "model.safetensors") == model);
    CHECK(program(train_arguments(run, {"--seed", "2"})).status == 2);  // another run is no restart of this one
  }
  CHECK(program(arguments).status == 2);  // and a command of a person is none at all
}

TEST_CASE("Ctrl-C, a status of one's own and a command of one's own") {
  TempDir const folder;
  auto const run = folder / "run";
  auto const interrupted = program(train_arguments(run), {SIGINT, 3});
  CHECK(interrupted.status == 130);
  CHECK(interrupted.out == "stopped; go on with: tiny train --resume " + run.string() + "\n");
  // how a start ends is no option of the training: the run is gone on with
  auto const mark = (folder / "mark").string();
  auto const by_command = program(train_arguments(run, {"--batch.requeue_command", "echo \"$0 again\" > " + mark, "--batch.requeue_status",
                                                        "99", "--batch.requeue_signal", "usr2"}),
                                  {SIGUSR2, 7});
  CHECK(by_command.err == "");
  CHECK(by_command.status == 99);
  CHECK(by_command.out == "stopped by the signal to requeue\nrequeued: goes on by itself\n");
  CHECK(read_file(mark) == "sh again\n");
  CHECK(!has(read_file(run / "config.toml"), "[batch]"));
  auto const resumed =
      program({"train", "--resume", run.string(), "--quiet", "--batch.requeue_command", "none", "--stop-after", "1:00:00"}, {SIGUSR1, 12});
  CHECK(resumed.status == 75);
  CHECK(resumed.out == "stopped by the signal to requeue; go on with: tiny train --resume " + run.string() + "\n");
  CHECK(program({"train", "--resume", run.string(), "--quiet"}).status == 0);
  check_same_run(run, whole());
  auto const again = program({"train", "--resume", run.string(), "--array", "seeds"});
  CHECK(again.status == 2);
  CHECK(has(again.err, "and those of loggers, processes and the batch system"));
}

TEST_CASE("a training stops before its time is up, and an allocation that is too short is not requeued for ever") {
  TempDir const folder;
  auto const run = folder / "run";
  auto const guarded = program(train_arguments(run, {"--stop-after", "0:20", "--batch.reserve_s", "30"}));
  CHECK(guarded.status == 1);
  CHECK(has(guarded.out, "stopped in time, with 0:00:"));
  CHECK(has(guarded.out,
            "; not requeued, for this allocation was too short to come any further; go on with: the same command\n"));  // it had not begun
  CHECK(!fs::exists(run));
  Slurm const slurm("0:20");
  Job const job{{"JOB_ID", "17"}};
  auto const short_job = program(train_arguments(run, {"--batch.reserve_s", "30"}));
  CHECK(short_job.status == 1);
  CHECK(has(short_job.out, "not requeued, for this allocation was too short to come any further"));
  CHECK(slurm.called() == "");
  // what is left is said, and a job that SLURM's programs cannot be asked for has its signal
  slurm.script("squeue", "echo 10:00");
  auto arguments = train_arguments(run);
  std::erase(arguments, "--quiet");
  auto const told = program(arguments, {SIGINT, 1});
  CHECK(told.status == 130);
  CHECK(has(told.err, "\nSLURM job 17, 0:09:5"));
  slurm.script("squeue", "echo no controller >&2; exit 1");
  auto const untold = program(train_arguments(run), {SIGUSR1, 5});
  CHECK(has(untold.err, "squeue does not say how much time job 17 has left: no controller; only a signal can stop it in time\n"));
  CHECK(untold.status == 75);
  CHECK(slurm.called() == "scontrol requeue 17\n");
  slurm.script("scontrol", "echo not today >&2; exit 1");
  auto const refused = program(train_arguments(run), {SIGUSR1, 9});
  CHECK(refused.status == 75);
  CHECK(has(refused.out, "could not be requeued: not today; go on with: tiny train --resume " + run.string() + "\n"));
}

TEST_CASE("a training that is stopped while it is scored is scored by the next start") {
  TempDir const folder;
  Slurm const slurm;
  auto const run = folder / "run";
  {
    Job const job{{"JOB_ID", "17"}};
    auto const first = program(train_arguments(run), {SIGUSR1, Raise::scoring});
    CHECK(first.status == 75);
    CHECK(fs::exists(run / "model.safetensors"));
    CHECK(!fs::exists(run / "metrics.json"));
    // a start that comes no further is not requeued
    auto const second = program(train_arguments(run), {SIGUSR1, Raise::scoring});
    CHECK(second.status == 1);
    CHECK(slurm.called() == "scontrol requeue 17\n");
  }
  CHECK(program(train_arguments(run)).status == 0);
  check_same_run(run, whole());
}

TEST_CASE("a requeued training that began with the weights of another goes on too") {
  TempDir const folder;
  Slurm const slurm;
  auto const first = folder / "first", second = folder / "second";
  Arguments const init{"--init", whole().string()};
  CHECK(program(train_arguments(first, init)).status == 0);
  {
    Job const job{{"JOB_ID", "17"}};
    CHECK(program(train_arguments(second, init), {SIGUSR1, 6}).status == 75);
  }
  CHECK(program(train_arguments(second, init)).status == 2);  // by hand it could be another's weights
  {
    Job const job{{"JOB_ID", "17"}, {"RESTART_COUNT", "1"}};
    CHECK(program(train_arguments(second, init)).status == 0);
  }
  check_same_run(first, second);
  {  // killed before its first checkpoint: it has the weights, and starts over with them
    auto const third = folder / "third";
    Job const job{{"JOB_ID", "17"}};
    CHECK(program(train_arguments(third, init), {SIGUSR1, 1}).status == 75);
    fs::remove_all(third / "checkpoints");
    Job const again{{"RESTART_COUNT", "1"}};
    auto const result = program(train_arguments(third, init));
    CHECK(result.status == 0);
    CHECK(has(result.err, "starts over"));
    check_same_run(first, third);
  }
}

TEST_CASE("the tasks of an array train with seeds of their own, or on folds") {
  TempDir const folder;
  auto const config = [&](std::string const& run) { return read_file(folder / run / "config.toml"); };
  Arguments const short_fit{"--edge_classifier.fit.epochs", "1"};
  auto const train = [&](std::string const& run, Arguments more) {
    more.insert(more.end(), short_fit.begin(), short_fit.end());
    return program(train_arguments(folder / run, more));
  };
  {
    Job const job{{"ARRAY_TASK_ID", "3"}, {"ARRAY_TASK_MIN", "2"}, {"ARRAY_TASK_MAX", "4"}, {"ARRAY_TASK_COUNT", "3"}};
    CHECK(train("seeds", {"--array", "seeds", "--seed", "10"}).status == 0);
    CHECK(has(config("seeds/task-0003"), "\nseed = 11\n"));
    CHECK(train("folds", {"--array", "folds"}).status == 0);
    CHECK(has(config("folds/task-0003"), "train = \"1,3-4,6\"\n"));
    CHECK(has(config("folds/task-0003"), "validate = \"2,5\"\n"));
    auto const some = train("more", {"--array", "seeds", "--batch.array_tasks", "0-9"});  // some of ten, again
    CHECK(some.status == 0);
    CHECK(has(config("more/task-0003"), "\nseed = 4\n"));
    auto const events_of = train("e", {"--array", "events"});
    CHECK(events_of.status == 2);
    CHECK(has(events_of.err, "--array events: is for run and export"));
  }
  CHECK(train("plain", {"--seed", "11"}).status == 0);
  CHECK(read_file(folder / "plain" / "model.safetensors") == read_file(folder / "seeds" / "task-0003" / "model.safetensors"));
  auto const none = train("none", {"--array", "seeds"});
  CHECK(none.status == 2);
  CHECK(has(none.err, "this is no task of a job array: SLURM_ARRAY_TASK_ID is not set"));
  CHECK(!fs::exists(folder / "none"));
}

TEST_CASE("the tasks of an array find tracks in a part of the events each") {
  TempDir const folder;
  auto const names = [](fs::path const& of) {
    std::vector<std::string> out;
    for (auto const& entry : fs::directory_iterator(of)) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  };
  auto const arguments = [&](std::string const& command, std::string const& out, Arguments const& more) {
    Arguments a{command, "--run", whole().string(), "--events", events(), "--out", (folder / out).string(), "--quiet", "--threads", "1"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  };
  for (std::string const command : {"run", "export"}) {
    CAPTURE(command);
    for (auto const* task : {"0", "1", "2", "3"}) {
      Job const job{{"ARRAY_TASK_ID", task}, {"ARRAY_TASK_COUNT", "4"}};
      auto const result = program(arguments(command, command, {"--array", "events"}));
      CHECK(result.err == "");
      CHECK(result.status == 0);
      CHECK(has(result.out, *task == '1' || *task == '3' ? "2 events" : "1 events"));
    }
    CHECK(program(arguments(command, command + "-whole", {})).status == 0);
    CHECK(names(folder / command) == names(folder / (command + "-whole")));
    for (auto const& name : names(folder / command)) {
      CAPTURE(name);
      CHECK(read_file(folder / command / name) == read_file(folder / (command + "-whole") / name));
    }
  }
  // another task is about to write the marker
  fs::create_directories(folder / "begun");
  write_file_atomically(folder / "begun" / "run.json.12-0.part", "{");
  CHECK(program(arguments("run", "begun", {"--select", "1"})).status == 0);
  // a requeued export keeps what it has written
  Job const job{{"JOB_ID", "17"}, {"RESTART_COUNT", "1"}, {"JOB_END_TIME", "99999999999"}};
  fs::remove(folder / "export" / "event000000004.safetensors");
  auto const again = program(arguments("export", "export", {}));
  CHECK(again.status == 0);
  CHECK(again.out.starts_with("1 events in " + (folder / "export").string()));
  auto const seeds = program(arguments("run", "x", {"--array", "seeds"}));
  CHECK(seeds.status == 2);
  CHECK(has(seeds.err, "--array seeds: is for train; here the tasks divide events"));
}

TEST_CASE("of processes that find tracks together the last requeues the job where any was stopped") {
  TempDir const folder;
  auto const run = whole();  // made by one process, outside of a job
  Slurm const slurm;
  Job const job{{"JOB_ID", "17"}};
  auto const predict = [&](std::string const& command, std::string const& out, Rank const&, Arguments const& more = {}) {
    Arguments a{command, "--run", run.string(), "--events", events(), "--out", (folder / out).string(), "--quiet", "--threads", "1"};
    a.insert(a.end(), more.begin(), more.end());
    return program(a);
  };
  Arguments const at_once{"--stop-after", "0:10", "--batch.reserve_s", "30"};
  for (std::string const command : {"run", "export"}) {
    CAPTURE(command);
    fs::remove(slurm.calls());
    // rank 1 is stopped while rank 0 still works
    auto const stopped = predict(command, command, {1, 2, "a"}, at_once);
    CHECK(stopped.status == 0);
    CHECK(stopped.out.starts_with("shard 2/2: stopped in time, with 0:00:0"));
    CHECK(slurm.called() == "");
    auto const last = predict(command, command, {0, 2, "a"});
    CHECK(last.status == 75);
    CHECK(last.out.starts_with("shard 1/2: 3 events"));
    CHECK(last.out.ends_with("stopped in time\nrequeued: job 17 goes on by itself\n"));
    CHECK(slurm.called() == "scontrol requeue 17\n");
    // the next start: rank 0 has nothing to do any more, and rank 1 is stopped once more, in an allocation that brings nothing
    CHECK(predict(command, command, {0, 2, "b"}).status == 0);
    auto const fruitless = predict(command, command, {1, 2, "b"}, at_once);
    CHECK(fruitless.status == 1);
    CHECK(has(fruitless.out, "not requeued, for this allocation was too short"));
    // and the one in which nobody is stopped
    CHECK(predict(command, command, {1, 2, "c"}).out.starts_with("shard 2/2: 3 events"));
    auto const done = predict(command, command, {0, 2, "c"});
    CHECK(done.status == 0);
    CHECK(has(done.out, "(3 events were there already)"));
    CHECK(slurm.called() == "scontrol requeue 17\n");
    CHECK(std::distance(fs::directory_iterator(folder / command), {}) == 6 + 1);  // six events and a marker
  }
  // what others have done counts for the last one too
  CHECK(predict("run", "others", {0, 2, "a"}).status == 0);
  auto const for_others = predict("run", "others", {1, 2, "a"}, at_once);
  CHECK(for_others.status == 75);
  CHECK(has(for_others.out, "requeued: job 17 goes on by itself\n"));
  fs::remove(slurm.calls());
  // where a start has no name rank 0 goes by itself
  CHECK(predict("run", "unnamed", {1, 2, ""}, at_once).status == 75);
  CHECK(predict("run", "unnamed", {1, 2, ""}).status == 0);
  CHECK(predict("run", "unnamed", {0, 2, ""}).status == 0);
  CHECK(slurm.called() == "");
}

TEST_CASE("a job gets the threads that SLURM gives it") {
  TempDir const folder;
  auto arguments = train_arguments(folder / "run");
  std::erase(arguments, "--quiet");
  auto const at = std::find(arguments.begin(), arguments.end(), "--threads");
  arguments.erase(at, at + 2);
  auto const before = at::get_num_threads();
  Job const job{{"CPUS_PER_TASK", "3"}};
  auto const result = program(arguments, {SIGINT, 1});
  CHECK(result.status == 130);
  CHECK(has(result.err, ", 3 threads\n"));
  at::set_num_threads(before);
}

namespace {
Result submit(Arguments arguments, Arguments const& job) {
  arguments.insert(arguments.begin(), "submit");
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), job.begin(), job.end());
  return program(arguments);
}
}  // namespace

TEST_CASE("submit writes a script for a command that has been checked, and hands it to sbatch") {
  TempDir const folder;
  WorkIn const there(folder.path());
  Slurm const slurm;
  auto const written = submit({"--time", "2:00:00"}, train_arguments("runs/it's mine/"));
  CHECK(written.err == "");
  CHECK(written.status == 0);
  CHECK(written.out == "it_s_mine.sbatch: submit it with: sbatch it_s_mine.sbatch\n");
  CHECK(slurm.called() == "");
  CHECK(!fs::exists("runs"));  // the command was checked, no more
  auto const text = read_file("it_s_mine.sbatch");
  auto const program_file = fs::read_symlink("/proc/self/exe").string();
  CHECK(has(text, "#SBATCH --chdir=" + fs::current_path().string() + "\n"));
  CHECK(has(text, "#SBATCH --time=2:00:00\n"));
  CHECK(has(text, "#SBATCH --signal=USR1@90\n"));
  CHECK(has(text, "\nexec srun --cpus-per-task=1 " + program_file + " train --events " + events() +
                      " --train 1-4 --validate 5-6 --out 'runs/it'\\''s mine/' --threads 1 --quiet\n"));

  auto const gone =
      submit({"--go", "--array", "0-9%2", "--script", "s"}, {"train", "--events", events(), "--train", "1-6", "--validate", "7-12", "--out",
                                                             "runs", "--array", "folds", "--batch.requeue_signal", "term"});
  CHECK(gone.err == "");
  CHECK(gone.status == 0);
  CHECK(gone.out == "s: submitted as job 23; its output goes to runs-%A_%a.out\n");
  CHECK(slurm.called() == "sbatch --parsable s\n");
  auto const array = read_file("s");
  CHECK(has(array, "#SBATCH --array=0-9%2\n"));
  CHECK(has(array, "#SBATCH --signal=TERM@90\n"));
  CHECK(has(array, " --batch.array_tasks 0-9\n"));  // so that a few of them can be submitted again

  CHECK(submit({"--array", "1,3", "--script", "r"},
               {"run", "--run", whole().string(), "--events", events(), "--out", "tracks", "--array", "events"})
            .status == 0);
  CHECK(has(read_file("r"), "#SBATCH --job-name=tracks\n"));
  CHECK(has(read_file("r"), "#SBATCH --cpus-per-task=1\n"));
  CHECK(submit({"--script", "none"}, train_arguments("runs", {"--batch.requeue_signal", "none"})).status == 0);
  CHECK(!has(read_file("none"), "--signal"));
}

TEST_CASE("submit refuses what could not run, and writes nothing then") {
  TempDir const folder;
  WorkIn const there(folder.path());
  Slurm const slurm;
  auto const refused = [&](Arguments const& arguments, Arguments const& job, std::string const& words) {
    CAPTURE(words);
    auto const result = submit(arguments, job);
    CHECK(result.status == 2);
    CHECK_MESSAGE(has(result.err, words), result.err);
  };
  refused({}, {}, "submit: train, run or export has to stand behind --, such as: tiny submit -- train");
  refused({}, {"evaluate", "--run", whole().string()}, "submit: train, run or export has to stand behind --");
  refused({}, train_arguments("run", {"--edge_classifier.fit.epoch", "3"}), "the nearest is --edge_classifier.fit.epochs");
  refused({}, train_arguments("run", {"--edge_classifier.fit.epochs", "many"}), "edge_classifier.fit.epochs: expected integer, got 'many'");
  refused({}, train_arguments("run", {"--epochs", "2", "--minutes", "3"}), "--minutes and --epochs exclude each other");
  refused({}, {"train", "--events", events()}, "train needs --out RUN");
  refused({}, train_arguments(whole(), {}), "holds a finished run");
  refused({}, train_arguments("run", {"--array", "seeds"}), "submit: --array seeds behind -- needs a job array");
  refused({"--array", "0-3"}, train_arguments("run"), "submit --array 0-3: what do the tasks divide?");
  refused({"--array", "0-9"}, train_arguments("run", {"--array", "folds"}), "folds: 6 events are too few for 10 tasks");
  refused({"--time", "1"}, train_arguments("run"), "--signal-before: 90 s are not less than the allocation's time, 0:01:00");
  refused({"--tim", "1"}, train_arguments("run"), "the nearest is --time");
  CHECK(submit({}, {"run", "--run", "nowhere", "--out", "tracks"}).status == 1);
  CHECK(submit({}, {"train", "--help"}).status == 0);
  CHECK(fs::is_empty(folder.path()));
  slurm.script("sbatch", "echo 'invalid partition' >&2; exit 1");
  auto const failed = submit({"--go", "--partition", "x"}, train_arguments("run"));
  CHECK(failed.status == 1);
  CHECK(failed.err == "run.sbatch: could not be submitted: invalid partition\n");
}
