// SPDX-License-Identifier: BSL-1.0
// A run on disk: configuration, weights, log, metrics, and checkpoints that survive an interruption.
#pragma once
#include <filesystem>

#include "dew/core/file.hpp"
#include "dew/train/trainer.hpp"

namespace dew {

/// The files of a run:
///
///     config.toml             every option, complete and commented; written first
///     model.safetensors       the trained weights with options and widths as text: no path, time or host
///     log.jsonl, log.csv      the training's course
///     metrics.json            the score; written last: a run that has it is finished
///     checkpoint.safetensors  where an unfinished training stands; best.safetensors: weights of the running fit's best validation loss
///     graphs/                 built graphs, unless another cache folder was named
///
/// All of them are written aside and renamed, but for the logs, which grow by whole lines and are cut back to the checkpoint on resuming.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path const& path() const { return folder_; }
  std::filesystem::path config() const { return folder_ / "config.toml"; }
  std::filesystem::path model() const { return folder_ / "model.safetensors"; }
  std::filesystem::path log() const { return folder_ / "log.jsonl"; }
  std::filesystem::path csv_log() const { return folder_ / "log.csv"; }
  std::filesystem::path metrics() const { return folder_ / "metrics.json"; }
  std::filesystem::path checkpoint() const { return folder_ / "checkpoint.safetensors"; }
  std::filesystem::path best() const { return folder_ / "best.safetensors"; }
  std::filesystem::path graphs() const { return folder_ / "graphs"; }

  bool exists() const { return std::filesystem::exists(config()); }
  bool finished() const { return std::filesystem::exists(metrics()) && std::filesystem::exists(model()); }
  /// Whether the folder is absent or empty.
  bool vacant() const {
    return !std::filesystem::exists(folder_) || (std::filesystem::is_directory(folder_) && std::filesystem::is_empty(folder_));
  }

  /// Removes the files of a run, and nothing else.
  void clear() const {
    for (auto const& file : {config(), model(), log(), csv_log(), metrics(), checkpoint(), best()}) std::filesystem::remove(file);
    std::filesystem::remove_all(graphs());
  }

  void save(Checkpoint const& c) const {
    SafeTensors out;
    auto const put = [&](std::map<std::string, Tensor> const& tensors, std::string const& prefix) {
      for (auto const& [name, t] : tensors) out.tensors[prefix + name] = t.detach().to(at::kCPU).contiguous();
    };
    put(c.weights, "weights.");
    put(c.optimiser, "");
    put(c.best, "best.");
    out.metadata = {{"dew.schema", "1"},
                    {"dew.state", c.state.json().dump()},
                    {"dew.log_bytes", std::to_string(bytes(log()))},
                    {"dew.csv_bytes", std::to_string(bytes(csv_log()))}};
    write_safetensors(checkpoint(), out);
    if (!c.best.empty()) {
      SafeTensors best_file;
      for (auto const& [name, t] : c.best) best_file.tensors[name] = t.detach().to(at::kCPU).contiguous();
      write_safetensors(best(), best_file);
    }
  }

  /// The saved moment, and the logs cut back to it; nothing when there is none.
  std::optional<Checkpoint> load() const {
    if (!std::filesystem::exists(checkpoint())) return std::nullopt;
    auto saved = read_safetensors(checkpoint());
    Checkpoint c;
    for (auto const& [name, t] : saved.tensors) {
      if (name.starts_with("weights.")) c.weights[name.substr(8)] = t;
      else if (name.starts_with("best.")) c.best[name.substr(5)] = t;
      else c.optimiser[name] = t;
    }
    try {
      c.state = TrainingState::from(nlohmann::json::parse(saved.metadata.at("dew.state")));
      cut(log(), std::stoull(saved.metadata.at("dew.log_bytes")));
      cut(csv_log(), std::stoull(saved.metadata.at("dew.csv_bytes")));
    } catch (std::exception const& e) { fail(ErrorKind::input, "{}: is no checkpoint of a training: {}", checkpoint().string(), e.what()); }
    return c;
  }

 private:
  static std::uintmax_t bytes(std::filesystem::path const& file) {
    return std::filesystem::exists(file) ? std::filesystem::file_size(file) : 0;
  }
  static void cut(std::filesystem::path const& file, std::uintmax_t size) {
    if (bytes(file) > size) std::filesystem::resize_file(file, size);
  }
  std::filesystem::path folder_;
};

}  // namespace dew
