// SPDX-License-Identifier: BSL-1.0
#include "dew/app/submit.hpp"

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
/// The flags as a command line says them.
Submit parsed(std::vector<std::string> arguments) {
  Submit submit;
  submit.script.program = "p", submit.script.arguments = {"train"}, submit.script.cpus = 2, submit.script.name = "n";
  CLI::App app("test");
  submit.add_to(app.add_subcommand("submit"));
  arguments.insert(arguments.begin(), {"test", "submit"});
  std::vector<char const*> argv;
  for (auto const& a : arguments) argv.push_back(a.c_str());
  app.parse(int(argv.size()), const_cast<char**>(argv.data()));
  return submit;
}
int command_at(std::vector<char const*> argv) { return Submit::command_at(int(argv.size()), argv.data()); }
}  // namespace

TEST_CASE("the command begins behind the first -- of submit") {
  CHECK(command_at({"p", "submit", "--go", "--", "train", "--", "x"}) == 4);
  CHECK(command_at({"p", "submit", "--"}) == 3);
  CHECK(command_at({"p", "submit", "train"}) == 3);
  CHECK(command_at({"p", "train", "--", "x"}) == 4);  // another command's -- is its own
  CHECK(command_at({"p"}) == 1);
}

TEST_CASE("every flag of submit reaches the script") {
  auto const submit = parsed({"--time",
                              "2:00:00",
                              "--partition",
                              "gpu",
                              "--account",
                              "a",
                              "--cpus",
                              "8",
                              "--mem",
                              "16G",
                              "--gpus",
                              "1",
                              "--array",
                              "0-3%2",
                              "--signal-before",
                              "120",
                              "--job-name",
                              "job",
                              "--sbatch=--qos=long",
                              "--sbatch=--exclusive",
                              "--setup",
                              "module load a b",
                              "--setup",
                              "module load c",
                              "--script",
                              "f",
                              "--force",
                              "--go"});
  auto const& s = submit.script;
  CHECK(s.time == "2:00:00");
  CHECK(s.partition == "gpu");
  CHECK(s.account == "a");
  CHECK(s.cpus == 8);
  CHECK(s.mem == "16G");
  CHECK(s.gpus == "1");
  CHECK(s.array == "0-3%2");
  CHECK(s.signal_before == 120);
  CHECK(s.name == "job");
  CHECK(s.sbatch == std::vector<std::string>{"--qos=long", "--exclusive"});
  CHECK(s.setup == std::vector<std::string>{"module load a b", "module load c"});
  CHECK(submit.file == "f");
  CHECK(submit.force);
  CHECK(submit.go);
  CHECK(!parsed({}).go);
  CHECK(parsed({}).script.time == "1:00:00");
  CHECK(parsed({}).script.signal_before == 90);
}

TEST_CASE("what is not said follows from the command") {
  TempDir const folder;
  auto const completed = [](Submit submit, std::vector<std::string> const& words, Submit::Checked const& checked) {
    submit.script.cpus = 0, submit.script.name = "";
    submit.complete(submit.job(words, "p"), checked);
    return submit.script;
  };
  using Words = std::vector<std::string>;
  auto const plain = completed({}, {"train", "--out", "a/b c"}, {"a/b c", ArraySplit::none, RequeueSignal::usr1, 0});
  CHECK(plain.name == "b_c");
  CHECK(plain.cpus == 4);
  CHECK(plain.signal == "USR1");
  CHECK(plain.folder == std::filesystem::current_path().string());
  CHECK(std::filesystem::equivalent(plain.program, "/proc/self/exe"));
  CHECK(plain.arguments == Words{"train", "--out", "a/b c"});
  CHECK(completed({}, {"run"}, {"./x/", ArraySplit::none, RequeueSignal::none, 3}).name == "x");
  CHECK(completed({}, {"run"}, {"x", ArraySplit::none, RequeueSignal::none, 3}).cpus == 3);
  CHECK(completed({}, {"run"}, {"x", ArraySplit::none, RequeueSignal::none, 3}).signal == "");

  Submit array;
  array.script.array = "2-9%3";
  auto const seeds = completed(array, {"train"}, {"runs/task-0002", ArraySplit::seeds, RequeueSignal::term, 0});
  CHECK(seeds.name == "runs");
  CHECK(seeds.signal == "TERM");
  CHECK(seeds.arguments == Words{"train", "--batch.array_tasks", "2-9"});
  CHECK(completed(array, {"run", "--batch.array_tasks=0-9"}, {"tracks", ArraySplit::events, RequeueSignal::usr1, 0}).arguments.size() == 2);
  CHECK(array.first_task()("SLURM_ARRAY_TASK_ID") == "2");
  CHECK(Submit{}.first_task()("SLURM_ARRAY_TASK_ID") == "0");
  CHECK(!Submit{}.first_task()("SLURM_JOB_ID"));
  CHECK_THROWS_AS(completed(array, {"train"}, {"runs", ArraySplit::none, RequeueSignal::usr1, 0}), Error);
  CHECK_THROWS_AS(completed({}, {"train"}, {"runs", ArraySplit::seeds, RequeueSignal::usr1, 0}), Error);
  CHECK_THROWS_AS(Submit{}.job({"evaluate"}, "p"), Error);
  CHECK_THROWS_AS(Submit{}.job({}, "p"), Error);
}

TEST_CASE("the script is written whole, submitted with --go alone, and another one is not overwritten") {
  TempDir const folder;
  auto const file = (folder / "my script").string();
  std::vector<std::string> called;
  CommandResult answer{0, "17;cluster\n", ""};
  RunCommand const sbatch = [&](std::vector<std::string> const& arguments, double) {
    called.push_back(shell_line(arguments));
    return answer;
  };
  parsed({"--script", file}).carry_out(sbatch);
  CHECK(called.empty());
  auto const text = read_file(file);
  CHECK(text == parsed({}).script.text());
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);  // nothing is left of writing it aside
  parsed({"--script", file, "--go"}).carry_out(sbatch);                               // the same text is no obstacle
  CHECK(called == std::vector<std::string>{"sbatch --parsable '" + file + "'"});

  auto const other = parsed({"--script", file, "--time", "2:00:00", "--go"});
  CHECK_THROWS_WITH_AS(other.carry_out(sbatch),
                       (file + ": is there already and says something else; take another --script, or --force").c_str(), Error);
  CHECK(read_file(file) == text);
  CHECK(called.size() == 1);
  parsed({"--script", file, "--time", "2:00:00", "--force"}).carry_out(sbatch);
  CHECK(read_file(file) != text);

  answer = {1, "", "sbatch: error: invalid partition specified: x\n"};
  CHECK_THROWS_WITH_AS(parsed({"--script", file, "--time", "2:00:00", "--go"}).carry_out(sbatch),
                       (file + ": could not be submitted: sbatch: error: invalid partition specified: x").c_str(), Error);
  // a bad value leaves no file behind
  CHECK_THROWS_AS(parsed({"--script", (folder / "bad").string(), "--time", "never"}).carry_out(sbatch), Error);
  CHECK(!std::filesystem::exists(folder / "bad"));
}
