// SPDX-License-Identifier: BSL-1.0
// The checkpoints of a run on disk: which are written, which stay, and which of them is whole.
#pragma once
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/file.hpp"
#include "dew/train/checkpoint.hpp"

namespace dew {

/// Gets a sentence that whoever runs a program should see.
using Warn = std::function<void(std::string const&)>;

/// A folder of checkpoints, `step-<number>.safetensors` with a number that rises over the whole plan. Each is written aside, flushed and renamed;
/// then those are removed that are neither among the newest nor among the best of their fit. A write that fails leaves the earlier ones alone.
class CheckpointFiles {
 public:
  explicit CheckpointFiles(std::filesystem::path folder, CheckpointOptions options = {})
      : folder_(std::move(folder)), options_(std::move(options)) {
    check(options_.keep_last >= 1 && options_.keep_best >= 0, ErrorKind::usage,
          "checkpoint: keep_last is at least 1 and keep_best at least 0, got {} and {}", options_.keep_last, options_.keep_best);
  }

  std::filesystem::path path(std::int64_t number) const { return folder_ / file_name(number); }

  /// Writes a checkpoint and removes those that need not stay. Throws `Error` (input) when it cannot be written.
  void save(Checkpoint const& c) const {
    if (!std::filesystem::exists(folder_)) {
      std::filesystem::create_directories(folder_);
      flush_to_disk(folder_.parent_path().empty() ? std::filesystem::path(".") : folder_.parent_path());
    }
    try {
      write_file_atomically(path(c.state.number), checkpoint_bytes(c));
    } catch (Error const& e) { fail(e.kind(), "{} (earlier checkpoints stay as they are)", e.what()); }
    remove_but(options_.keep_last);
  }

  /// The newest checkpoint that is whole. Broken ones that are newer are renamed to `….broken`, each with a warning. Nothing when none is whole.
  std::optional<Checkpoint> newest(Warn const& warn) const {
    auto const all = numbers();
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      auto const file = path(*at);
      try {
        return read_checkpoint(file);
      } catch (Error const& e) {
        std::error_code ignored;
        std::filesystem::rename(file, file.string() + std::string(broken), ignored);
        warn(fmt::format("{}; {}", e.what(), at + 1 == all.rend() ? "there is none before it" : "the one before it is used"));
      }
    }
    return std::nullopt;
  }

  /// What the newest checkpoint says of its training, from its header alone: neither its tensors nor its checksum are looked at. Nothing
  /// where there is none.
  std::optional<PlanText> newest_plan() const {
    auto const all = numbers();
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      try {
        return PlanText::from(detail::metadata_json<nlohmann::ordered_json>(map_safetensors(path(*at)).metadata, "dew.plan"));
      } catch (std::exception const&) {}  // `newest` speaks of it
    }
    return std::nullopt;
  }

  /// Removes all but the best ones of each fit: what stays when a training has ended.
  void keep_best_alone() const { remove_but(0); }

  /// Removes all of them, the broken ones too, and the folder when nothing else is in it.
  void clear() const {
    std::error_code ignored;
    for (auto const number : numbers()) std::filesystem::remove(path(number), ignored);
    for (auto const& file : files())
      if (number_of(file, broken) || is_written_aside(file)) std::filesystem::remove(file, ignored);
    std::filesystem::remove(folder_, ignored);
  }

 private:
  static constexpr std::string_view broken = ".broken";
  struct Scored {
    std::size_t part;
    double score;
    std::int64_t number;
  };

  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> out;
    if (std::filesystem::is_directory(folder_))
      for (auto const& entry : std::filesystem::directory_iterator(folder_)) out.push_back(entry.path());
    return out;
  }
  static std::string file_name(std::int64_t number) { return fmt::format("step-{:09}.safetensors", number); }
  /// The number in a checkpoint's name (with something behind it).
  static std::optional<std::int64_t> number_of(std::filesystem::path const& file, std::string_view behind = "") {
    auto const name = file.filename().string();
    auto const from = std::min(name.size(), std::string_view("step-").size());
    std::int64_t number = 0;
    (void)std::from_chars(name.data() + from, name.data() + name.size(), number);
    return name == file_name(number) + std::string(behind) ? std::optional(number) : std::nullopt;
  }
  /// The numbers of all checkpoints, in order.
  std::vector<std::int64_t> numbers() const {
    std::vector<std::int64_t> out;
    for (auto const& file : files())
      if (auto const number = number_of(file)) out.push_back(*number);
    std::sort(out.begin(), out.end());
    return out;
  }
  /// The score of a checkpoint and the part that it is of; nothing where its header cannot be read.
  std::optional<Scored> scored(std::int64_t number) const {
    try {
      auto const state = TrainingState::from(nlohmann::json::parse(map_safetensors(path(number)).metadata.at("dew.state")));
      return Scored{state.part, state.score, number};
    } catch (std::exception const&) { return std::nullopt; }
  }

  void remove_but(int keep_last) const {
    auto const all = numbers();
    if (std::ssize(all) <= keep_last) return;
    auto const best = options_.keep_best > 0 ? best_of(all) : std::vector<std::int64_t>{};
    for (std::size_t i = 0; i + std::size_t(keep_last) < all.size(); ++i)
      if (std::find(best.begin(), best.end(), all[i]) == best.end()) {
        std::error_code ignored;
        std::filesystem::remove(path(all[i]), ignored);
      }
  }
  /// The numbers of each fit's best checkpoints; of equal ones the earlier is the better.
  std::vector<std::int64_t> best_of(std::vector<std::int64_t> const& all) const {
    std::vector<Scored> order;
    for (auto const number : all)
      if (auto const one = scored(number); one && !std::isnan(one->score)) order.push_back(*one);
    std::stable_sort(order.begin(), order.end(), [&](Scored const& a, Scored const& b) {
      return a.part != b.part ? a.part < b.part : options_.better(a.score, b.score);
    });
    std::vector<std::int64_t> best;
    for (std::size_t i = 0, of_part = 0; i < order.size(); ++i) {
      of_part = i > 0 && order[i].part == order[i - 1].part ? of_part + 1 : 0;
      if (of_part < std::size_t(options_.keep_best)) best.push_back(order[i].number);
    }
    return best;
  }

  std::filesystem::path folder_;
  CheckpointOptions options_;
};

}  // namespace dew
