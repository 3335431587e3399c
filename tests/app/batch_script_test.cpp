// SPDX-License-Identifier: BSL-1.0
#include "dew/app/batch_script.hpp"

#include "support/temp_dir.hpp"

using namespace dew;
using dew::test::TempDir;

namespace {
BatchScript small() {
  return {.program = "/opt/my tracks/find_tracks", .arguments = {"train", "--out", "it's a run", "--epochs", "3"}, .name = "run"};
}
bool has_line(std::string const& text, std::string const& line) { return ("\n" + text).find("\n" + line + "\n") != std::string::npos; }
std::string refusal(BatchScript const& script) {
  try {
    (void)script.text();
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::usage);
    return e.what();
  }
  return "none";
}
}  // namespace

TEST_CASE("a script asks for requeues, one output and a signal in time, and says nothing that it was not told") {
  auto const text = small().text();
  CHECK(text.starts_with("#!/bin/bash\n# A batch script for SLURM"));
  for (auto const* line : {"#SBATCH --job-name=run", "#SBATCH --time=1:00:00", "#SBATCH --cpus-per-task=4", "#SBATCH --output=run-%j.out",
                           "#SBATCH --open-mode=append", "#SBATCH --requeue", "#SBATCH --signal=USR1@90",
                           "exec srun --cpus-per-task=4 '/opt/my tracks/find_tracks' train --out 'it'\\''s a run' --epochs 3"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  for (auto const* absent : {"--partition", "--account", "--mem", "--gpus", "--array", "--chdir", "set -e"}) {
    CAPTURE(absent);
    CHECK(text.find(absent) == std::string::npos);
  }
  // SLURM reads its lines before the first command alone
  auto const command = text.find("\nexec ");
  CHECK(text.rfind("#SBATCH") < command);
}

TEST_CASE("every option has its line") {
  auto script = small();
  script.time = "1-12:00:00", script.partition = "gpu", script.account = "exp", script.mem = "16G", script.gpus = "a100:2";
  script.array = "0-9%4", script.cpus = 8, script.signal_before = 300, script.signal = "TERM", script.folder = "/a b/c";
  script.sbatch = {"--qos=long", "--constraint=avx512&amx", "--exclusive"}, script.setup = {"module load cuda", "export X='1 2'"};
  auto const text = script.text();
  for (auto const* line : {"#SBATCH --time=1-12:00:00", "#SBATCH --partition=gpu", "#SBATCH --account=exp", "#SBATCH --mem=16G",
                           "#SBATCH --gpus=a100:2", "#SBATCH --array=0-9%4", "#SBATCH --output=run-%A_%a.out", "#SBATCH --cpus-per-task=8",
                           "#SBATCH --signal=TERM@300", "#SBATCH --chdir=\"/a b/c\"", "#SBATCH --qos=long",
                           "#SBATCH --constraint=\"avx512&amx\"", "#SBATCH --exclusive", "set -e", "module load cuda", "export X='1 2'"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  CHECK(text.find("set -e") < text.find("module load"));
  CHECK(text.find("export X") < text.find("exec srun"));
  script.signal_before = 0;
  CHECK(script.text().find("--signal") == std::string::npos);
  script.signal_before = 90, script.signal = "";
  CHECK(script.text().find("--signal") == std::string::npos);
}

TEST_CASE("bash runs the script's line with the words as they were") {
  TempDir const folder;
  auto script = small();
  script.program = "prog ram", script.arguments = {"a b", "it's", "$HOME", "", "--x=\"1\"", "new\nline", "*"};
  write_file_atomically(folder / "script", script.text());
  // srun that prints what it is called with
  write_file_atomically(folder / "srun", "#!/bin/sh\nprintf '%s|' \"$@\"\n");
  std::filesystem::permissions(folder / "srun", std::filesystem::perms::owner_all);
  auto const result =
      run_command({"env", fmt::format("PATH={}:/usr/bin:/bin", folder.path().string()), "bash", (folder / "script").string()}, 60);
  CHECK(result.words() == "exit status 0");
  CHECK(result.output == "--cpus-per-task=4|prog ram|a b|it's|$HOME||--x=\"1\"|new\nline|*|");
}

TEST_CASE("values that would break SLURM's lines are refused") {
  auto const with = [](auto change) {
    auto script = small();
    change(script);
    return refusal(script);
  };
  CHECK(with([](auto&) {}) == "none");
  CHECK(with([](auto& s) { s.time = "soon"; }) == "--time: expected minutes, H:MM:SS or D-HH:MM:SS, got 'soon'");
  CHECK(with([](auto& s) { s.time = "0"; }) == "--time: an allocation needs some time, got '0'");
  CHECK(with([](auto& s) { s.time = "1:30"; }) == "--signal-before: 90 s are not less than the allocation's time, 0:01:30");
  CHECK(with([](auto& s) { s.signal_before = -1; }) == "--signal-before: expected 0 to 65535 seconds, got -1");
  CHECK(with([](auto& s) { s.cpus = 0; }) == "--cpus: expected at least 1, got 0");
  CHECK(with([](auto& s) { s.name = "a/b"; }) == "--job-name: expected a name without '/' and '%', got 'a/b'");
  CHECK(with([](auto& s) { s.name = ""; }) == "--job-name: expected a name without '/' and '%', got ''");
  CHECK(with([](auto& s) { s.array = "9-0"; }) == "tasks of an array: expected something like 0-9 or 1,5,9, got '9-0'");
  CHECK(with([](auto& s) { s.sbatch = {"qos=long"}; }) == "--sbatch: expected an option such as --qos=long, got 'qos=long'");
  CHECK(with([](auto& s) { s.setup = {"a\nb"}; }).starts_with("--setup: expected one line"));
  for (auto const* bad : {"a\nrm -rf x", "a\"b", "a\\b", "$(id)", "`id`", "a#b"}) {
    CAPTURE(bad);
    CHECK(with([&](auto& s) { s.partition = bad; }).starts_with("partition: a line of SLURM's cannot hold"));
    CHECK(with([&](auto& s) { s.folder = bad; }).starts_with("chdir: a line of SLURM's cannot hold"));
    CHECK(with([&](auto& s) { s.sbatch = {std::string("--x=") + bad}; }).starts_with("--sbatch: a line of SLURM's cannot hold"));
  }
}
