// SPDX-License-Identifier: BSL-1.0
// A training's course for TensorBoard: figures, histograms of what is trained, pictures of a validated event.
#pragma once
#include <map>

#include "dew/core/options.hpp"
#include "dew/train/callbacks.hpp"
#include "dew/train/clock.hpp"
#include "dew/train/event_file.hpp"
#include "dew/train/picture.hpp"

namespace dew {

/// How often `TensorBoardLog` writes what.
struct TensorBoardOptions {
  int scalar_steps = 20;
  int histogram_epochs = 1;
  int picture_epochs = 1;

  using Options = TensorBoardOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(scalar_steps, "steps", "steps between two entries of the training's figures for TensorBoard"),
        DEW_OPTION(histogram_epochs, "epochs", "epochs between two histograms of weights and gradients for TensorBoard; 0 for none"),
        DEW_OPTION(picture_epochs, "epochs",
                   "epochs between two sets of pictures of the first validation event for TensorBoard; 0 for none"));
  }
  bool operator==(TensorBoardOptions const&) const = default;
};

/// Event files for TensorBoard (`tensorboard --logdir FOLDER`), one folder a stage, which TensorBoard calls a run:
///
/// - every n-th step `step/loss`, `step/loss.<term>`, `step/learning_rate`, `step/gradient_norm`;
/// - every epoch `epoch/loss`, `epoch/loss.<term>`, `epoch/learning_rate`, `validation/loss`, `validation/<figure>`, at the step that the
/// epoch ends with;
/// - histograms `weights/<parameter>` and `gradients/<parameter>` (those of the epoch's last step, clipped) of what the fit trains;
/// - pictures `event/<name>` of the first validation event (`pictures_of`);
/// - for a scan `scan/value`, the candidate's number in the place of the step.
///
/// The names and values are those of `JsonlLog`, but that TensorBoard has single precision and no entry for what is not a number. A training that
/// goes on begins a new file that makes TensorBoard forget what is repeated. Cost: a copy of parameters and gradients to the CPU an epoch, some
/// 0.1 s for the pictures of a large event. Throws `Error` (input) when a file cannot be written.
class TensorBoardLog {
 public:
  explicit TensorBoardLog(std::filesystem::path folder, TensorBoardOptions options = {}, Clock seconds_since_1970 = system_clock())
      : folder_(std::move(folder)), options_(options), clock_(std::move(seconds_since_1970)) {
    check(options.scalar_steps > 0, ErrorKind::usage, "scalar_steps: expected at least 1, got {}", options.scalar_steps);
  }

  void on(StepEnded const& e) {
    auto& file = file_of(e.stage, e.step);
    if (e.step % options_.scalar_steps != 0) return;
    scalar(file, "step/loss", e.step, e.loss);
    for (auto const& [name, value] : e.terms) scalar(file, "step/loss." + name, e.step, value);
    scalar(file, "step/learning_rate", e.step, e.learning_rate);
    scalar(file, "step/gradient_norm", e.step, e.gradient_norm);
  }
  void on(EpochTrained const& e) {
    if (options_.histogram_epochs <= 0 || (e.epoch + 1) % options_.histogram_epochs != 0) return;
    auto& file = file_of(e.stage, e.step);
    for (auto const& [name, parameter] : e.parameters) {
      histogram(file, "weights/" + name, e.step, parameter);
      if (parameter.grad().defined()) histogram(file, "gradients/" + name, e.step, parameter.grad());
    }
  }
  void on(EventValidated const& e) {
    if (options_.picture_epochs <= 0 || (e.epoch + 1) % options_.picture_epochs != 0) return;
    auto& file = file_of(e.stage, e.step);
    for (auto const& [name, description, picture] : pictures_of(e.record))
      file.image("event/" + name, e.step, picture.width(), picture.height(), picture.png(),
                 fmt::format("Event {}. {}", e.event, description), clock_());
  }
  void on(EpochEnded const& e) {
    auto& file = file_of(e.stage, e.step);
    scalar(file, "epoch/loss", e.step, e.loss);
    for (auto const& [name, value] : e.terms) scalar(file, "epoch/loss." + name, e.step, value);
    scalar(file, "epoch/learning_rate", e.step, e.learning_rate);
    scalar(file, "validation/loss", e.step, e.validation_loss);
    for (auto const& [name, value] : e.validation) scalar(file, "validation/" + name, e.step, value);
  }
  void on(ScanTried const& e) {
    auto const number = std::int64_t(e.tried);
    scalar(file_of(e.stage, number), "scan/value", number, e.value);
  }

 private:
  /// A stage's file. The first step that is told decides from where on what earlier files hold is void.
  EventFile& file_of(std::string const& stage, std::int64_t step) {
    auto const at = files_.find(stage);
    return at != files_.end() ? at->second : files_.try_emplace(stage, folder_ / stage, step, clock_()).first->second;
  }
  void scalar(EventFile& file, std::string const& tag, std::int64_t step, double value) const {
    if (std::isfinite(value)) file.scalar(tag, step, value, clock_());
  }
  void histogram(EventFile& file, std::string const& tag, std::int64_t step, Tensor const& values) const {
    auto const flat = values.detach().to(at::kCPU, at::kFloat).contiguous();
    auto const h = Histogram::of({flat.const_data_ptr<float>(), std::size_t(flat.numel())});
    if (h.count > 0) file.histogram(tag, step, h, clock_());
  }

  std::filesystem::path folder_;
  TensorBoardOptions options_;
  Clock clock_;
  std::map<std::string, EventFile> files_;
};
static_assert(Callback<TensorBoardLog>);

}  // namespace dew
