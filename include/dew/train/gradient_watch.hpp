// SPDX-License-Identifier: BSL-1.0
// Watches the gradient's norm, and keeps what is needed to repeat a step that failed.
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "dew/core/file.hpp"
#include "dew/core/options.hpp"
#include "dew/train/callbacks.hpp"
#include "dew/train/checkpoint.hpp"

namespace dew {

/// When `GradientWatch` warns.
struct GradientWatchOptions {
  double gradient_factor = 20;
  int gradient_window = 100;

  using Options = GradientWatchOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(gradient_factor, "", "warn, once an epoch, of a gradient whose norm is so many times the running median; 0 never"),
        DEW_OPTION(gradient_window, "steps", "the steps that the running median is of"));
  }
  bool operator==(GradientWatchOptions const&) const = default;
};

/// Warns of gradients that explode: once an epoch, of a step whose norm is above `gradient_factor` times the median of the
/// `gradient_window` steps before it (of the same fit, from the tenth on). When a step fails, because its loss or its gradient is not
/// finite, it writes a reproducer, `<folder>/<stage>-step<step>-event<event>.safetensors`: a checkpoint of the moment before the step, with
/// the event's record. `Trainer::reproduce` repeats the event's forward and backward pass from it, `train --reproduce FILE` does so in a
/// program. The norms before clipping are in the logs as `gradient_norm`. Its state, the last norms, is in the checkpoint, so that an
/// interruption changes no warning.
class GradientWatch {
 public:
  static constexpr std::string_view name = "gradient_watch";
  using Warn = std::function<void(std::string const&)>;

  /// `repeat` makes of the reproducer's path the command that repeats the step, which is told too.
  GradientWatch(std::filesystem::path folder, GradientWatchOptions options, Warn warn,
                std::function<std::string(std::string const&)> repeat = {})
      : folder_(std::move(folder)), options_(options), warn_(std::move(warn)), repeat_(std::move(repeat)) {
    check(options.gradient_window >= 1, ErrorKind::usage, "gradient_window: expected at least 1, got {}", options.gradient_window);
  }

  void on(StepEnded const& e) {
    if (e.stage != stage_) stage_ = e.stage, norms_.clear(), warned_ = -1;
    if (options_.gradient_factor > 0 && std::ssize(norms_) >= least && warned_ != e.epoch) {
      if (auto const m = median(); e.gradient_norm > options_.gradient_factor * m) {
        warned_ = e.epoch;
        warn_(fmt::format("{}: the gradient's norm at step {} is {:.3g}, {:.3g} times the median of the {} steps before", e.stage, e.step,
                          e.gradient_norm, e.gradient_norm / m, norms_.size()));
      }
    }
    if (!std::isfinite(e.gradient_norm)) return;
    norms_.push_back(e.gradient_norm);
    if (std::ssize(norms_) > options_.gradient_window) norms_.erase(norms_.begin());
  }

  void on(StepFailed const& e) {
    auto const file = folder_ / fmt::format("{}-step{}-event{}.safetensors", e.stage, e.step, e.event);
    std::filesystem::create_directories(folder_);
    write_file_atomically(file, checkpoint_bytes(e.moment));
    warn_(fmt::format("what repeats the failed step is in {}{}", file.string(),
                      repeat_ ? "; repeat it with: " + repeat_(file.string()) : std::string()));
  }

  CallbackState state() const { return {.values = {{"stage", stage_}, {"norms", norms_}, {"warned", warned_}}}; }
  void restore(CallbackState const& kept) {
    kept.values.at("stage").get_to(stage_);
    kept.values.at("norms").get_to(norms_);
    kept.values.at("warned").get_to(warned_);
  }

 private:
  static constexpr std::ptrdiff_t least = 10;
  double median() const {
    auto sorted = norms_;
    auto const middle = sorted.begin() + std::ssize(sorted) / 2;
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }

  std::filesystem::path folder_;
  GradientWatchOptions options_;
  Warn warn_;
  std::function<std::string(std::string const&)> repeat_;
  std::string stage_;
  std::vector<double> norms_;  // in order, the newest last
  int warned_ = -1;            // the epoch of the last warning
};
static_assert(Callback<GradientWatch> && KeepsState<GradientWatch>);

}  // namespace dew
