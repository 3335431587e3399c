// SPDX-License-Identifier: BSL-1.0
// What a program's training writes for TensorBoard and Weights & Biases: options, flags, callbacks.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "dew/train/gradient_watch.hpp"
#include "dew/train/profile_trace.hpp"
#include "dew/train/run_folder.hpp"
#include "dew/train/tensorboard.hpp"
#include "dew/train/throughput.hpp"
#include "dew/train/wandb.hpp"

namespace dew {

/// The loggers of a program beside `log.jsonl` and `log.csv`, which are always written. The options stand under `log.`.
struct Logs {
  struct Options {
    bool tensorboard = false;
    std::string profile = {};
    bool throughput = false;
    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(tensorboard, "", "write event files for TensorBoard to RUN/tensorboard"),
          DEW_OPTION(profile, "", "steps of each fit, such as 100-110, of which a profiler's trace goes to RUN/profile"),
          DEW_OPTION(throughput, "", "say after each epoch how fast it was and what took the time"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  TensorBoardOptions tensorboard;
  WandbOptions wandb;
  GradientWatchOptions gradients;

  static constexpr std::string_view section = "log";
  void add_to(OptionSet& set) {
    set.add(std::string(section), options);
    set.add(std::string(section), tensorboard);
    set.add(std::string(section), wandb);
    set.add(std::string(section), gradients);
  }
  /// Adds those that are on. `program` names the W&B project where nothing else does; `all` is the configuration that W&B shows.
  void add_to(Callbacks& callbacks, RunFolder const& run, std::string const& program, OptionSet const& all) const {
    add_watch(callbacks, run, program, gradients);
    auto const say = [](std::string const& text) { fmt::print(stderr, "{}\n", text); };
    if (options.throughput) callbacks.add(Throughput{say});
    if (!options.profile.empty()) {
      auto const [first, last] = parse_steps(options.profile);
      callbacks.add(ProfileTrace{run.profile(), first, last});
    }
    if (options.tensorboard) callbacks.add(TensorBoardLog{run.tensorboard(), tensorboard});
    if (!wandb.on()) return;
    auto where = wandb;
    if (where.wandb_project.empty()) where.wandb_project = program;
    nlohmann::ordered_json config;
    for (auto const& e : all.entries()) {
      auto const text = e.get();
      auto const value = nlohmann::ordered_json::parse(text, nullptr, false);  // TOML's numbers, texts and lists, but for inf and nan
      config[e.path] = value.is_discarded() ? nlohmann::ordered_json(text) : value;
    }
    callbacks.add(WandbLog{run.path(), where, std::move(config)});
  }
  /// For processes that write no logs: what repeats a failed step of theirs is kept all the same.
  void add_watch_to(Callbacks& callbacks, RunFolder const& run, std::string const& program) const {
    auto failures_alone = gradients;
    failures_alone.gradient_factor = 0;
    add_watch(callbacks, run, program, failures_alone);
  }

 private:
  static void add_watch(Callbacks& callbacks, RunFolder const& run, std::string const& program, GradientWatchOptions const& watch) {
    callbacks.add(GradientWatch{run.failed(), watch, [](std::string const& text) { fmt::print(stderr, "{}\n", text); },
                                [program](std::string const& file) { return fmt::format("{} train --reproduce {}", program, file); }});
  }
};

/// Short flags for them. `set` takes an option's path and words.
inline void add_log_flags(CLI::App* command, std::function<void(std::string const& path, std::string const& word)> const& set) {
  auto const path = [](char const* name) { return fmt::format("{}.{}", Logs::section, name); };
  auto const flag = [&](char const* name, std::string const& option, char const* word, char const* help) {
    command->add_flag_callback(name, [set, option, word] { set(option, word); }, help)->group("Loggers");
  };
  auto const value = [&](char const* name, std::string const& option, char const* type, char const* help) {
    command->add_option_function<std::string>(
               name, [set, option](std::string const& word) { set(option, word); }, help)
        ->type_name(type)
        ->group("Loggers");
  };
  flag("--tensorboard", path("tensorboard"), "true", "write event files for TensorBoard to RUN/tensorboard");
  flag("--throughput", path("throughput"), "true", "say after each epoch how fast it was and what took the time");
  value("--profile", path("profile"), "STEPS", "write a profiler's trace of these steps of each fit, such as 100-110, to RUN/profile");
  flag("--wandb", path("wandb"), "online", "send the training's figures to Weights & Biases; needs python3 with wandb");
  flag("--wandb-offline", path("wandb"), "offline", "write a Weights & Biases run to RUN/wandb, to be sent later with wandb sync");
  value("--wandb-project", path("wandb_project"), "NAME", "W&B project; default: the program's name");
  value("--wandb-entity", path("wandb_entity"), "NAME", "W&B user or team; default: W&B's");
  value("--wandb-name", path("wandb_name"), "NAME", "name of the W&B run; default: that of the run folder");
  value("--wandb-osh", path("wandb_osh"), "DIR",
        "write a W&B run offline and ask wandb-osh, which watches this folder on a node with internet, to send it; wandb-osh's default: "
        "~/.wandb_osh_command_dir");
  value("--wandb-osh-delay", path("wandb_osh_delay_s"), "S", "ask wandb-osh once more so many seconds after the end; default: not");
}

}  // namespace dew
