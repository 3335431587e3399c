// SPDX-License-Identifier: BSL-1.0
// Where a run comes from: who started it when, where, with which versions, and how it ended. RUN/run.json.
#pragma once
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "dew/app/git_state.hpp"
#include "dew/core/file.hpp"
#include "dew/core/host_name.hpp"
#include "dew/train/clock.hpp"
#include "dew/version.hpp"

#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>
#elif __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

namespace dew {

/// Seconds since 1970 as "2026-01-31T12:00:00Z".
inline std::string utc_text(double seconds) {
  auto const time = std::time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}
/// The inverse; NaN for anything else.
inline double utc_seconds(std::string const& text) {
  std::tm parts{};
  auto const* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return end != nullptr && *end == '\0' ? double(::timegm(&parts)) : std::nan("");
}

inline std::string libtorch_version() {
#ifdef TORCH_VERSION
  return TORCH_VERSION;
#else
  return "unknown";
#endif
}
inline std::string compiler_version() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

namespace detail {
inline std::string user_name() {
  std::vector<char> space(16384);
  struct ::passwd entry{};
  struct ::passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, space.data(), space.size(), &found) == 0 && found != nullptr) return found->pw_name;
  return std::to_string(::geteuid());
}
}  // namespace detail

/// The record of a run's starts, a JSON object in a file that is written aside and renamed:
///
///     {"program": "find_tracks", "seed": 1, "number_of_starts": 2, "summary": "…",
///      "starts": [{"started": "2026-01-31T12:00:00Z", "ended": "…", "outcome": "interrupted", "command": ["find_tracks", "train", …],
///                  "folder": "/…", "host": "…", "user": "…", "process": 123, "device": "cpu", "threads": 2,
///                  "dew": "0.1.0", "libtorch": "2.15.0", "compiler": "GCC 12.2.0", "git": {"commit": "…", "branch": "main", "dirty": false}}, …]}
///
/// `git` is null outside of a repository, and {"problem": "…"} where git cannot be asked. A start that has no `ended` was cut off, or is
/// running. Of all the files of a run this one alone holds host, user, paths and dates: two runs of equal options differ in it, and in it
/// alone. It decides nothing. A file that cannot be read is begun anew; one that cannot be written is an `Error`.
class RunRecord {
 public:
  struct Start {
    std::string program;
    std::int64_t seed;
    std::vector<std::string> command;
    std::string device;
    int threads;
  };

  /// Adds a start to the file, which is made if it is not there.
  RunRecord(std::filesystem::path file, Start const& start, Clock seconds_since_1970 = system_clock())
      : file_(std::move(file)), clock_(std::move(seconds_since_1970)) {
    record_ = std::filesystem::exists(file_) ? nlohmann::ordered_json::parse(read_file(file_), nullptr, false) : nlohmann::ordered_json();
    if (!record_.is_object() || !record_.contains("starts") || !record_["starts"].is_array())
      record_ = {{"program", start.program}, {"seed", start.seed}, {"number_of_starts", 0}, {"starts", nlohmann::ordered_json::array()}};
    nlohmann::ordered_json git;
    std::error_code error;
    auto const here = std::filesystem::current_path(error);
    if (auto const state = git_state(here)) {
      git = {{"commit", state->commit}, {"branch", state->branch}, {"dirty", nullptr}};
      if (state->dirty) git["dirty"] = *state->dirty;
      if (!state->problem.empty()) git = {{"problem", state->problem}};
    }
    record_["starts"].push_back({{"started", utc_text(clock_())},
                                 {"command", start.command},
                                 {"folder", here.string()},
                                 {"host", host_name()},
                                 {"user", detail::user_name()},
                                 {"process", ::getpid()},
                                 {"device", start.device},
                                 {"threads", start.threads},
                                 {"dew", std::string(version)},
                                 {"libtorch", libtorch_version()},
                                 {"compiler", compiler_version()},
                                 {"git", git}});
    record_["number_of_starts"] = record_["starts"].size();
    write();
  }

  /// How this start ended: "finished", "interrupted" or "failed", and the run in one line.
  void ended(std::string const& outcome, std::string const& summary) {
    auto& start = record_["starts"].back();
    start["ended"] = utc_text(clock_());
    start["outcome"] = outcome;
    record_["summary"] = summary;
    write();
  }

  nlohmann::ordered_json const& json() const { return record_; }

 private:
  void write() const { write_file_atomically(file_, record_.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"); }

  std::filesystem::path file_;
  Clock clock_;
  nlohmann::ordered_json record_;
};

}  // namespace dew
