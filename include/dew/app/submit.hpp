// SPDX-License-Identifier: BSL-1.0
// The command `submit` of a program: writes a batch script, and hands it to SLURM.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "dew/app/batch_script.hpp"
#include "dew/core/file.hpp"
#include "dew/train/array_share.hpp"
#include "dew/train/interruption.hpp"

namespace dew {

/// The flags of `submit`, and the command behind its `--`.
struct Submit {
  BatchScript script{.cpus = 0};
  std::string file;  ///< the script; empty: `NAME.sbatch`
  bool go = false, force = false;

  /// Where the words of the command begin: behind the first `--` of `submit`; argc where there is none.
  static int command_at(int argc, char const* const* argv) {
    if (argc < 2 || std::string_view(argv[1]) != "submit") return argc;
    auto const* const end = argv + argc;
    auto const* const marks = std::find_if(argv + 2, end, [](char const* word) { return std::string_view(word) == "--"; });
    return marks == end ? argc : int(marks - argv) + 1;
  }

  void add_to(CLI::App* command) {
    command->footer(
        "Behind -- stands what is to run: train, run or export with their flags, such as\n"
        "  submit --time 4:00:00 --cpus 8 --go -- train --events EVENTS --out RUN --epochs 20\n"
        "They are checked before anything is written.");
    auto const text = [&](char const* flag, std::string& to, char const* type, char const* help) {
      command->add_option(flag, to, help)->type_name(type);
    };
    text("--time", script.time, "TIME", "of one allocation: minutes, H:MM:SS or D-HH:MM:SS; default 1:00:00");
    text("--partition", script.partition, "NAME", "partition; default: the site's");
    text("--account", script.account, "NAME", "account; default: the site's");
    command->add_option("--cpus", script.cpus, "cores, and so many threads; default: those of --threads behind --, else 4")->type_name("N");
    text("--mem", script.mem, "SIZE", "memory of a node, such as 16G; default: the site's");
    text("--gpus", script.gpus, "N", "GPUs; default: none");
    text("--array", script.array, "TASKS",
         "a job array, such as 0-9 or 0-9%4; the command behind -- then has --array seeds, folds or events");
    command->add_option("--signal-before", script.signal_before, "signal so long before an allocation's end; default 90, 0 for none")
        ->type_name("S");
    text("--job-name", script.name, "NAME", "name of the job, of its output and of the script; default: that of the run folder");
    command->add_option("--sbatch", script.sbatch, "another option of sbatch, such as --sbatch=--qos=long; may be repeated")
        ->type_name("OPTION")
        ->expected(1)
        ->take_all();
    command->add_option("--setup", script.setup, "a line of shell before the program, such as 'module load cuda'; may be repeated")
        ->type_name("LINE")
        ->expected(1)
        ->take_all();
    text("--script", file, "FILE", "the script; default: NAME.sbatch");
    command->add_flag("--force", force, "overwrite a script that is there and says something else");
    command->add_flag("--go", go, "submit it");
  }

  /// The command behind `--`, with all tasks of the array named in it, so that a few of them can be submitted again. Throws `Error` (usage) for a
  /// command that no batch job runs.
  std::vector<std::string> job(std::vector<std::string> words, std::string const& program) const {
    check(!words.empty() && (words[0] == "train" || words[0] == "run" || words[0] == "export"), ErrorKind::usage,
          "submit: train, run or export has to stand behind --, such as: {} submit -- train --events EVENTS --out RUN", program);
    auto const named = [](std::string const& word) { return word.starts_with("--batch.array_tasks"); };
    if (!script.array.empty() && std::none_of(words.begin(), words.end(), named))
      words.insert(words.end(), {"--batch.array_tasks", script.array.substr(0, script.array.find('%'))});
    return words;
  }
  /// The environment in which the command is checked: that of the array's first task, or of one of two where there is no array yet.
  Environment first_task() const {
    return [first = script.array.empty() ? 0 : array_ids(script.array).front()](std::string const& name) -> std::optional<std::string> {
      if (name == "SLURM_ARRAY_TASK_ID" || name == "SLURM_ARRAY_TASK_MIN") return fmt::to_string(first);
      if (name == "SLURM_ARRAY_TASK_COUNT") return "2";
      return std::nullopt;
    };
  }

  /// What a command says, once it has been checked.
  struct Checked {
    std::string out;  ///< its folder, that of the first task of an array
    ArraySplit array;
    RequeueSignal signal;
    int threads;  ///< 0: not said
  };
  /// Fills in what follows from the command. Throws `Error` (usage) when it and the array do not fit together.
  void complete(std::vector<std::string> const& job, Checked const& command) {
    auto const name_of = [](auto value) { return std::string(names_of(value)[std::size_t(value)]); };
    bool const divided = command.array != ArraySplit::none;
    check(script.array.empty() || divided, ErrorKind::usage,
          "submit --array {}: what do the tasks divide? say --array seeds, folds or events behind --", script.array);
    check(!script.array.empty() || !divided, ErrorKind::usage, "submit: --array {} behind -- needs a job array: say submit --array 0-9",
          name_of(command.array));
    script.signal = command.signal == RequeueSignal::none ? "" : name_of(command.signal);
    std::transform(script.signal.begin(), script.signal.end(), script.signal.begin(),
                   [](unsigned char c) { return char(std::toupper(c)); });
    if (script.cpus == 0) script.cpus = command.threads > 0 ? command.threads : 4;
    if (script.name.empty()) {
      auto out = std::filesystem::path(command.out).lexically_normal();
      if (!out.has_filename()) out = out.parent_path();
      if (divided && command.array != ArraySplit::events) out = out.parent_path();  // the folder of all tasks
      script.name = out.filename().string();
      for (auto& c : script.name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '_';
    }
    std::error_code none;
    auto const program = std::filesystem::read_symlink("/proc/self/exe", none);
    check(!none, ErrorKind::input, "/proc/self/exe: {}", none.message());
    script.program = program.string();
    script.folder = std::filesystem::current_path().string();
    script.arguments = job;
  }

  /// Writes the script, and submits it with `--go`. Throws `Error`: usage for a file that holds something else, input when sbatch refuses.
  void carry_out(RunCommand const& command = run_command) const {
    auto const where = std::filesystem::path(file.empty() ? script.name + ".sbatch" : file);
    auto const text = script.text();
    std::error_code none;
    check(force || !std::filesystem::exists(where, none) || read_file(where) == text, ErrorKind::usage,
          "{}: is there already and says something else; take another --script, or --force", where.string());
    write_file_atomically(where, text);
    if (!go) {
      fmt::print("{}: submit it with: sbatch {}\n", where.string(), shell_quoted(where.string()));
      return;
    }
    auto const answer = command({"sbatch", "--parsable", where.string()}, 60);
    check(answer.ok(), ErrorKind::input, "{}: could not be submitted: {}", where.string(), answer.words());
    auto const id = answer.output.substr(0, answer.output.find_first_of("; \t\r\n"));  // a cluster's name may stand behind it
    fmt::print("{}: submitted as job {}; its output goes to {}\n", where.string(), id, script.output());
  }
};

}  // namespace dew
