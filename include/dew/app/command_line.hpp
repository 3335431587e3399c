// SPDX-License-Identifier: BSL-1.0
// The command line of a program: its commands with their flags, and what each of them does.
#pragma once
#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/app/batch_flags.hpp"
#include "dew/app/evaluate_command.hpp"
#include "dew/app/export_command.hpp"
#include "dew/app/flags.hpp"
#include "dew/app/opened_run.hpp"
#include "dew/app/options_command.hpp"
#include "dew/app/run_command.hpp"
#include "dew/app/run_list.hpp"
#include "dew/app/simulate_command.hpp"
#include "dew/app/submit.hpp"
#include "dew/app/train_command.hpp"

namespace dew {

/// Reads a command line for a program and does what it says. Every option of every part is a flag of the commands on which it acts.
template <class A>
class CommandLine {
 public:
  explicit CommandLine(A& app)
      : app_(app),
        others_(other_metrics(app)),
        cli_(app.about.empty() ? app.name + ": trains, scores and runs a track-finding pipeline" : app.about, app.name) {
    add_metric_options(scoring_, app.metrics);
    add_metric_options(analysis_, others_);
    add_options(simulation_, std::string(SimulatedDetector::name), simulated_);
  }
  CommandLine(CommandLine const&) = delete;
  CommandLine& operator=(CommandLine const&) = delete;

  /// The exit status. Errors are thrown, but for those that the parser finds.
  int run(int argc, char const* const* argv) {
    app_.begin(argc, argv);
    auto const behind = Submit::command_at(argc, argv);
    add_commands();
    auto const commands = {train_, evaluate_, run_, export_, options_, simulate_, submit_, runs_};
    for (auto* c : commands) c->allow_extras();
    try {
      cli_.parse(argc > 2 && std::string_view(argv[behind - 1]) == "--" ? behind - 1 : argc, const_cast<char**>(argv));
    } catch (CLI::Success const& e) { return cli_.exit(e); } catch (CLI::ParseError const& e) {
      fmt::print(stderr, "{}\nRun with --help for more information.\n", e.what());
      return 2;
    }
    for (auto* c : commands) refuse_extras(*c, commands);
    if (submit_->parsed()) return submit(std::vector<std::string>(argv + behind, argv + argc));
    if (runs_->parsed()) {
      fmt::print("{}", list_runs(runs_flags_, first_headlines(app_)));
      return 0;
    }
    if (simulate_->parsed()) {
      flags_.set_in({&simulation_});
      return simulate_events(simulated_, flags_);
    }
    if (options_->parsed()) return list_options(app_, flags_, analysis_);
    if (train_->parsed()) return train_run(app_, flags_);
    bool const scores = evaluate_->parsed();
    auto const trained =
        scores ? open_run(app_, flags_, {&analysis_, &app_.options}, true) : open_run(app_, flags_, {&app_.options}, false);
    if (!trained) return 0;  // a command line that was to be checked
    if (scores) return evaluate_run(app_, *trained, flags_, others_);
    return export_->parsed() ? export_events(app_, *trained, flags_) : write_tracks(app_, *trained, flags_);
  }

