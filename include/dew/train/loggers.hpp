// SPDX-License-Identifier: BSL-1.0
// Callbacks that show or record a training: a progress line, JSON lines, CSV.
#pragma once
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dew/train/callbacks.hpp"
#include "dew/train/clock.hpp"
#include "dew/train/throughput.hpp"

namespace dew {

/// A line on the terminal that shows how far a training is; where there is no terminal, a line an epoch and one every ten seconds.
class Progress {
 public:
  explicit Progress(std::FILE* out = stderr, Clock clock = steady_clock())
      : out_(out), clock_(std::move(clock)), terminal_(isatty(fileno(out)) != 0) {}

  void on(TrainingStarted const& e) {
    line("training on {} events, validating on {} ({}, {} threads)", e.train_events, e.validate_events, e.device, e.threads);
  }
  void on(FitStarted const& e) {
    line("{}: {} parameters, {}", e.stage, e.parameters,
         e.epochs > 0 ? fmt::format("{} epochs", e.epochs) : fmt::format("{:.1f} minutes", e.seconds_allotted / 60));
    shown_ = clock_();
  }
  void on(StepEnded const& e) {
    double const now = clock_();
    if (now - shown_ < (terminal_ ? 0.2 : 10.0)) return;
    shown_ = now;
    int const filled = int(std::lround(20 * e.progress));
    auto const text = fmt::format("{} [{}{}] {:3.0f} %  epoch {}{}  step {}  loss {:.4f}", e.stage, std::string(std::size_t(filled), '#'),
                                  std::string(std::size_t(20 - filled), '.'), 100 * e.progress, e.epoch + 1,
                                  e.epochs > 0 ? fmt::format("/{}", e.epochs) : "", e.step, e.loss);
    if (terminal_) {
      fmt::print(out_, "\r{}\033[K", text);
      open_ = true;
      std::fflush(out_);
    } else line("{}", text);
  }
  void on(EpochEnded const& e) {
    auto text = fmt::format("{} epoch {}{}: loss {:.4f}", e.stage, e.epoch + 1, e.epochs > 0 ? fmt::format("/{}", e.epochs) : "", e.loss);
    if (std::isfinite(e.validation_loss)) text += fmt::format(", validation {:.4f}", e.validation_loss);
    for (auto const& [name, value] : e.validation)
      if (name == "edges.auc" || name == "tracking.pt0.9.double_majority" || name == "tracking.pt0.9.perfect")
        text += fmt::format(", {} {:.4f}", name, value);
    line("{} ({:.0f} s)", text, e.seconds);
  }
  void on(ScanEnded const& e) {
    line("{}: {} candidates{}, best {} with {} {:.4f} ({:.0f} s)", e.stage, e.candidates,
         e.events < e.of ? fmt::format(" on {} of {} events", e.events, e.of) : "", e.best, e.metric, e.value, e.seconds);
  }
  void on(TrainingEnded const& e) { line("{} after {:.0f} s", e.interrupted ? "stopped" : "trained", e.seconds); }

 private:
  template <class... A> void line(fmt::format_string<A...> format, A&&... arguments) {
    if (std::exchange(open_, false)) fmt::print(out_, "\r\033[K");
    fmt::print(out_, "{}\n", fmt::format(format, std::forward<A>(arguments)...));
    std::fflush(out_);
  }
  std::FILE* out_;
  Clock clock_;
  bool terminal_, open_ = false;
  double shown_ = 0;
};

namespace detail {
/// A file that grows by whole lines.
class LineFile {
 public:
  explicit LineFile(std::filesystem::path const& file)
      : file_(file), out_(std::make_shared<std::ofstream>(file, std::ios::app | std::ios::binary)) {
    check(out_->good(), ErrorKind::input, "{}: cannot be written", file.string());
  }
  void line(std::string const& text) {
    *out_ << text << '\n';
    out_->flush();
    check(out_->good(), ErrorKind::input, "{}: cannot be written (is the disk full?)", file_.string());
  }

 private:
  std::filesystem::path file_;
  std::shared_ptr<std::ofstream> out_;
};
inline nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}
}  // namespace detail

/// One JSON object a line: every n-th step, every epoch, scan candidate and end. Values of a clock stand in keys that begin with `time_` and nowhere else.
class JsonlLog {
 public:
  explicit JsonlLog(std::filesystem::path const& file, std::int64_t every_steps = 20) : out_(file), every_(every_steps) {}
  void on(StepEnded const& e) {
    if (e.step % every_ != 0) return;
    nlohmann::ordered_json j{{"kind", "step"}, {"stage", e.stage}, {"epoch", e.epoch}, {"step", e.step}, {"loss", detail::number(e.loss)}};
    for (auto const& [name, value] : e.terms) j["loss." + name] = detail::number(value);
    j["learning_rate"] = e.learning_rate;
    j["gradient_norm"] = detail::number(e.gradient_norm);
    out_.line(j.dump());
  }
  void on(EpochEnded const& e) {
    nlohmann::ordered_json j{{"kind", "epoch"}, {"stage", e.stage}, {"epoch", e.epoch}, {"step", e.step}, {"loss", detail::number(e.loss)}};
    for (auto const& [name, value] : e.terms) j["loss." + name] = detail::number(value);
    j["validation.loss"] = detail::number(e.validation_loss);
    for (auto const& [name, value] : e.validation) j["validation." + name] = detail::number(value);
    j["learning_rate"] = e.learning_rate;
    j["time_s"] = e.seconds;
    for (auto const& [name, value] : throughput_figures(e.work)) j["time_" + name] = detail::number(value);
    out_.line(j.dump());
  }
  void on(ScanTried const& e) {
    out_.line(
        nlohmann::ordered_json{{"kind", "scan"}, {"stage", e.stage}, {"options", e.options}, {"value", detail::number(e.value)}}.dump());
  }
  void on(ScanEnded const& e) {
    out_.line(nlohmann::ordered_json{{"kind", "scanned"},
                                     {"stage", e.stage},
                                     {"metric", e.metric},
                                     {"best", e.best},
                                     {"value", detail::number(e.value)},
                                     {"events", e.events},
                                     {"time_s", e.seconds}}
                  .dump());
  }

 private:
  detail::LineFile out_;
  std::int64_t every_;
};

/// One row an epoch: `stage,epoch,step,loss,validation_loss,learning_rate,time_s`.
class CsvLog {
 public:
  explicit CsvLog(std::filesystem::path const& file)
      : fresh_(!std::filesystem::exists(file) || std::filesystem::file_size(file) == 0), out_(file) {}
  void on(EpochEnded const& e) {
    if (std::exchange(fresh_, false)) out_.line("stage,epoch,step,loss,validation_loss,learning_rate,time_s");
    out_.line(fmt::format("{},{},{},{},{},{},{}", e.stage, e.epoch, e.step, e.loss,
                          std::isfinite(e.validation_loss) ? fmt::to_string(e.validation_loss) : "", e.learning_rate, e.seconds));
  }

 private:
  bool fresh_;
  detail::LineFile out_;
};

static_assert(Callback<Progress> && Callback<JsonlLog> && Callback<CsvLog>);

}  // namespace dew
