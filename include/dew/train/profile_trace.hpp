// SPDX-License-Identifier: BSL-1.0
// A profiler's trace of chosen steps, for Perfetto.
#pragma once
#include <torch/csrc/autograd/profiler_kineto.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "dew/core/file.hpp"
#include "dew/train/callbacks.hpp"

namespace dew {

/// The first and the last step of "100-110" or "100"; counted from 1. Throws `Error` (usage) on anything else.
inline std::pair<std::int64_t, std::int64_t> parse_steps(std::string_view text) {
  std::int64_t first = 0, last = 0;
  auto const *const begin = text.data(), *const end = begin + text.size();
  auto const one = std::from_chars(begin, end, first);
  bool ok = one.ec == std::errc();
  last = first;
  if (ok && one.ptr != end) {
    auto const two = std::from_chars(one.ptr + 1, end, last);
    ok = *one.ptr == '-' && two.ec == std::errc() && two.ptr == end;
  }
  check(ok && first >= 1 && first <= last, ErrorKind::usage, "steps to profile: expected something like 100-110, got '{}'", text);
  return {first, last};
}

/// Records what LibTorch does in some steps of each fit, by its profiler Kineto: `<folder>/<stage>-steps<first>-<last>.json`, a Chrome
/// trace that opens in https://ui.perfetto.dev or chrome://tracing. It holds each operation, the phases (`data`, `forward`, `backward`,
/// `optimiser`, `validation`) and the stages by name, and on a CUDA device the kernels. A fit that ends before the last step is written as
/// far as it came; of one that goes on behind the first step nothing is recorded before the next. Recorded steps are slower, some 1 µs an
/// operation.
class ProfileTrace {
 public:
  ProfileTrace(std::filesystem::path folder, std::int64_t first, std::int64_t last)
      : folder_(std::move(folder)), first_(first), last_(last) {
    check(first >= 1 && first <= last, ErrorKind::usage, "steps to profile: expected 1 <= first <= last, got {} and {}", first, last);
  }
  ProfileTrace(ProfileTrace&& other) noexcept
      : folder_(std::move(other.folder_)),
        first_(other.first_),
        last_(other.last_),
        stage_(std::move(other.stage_)),
        running_(std::exchange(other.running_, false)) {}
  ProfileTrace& operator=(ProfileTrace&&) = delete;
  ~ProfileTrace() {
    if (!running_) return;
    try {
      (void)torch::autograd::profiler::disableProfiler();  // an error ends the training: nothing is written
    } catch (...) {}                                       // NOLINT(bugprone-empty-catch)
  }

  void on(FitStarted const& e) {
    if (e.step < last_ && e.step + 1 >= first_) begin(e.stage);
  }
  void on(StepEnded const& e) {
    if (running_ && e.step >= last_) end();
    else if (!running_ && e.step + 1 == first_) begin(e.stage);
  }
  void on(FitEnded const&) {
    if (running_) end();
  }
  void on(TrainingEnded const&) {
    if (running_) end();
  }

 private:
  void begin(std::string const& stage) {
    using namespace torch::profiler::impl;
    ::setenv("KINETO_LOG_LEVEL", "99", 0);  // it has its say on the error output else
    std::set<ActivityType> activities{ActivityType::CPU};
    if (at::globalContext().hasCUDA()) activities.insert(ActivityType::CUDA);
    ProfilerConfig const config(ProfilerState::KINETO);
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities,
                                              {at::RecordScope::FUNCTION, at::RecordScope::USER_SCOPE, at::RecordScope::BACKWARD_FUNCTION});
    stage_ = stage;
    running_ = true;
  }
  void end() {
    running_ = false;
    auto const result = torch::autograd::profiler::disableProfiler();
    std::filesystem::create_directories(folder_);
    auto const file = folder_ / fmt::format("{}-steps{}-{}.json", stage_, first_, last_);
    auto const aside = file.string() + ".part";
    result->save(aside);
    std::error_code error;
    std::filesystem::rename(aside, file, error);
    check(!error, ErrorKind::input, "{}: cannot be written: {}", file.string(), error.message());
  }

  std::filesystem::path folder_;
  std::int64_t first_, last_;
  std::string stage_;
  bool running_ = false;
};
static_assert(Callback<ProfileTrace>);

}  // namespace dew
