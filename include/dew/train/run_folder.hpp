// SPDX-License-Identifier: BSL-1.0
// A run on disk: configuration, weights, log, metrics, and checkpoints that survive an interruption.
#pragma once
#include <array>
#include <filesystem>

#include "dew/core/file.hpp"
#include "dew/train/checkpoint_files.hpp"
#include "dew/train/run_lock.hpp"

namespace dew {

/// The files of a run:
///
///     config.toml        every option, complete and commented; written first
///     model.safetensors  the trained weights with options and widths as text: no path, time or host
///     log.jsonl, log.csv the training's course
///     metrics.json       the score; written last: a run that has it is finished
///     run.json           who started it when, where and with what (`RunRecord`)
///     checkpoints/       where an unfinished training stands, and the best of each fit
///     graphs/            built graphs, unless another cache folder was named
///     tensorboard/       event files, where they were asked for
///     profile/           a profiler's traces, where they were asked for
///     failed/            what repeats a step that failed (`GradientWatch`)
///     wandb/             a Weights & Biases run and its sidecar, where they were asked for
///     lock               held by the process that trains here (`RunLock`)
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
  std::filesystem::path graphs() const { return folder_ / "graphs"; }
  CheckpointFiles checkpoints(CheckpointOptions const& options = {}) const { return CheckpointFiles(folder_ / "checkpoints", options); }
  std::filesystem::path tensorboard() const { return folder_ / "tensorboard"; }
  std::filesystem::path wandb() const { return folder_ / "wandb"; }
  std::filesystem::path record() const { return folder_ / "run.json"; }
  std::filesystem::path profile() const { return folder_ / "profile"; }
  std::filesystem::path failed() const { return folder_ / "failed"; }

  bool exists() const { return std::filesystem::exists(config()); }
  bool finished() const { return std::filesystem::exists(metrics()) && std::filesystem::exists(model()); }
  /// Whether the folder is absent or empty, but for a lock and what a killed process was writing.
  bool vacant() const {
    if (!std::filesystem::exists(folder_)) return true;
    if (!std::filesystem::is_directory(folder_)) return false;
    for (auto const& entry : std::filesystem::directory_iterator(folder_))
      if (entry.path().filename() != RunLock::name && !is_written_aside(entry.path())) return false;
    return true;
  }

  /// Removes the files of a run, and nothing else.
  void clear() const {
    for (auto const& file : {config(), model(), log(), csv_log(), metrics(), record()}) std::filesystem::remove(file);
    checkpoints().clear();
    for (auto const& folder : {graphs(), tensorboard(), wandb(), profile(), failed()}) std::filesystem::remove_all(folder);
  }
  /// Removes what a killed process left half written. For the holder of the lock.
  void remove_leftovers() const {
    for (auto const& folder : {folder_, folder_ / "checkpoints", graphs()}) {
      if (!std::filesystem::is_directory(folder)) continue;
      std::vector<std::filesystem::path> left;
      for (auto const& entry : std::filesystem::directory_iterator(folder))
        if (is_written_aside(entry.path())) left.push_back(entry.path());
      for (auto const& file : left) std::filesystem::remove(file);
    }
  }

  /// Writes a checkpoint. The logs are flushed to the disk before it: none is ever shorter than the checkpoint says.
  void save(Checkpoint c, CheckpointOptions const& options = {}) const {
    for (auto const& file : {log(), csv_log()}) {
      if (!std::filesystem::exists(file)) continue;
      flush_to_disk(file);
      c.logs[file.filename().string()] = std::filesystem::file_size(file);
    }
    checkpoints(options).save(c);
  }

  /// Cuts the logs back to a checkpoint, or to nothing without one. A log that has lost lines is warned of.
  void cut_logs(std::optional<Checkpoint> const& c, Warn const& warn) const {
    for (auto const& file : {log(), csv_log()}) {
      std::uintmax_t then = 0;
      if (c)
        if (auto const said = c->logs.find(file.filename().string()); said != c->logs.end()) then = said->second;
      auto const now = std::filesystem::exists(file) ? std::filesystem::file_size(file) : 0;
      if (now > then) std::filesystem::resize_file(file, then);
      if (now < then)
        warn(fmt::format("{}: has {} bytes and had {} when the checkpoint was saved: lines are missing in it", file.string(), now, then));
    }
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace dew
