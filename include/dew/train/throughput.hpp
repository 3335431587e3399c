// SPDX-License-Identifier: BSL-1.0
// How fast a training is, what it spends its time on, and how much memory it has needed.
#pragma once
#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "dew/train/callbacks.hpp"
#include "dew/train/work.hpp"

namespace dew {

/// The most memory that this process has had so far, in bytes (resident, as the system counts it).
inline std::int64_t peak_memory_bytes() {
  struct ::rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
#ifdef __APPLE__
  return std::int64_t(used.ru_maxrss);
#else
  return std::int64_t(used.ru_maxrss) * 1024;
#endif
}

/// The most memory that LibTorch's allocator has had in use on the first CUDA device, in bytes; 0 where none is used.
inline std::int64_t peak_cuda_memory_bytes() {
  if (!at::globalContext().hasCUDA()) return 0;
  auto* const allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::DeviceType::CUDA));
  if (allocator == nullptr || !allocator->initialized()) return 0;
  return allocator->getDeviceStats(0).allocated_bytes[std::size_t(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

/// An epoch's work as figures: `steps_per_s`, `events_per_s`, `hits_per_s`, `edges_per_s` (of the seconds that its steps took),
/// `share_<phase>` of all seconds and `share_rest`, `peak_memory_gb`, and `peak_cuda_gb` where CUDA is in use. None for an epoch without a
/// step of this process.
inline Figures throughput_figures(Work const& work) {
  if (work.steps == 0) return {};
  double const busy = std::accumulate(work.seconds.begin(), work.seconds.end(), 0.0), steps = busy - work.in(Phase::validation);
  double const all = std::max(work.elapsed, busy);
  auto const rate = [&](std::int64_t n) { return steps > 0 ? double(n) / steps : 0; };
  auto const share = [&](double seconds) { return all > 0 ? seconds / all : 0; };
  Figures out{{"steps_per_s", rate(work.steps)},
              {"events_per_s", rate(work.events)},
              {"hits_per_s", rate(work.hits)},
              {"edges_per_s", rate(work.edges)}};
  for (std::size_t i = 0; i < work.seconds.size(); ++i)
    out.emplace_back("share_" + std::string(names_of(Phase{})[i]), share(work.seconds[i]));
  out.emplace_back("share_rest", share(all - busy));
  out.emplace_back("peak_memory_gb", double(peak_memory_bytes()) / 1e9);
  if (auto const cuda = peak_cuda_memory_bytes(); cuda > 0) out.emplace_back("peak_cuda_gb", double(cuda) / 1e9);
  return out;
}

/// Says after each epoch how fast it was: "condenser: 12.1 steps/s, 1.2e+05 hits/s, 3.4e+05 edges/s; data 2 %, forward 31 %, …; 1.24 GB".
/// The same figures are in `log.jsonl` as `time_…`, whether it listens or not.
class Throughput {
 public:
  explicit Throughput(std::function<void(std::string const&)> say) : say_(std::move(say)) {}
  void on(EpochEnded const& e) {
    auto const figures = throughput_figures(e.work);
    if (figures.empty()) return;
    auto const value = [&](std::string_view name) {
      for (auto const& [other, number] : figures)
        if (other == name) return number;
      return 0.0;
    };
    auto text = fmt::format("{}: {:.3g} steps/s, {:.3g} hits/s, {:.3g} edges/s;", e.stage, value("steps_per_s"), value("hits_per_s"),
                            value("edges_per_s"));
    for (auto const phase : names_of(Phase{})) text += fmt::format(" {} {:.0f} %,", phase, 100 * value(fmt::format("share_{}", phase)));
    text += fmt::format(" rest {:.0f} %; {:.2f} GB", 100 * value("share_rest"), value("peak_memory_gb"));
    if (auto const cuda = value("peak_cuda_gb"); cuda > 0) text += fmt::format(", {:.2f} GB on the device", cuda);
    say_(text);
  }

 private:
  std::function<void(std::string const&)> say_;
};
static_assert(Callback<Throughput>);

}  // namespace dew