 private:
  void add_commands() {
    cli_.set_version_flag("--version", fmt::format("{} (dew {})", app_.name, version));
    cli_.require_subcommand(1);
    cli_.get_formatter()->column_width(46);
    train_ = cli_.add_subcommand("train", "train the stages in turn, score them, write a run folder");
    evaluate_ = cli_.add_subcommand("evaluate", "score a run on events with truth");
    run_ = cli_.add_subcommand("run", "find tracks: one CSV an event, hit_id,track_id");
    export_ = cli_.add_subcommand("export", "write everything that the stages write: one .safetensors an event");
    options_ = cli_.add_subcommand("options", "list every option with unit and default");
    simulate_ = cli_.add_subcommand("simulate", "write simulated events in TrackML's CSV layout");
    submit_ = cli_.add_subcommand("submit", "write a batch script for SLURM, and submit it with --go");
    runs_ = cli_.add_subcommand("runs", "list the runs under a folder, or put some of them side by side");
    add_runs_flags(runs_, runs_flags_);
    add_train_flags();
    for (auto* c : {train_, run_, export_})
      add_batch_flags(c, [this](std::string const& path, std::string const& word) { flags_.say(path, word); });
    for (auto const& e : app_.options.entries())
      if (e.path != "device" && e.path != "threads") add_option_flag(train_, flags_, e);
    for (auto* c : {evaluate_, run_, export_}) add_flags_on_a_run(c);
    add_evaluate_flags();
    add_prediction_flags();
    add_other_flags();
    submission_.add_to(submit_);
  }
  /// Those of every command that computes.
  void add_common_flags(CLI::App* c) {
    c->add_flag("--quiet", flags_.quiet, "no progress");
    add_option_flag(c, flags_, app_.options.at("device"));
    add_option_flag(c, flags_, app_.options.at("threads"));
    auto const paths = app_.events_paths();
    auto const set = [this, paths](std::string const& folder) {
      for (auto const& path : paths) flags_.say(path, folder);
    };
    if (!paths.empty()) c->add_option_function<std::string>("--events", set, "folder of events");
  }
  void add_train_flags() {
    add_common_flags(train_);
    train_->add_option("--out", flags_.out, "run folder to write");
    train_->add_option("--resume", flags_.resume, "go on with an unfinished run; needs nothing else");
    train_->add_option("--reproduce", flags_.reproduce,
                       "repeat the step that failed and left this file (RUN/failed/…); needs nothing else");
    train_->add_option("--init", flags_.init, "start from the weights of a run");
    train_->add_option("--init_stages", flags_.init_stages, "take only these stages' weights from there; the others start anew")
        ->delimiter(',')
        ->needs("--init");
    train_->add_option("--config", flags_.config, "TOML file of options; flags override it");
    train_->add_flag("--force", flags_.force, "overwrite what --out holds of another run");
    add_log_flags(train_, [this](std::string const& path, std::string const& word) { flags_.say(path, word); });
  }
  void add_flags_on_a_run(CLI::App* c) {
    add_common_flags(c);
    c->add_option("--run", flags_.run, "run folder")->required();
    c->add_option("--select", flags_.select, "events, such as 1080-1099; default: all of the source's");
    auto const acts = [&](std::string const& path) {
      if (!acts_on_a_run(path, A::SourceType::name)) return false;
      return c == evaluate_ ? !is_batch_option(path) : !path.starts_with("processes.") && scoring_.find(path) == nullptr;
    };
    for (auto const& e : app_.options.entries())
      if (acts(e.path)) add_option_flag(c, flags_, e);
  }
  void add_evaluate_flags() {
    evaluate_->add_option("--json", flags_.json, "file for the figures");
    evaluate_->add_flag("--tables", flags_.tables, "every figure, with all cuts and bins");
    for (auto const& e : analysis_.entries()) add_option_flag(evaluate_, flags_, e);
    evaluate_->add_option("--metrics", flags_.metrics,
                          "own: the program's (default); styles: every style of scoring tracks, in one table; all; or names: " +
                              fmt::format("{}", fmt::join(metric_names(app_, others_), ",")));
  }
  void add_prediction_flags() {
    for (auto* c : {run_, export_})
      c->add_option("--shard", flags_.shard,
                    "of the events only those of one of several programs, such as 3/16; processes that mpirun or srun "
                    "has started divide them by themselves");
    run_->add_option("--out", flags_.out, "folder for the tracks")->required();
    run_->add_flag("--force", flags_.force, "write into a folder that holds something else");
    export_->add_option("--out", flags_.out, "folder for the events")->required();
    export_->add_flag("--truth", flags_.truth, "the events' truth too");
    export_->add_flag("--force", flags_.force, "overwrite events that are there");
  }
  void add_other_flags() {
    options_->add_option("--config", flags_.config, "show the values of a TOML file; with --search-space: a file of ranges");
    options_->add_option(
        "--search-space", flags_.search_space,
        "json: what a hyper-parameter search can set, with ranges worth a try; with --config: the space of that file, checked");
    simulate_->add_option("--out", flags_.out, "folder to write")->required();
    simulate_->add_option("--select", flags_.select, "event numbers, such as 1-20")->required();
    simulate_->add_flag("--force", flags_.force, "overwrite events that are there");
    simulate_->add_flag("--quiet", flags_.quiet, "no progress");
    simulate_->add_option_function<std::string>(
        "--particles", [this](std::string const& n) { flags_.say("simulated_detector.particles", n); }, "particles an event");
    for (auto const& e : simulation_.entries()) add_option_flag(simulate_, flags_, e);
  }

  /// Checks the command behind `--` as if a job ran it, then writes its script.
  int submit(std::vector<std::string> const& words) {
    auto const job = submission_.job(words, app_.name);
    A there(static_cast<typename A::Parts const&>(app_));
    there.check_only = true;
    there.around.environment = submission_.first_task();
    std::vector<char const*> argv{app_.name.c_str()};
    for (auto const& word : job) argv.push_back(word.c_str());
    auto const status = CommandLine(there).run(int(argv.size()), argv.data());
    if (!there.accepted) return status;
    submission_.complete(job, {*there.accepted, there.batch.array, there.batch.requeue_signal, there.own.threads});
    submission_.carry_out(app_.around.command);
    return 0;
  }

  A& app_;
  decltype(other_metrics(std::declval<A&>())) others_;
  SimulatedDetector simulated_;
  OptionSet scoring_, analysis_, simulation_;  ///< of the program's metrics, of the others, of the simulation
  CommandFlags flags_;
  RunsFlags runs_flags_;
  Submit submission_;
  CLI::App cli_;
  CLI::App *train_ = nullptr, *evaluate_ = nullptr, *run_ = nullptr, *export_ = nullptr, *options_ = nullptr, *simulate_ = nullptr,
           *submit_ = nullptr, *runs_ = nullptr;
};

}  // namespace dew
