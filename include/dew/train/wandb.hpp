// SPDX-License-Identifier: BSL-1.0
// Weights & Biases: a Python sidecar turns a run's JSON lines into an online or offline run, and asks wandb-osh to send it.
#pragma once
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dew/core/options.hpp"
#include "dew/train/callbacks.hpp"
#include "dew/train/sidecar.hpp"
#include "dew/train/wandb_sidecar.hpp"

namespace dew {

enum class WandbMode { off, online, offline };
constexpr auto names_of(WandbMode) { return std::array<std::string_view, 3>{"off", "online", "offline"}; }

/// Where a training goes in Weights & Biases.
struct WandbOptions {
  WandbMode wandb = WandbMode::off;
  std::string wandb_project = {}, wandb_entity = {}, wandb_name = {};
  std::string wandb_osh = {};
  double wandb_osh_delay_s = 0;
  double wandb_wait_s = 60;

  using Options = WandbOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(wandb, "", "send figures to Weights & Biases (online), or write a run there to be sent later (offline)"),
        DEW_OPTION(wandb_project, "", "W&B project; empty: the program's name"),
        DEW_OPTION(wandb_entity, "", "W&B user or team; empty: W&B's default"),
        DEW_OPTION(wandb_name, "", "name of the W&B run; empty: that of the run folder"),
        DEW_OPTION(wandb_osh, "", "folder that wandb-osh watches on a node with internet; not empty: a W&B run offline, sent from there"),
        DEW_OPTION(wandb_osh_delay_s, "s", "ask wandb-osh once more so long after the end; 0: not"),
        DEW_OPTION(wandb_wait_s, "s", "at the end, wait at most so long for W&B (and the delay before)"));
  }
  bool operator==(WandbOptions const&) const = default;

  /// Whether there is a W&B run at all.
  bool on() const { return wandb != WandbMode::off || !wandb_osh.empty(); }
};

/// Starts `RUN/wandb/sidecar.py`, written from `wandb_sidecar`, beside the training. It follows `RUN/log.jsonl`, which a `JsonlLog` writes; keeps its
/// files and its output (`sidecar.log`) in `RUN/wandb`, and the W&B run's id in `RUN/wandb/id`, so that a job that goes on with a training goes on
/// with its run. Needs `python3` with `wandb` in PATH: without, a sentence on `out`, and nothing else happens.
///
/// The training waits for it nowhere but at its end, when the callback is destroyed (`wandb_wait_s`).
class WandbLog {
 public:
  /// `config` is what W&B shows as the run's configuration.
  WandbLog(std::filesystem::path run, WandbOptions options, nlohmann::ordered_json config, std::FILE* out = stderr)
      : run_(std::move(run)), options_(std::move(options)), config_(std::move(config)), out_(out) {}
  WandbLog(WandbLog&&) = default;
  WandbLog& operator=(WandbLog&&) = delete;
  ~WandbLog() {
    if (!sidecar_) return;
    try {
      bool const done = sidecar_->finish(options_.wandb_wait_s + options_.wandb_osh_delay_s, [&](auto const& line) { print(line); });
      if (!done) print(fmt::format("wandb: still at work, goes on by itself; its output is in {}", output().string()));
      tell_failure();
    } catch (std::exception const&) {  // a callback's end brings no training down
    }
  }

  void on(TrainingStarted const&) {
    try {
      auto const folder = run_ / "wandb", script = folder / "sidecar.py";
      std::filesystem::create_directories(folder);
      write_file_atomically(script, wandb_sidecar);
      write_file_atomically(folder / "config.json", config_.dump(2) + "\n");
      std::vector<std::string> arguments{"python3", script.string(), run_.string()};
      auto const add = [&](char const* flag, std::string const& value) {
        if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
      };
      if (options_.wandb == WandbMode::offline) arguments.emplace_back("--offline");
      add("--project", options_.wandb_project);
      add("--entity", options_.wandb_entity);
      add("--name", options_.wandb_name);
      add("--osh", options_.wandb_osh);
      if (options_.wandb_osh_delay_s > 0) add("--osh-delay", fmt::to_string(options_.wandb_osh_delay_s));
      sidecar_ = std::make_unique<Sidecar>(std::move(arguments), output());
      if (!sidecar_->problem().empty())
        print(fmt::format("wandb: python3 cannot be started ({}): nothing goes to Weights & Biases, the training goes on.",
                          sidecar_->problem()));
    } catch (std::exception const& e) {
      print(fmt::format("wandb: {}: nothing goes to Weights & Biases, the training goes on.", e.what()));
    }
  }
  void on(StepEnded const&) { listen(); }
  void on(EpochEnded const&) { listen(); }
  void on(TrainingEnded const& e) {
    if (sidecar_) sidecar_->say(e.interrupted ? "stopped" : "trained");
  }

 private:
  std::filesystem::path output() const { return run_ / "wandb" / "sidecar.log"; }
  void listen() {
    if (!sidecar_ || !sidecar_->there()) return;
    for (auto const& line : sidecar_->hear()) print(line);
    tell_failure();
  }
  void tell_failure() {
    if (!sidecar_->there() && sidecar_->failed() && !std::exchange(told_, true))
      print(fmt::format("wandb: the sidecar has ended with an error, which is in {}; the training goes on.", output().string()));
  }
  void print(std::string const& line) const {
    fmt::print(out_, "{}{}\n", isatty(fileno(out_)) != 0 ? "\r\033[K" : "", line);
    std::fflush(out_);
  }

  std::filesystem::path run_;
  WandbOptions options_;
  nlohmann::ordered_json config_;
  std::FILE* out_;
  std::unique_ptr<Sidecar> sidecar_;
  bool told_ = false;
};
static_assert(Callback<WandbLog>);

}  // namespace dew
