// SPDX-License-Identifier: BSL-1.0
// One start of a program: its parts, all their options, and the processes and the allocation in which it runs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/app/app_options.hpp"
#include "dew/app/logs.hpp"
#include "dew/core/memory.hpp"
#include "dew/event/ranges.hpp"
#include "dew/pipeline/pipeline.hpp"
#include "dew/train/allocation.hpp"
#include "dew/train/array_share.hpp"
#include "dew/train/callbacks.hpp"
#include "dew/train/checkpoint.hpp"
#include "dew/train/core_share.hpp"
#include "dew/train/fit.hpp"
#include "dew/train/launch.hpp"
#include "dew/train/started_processes.hpp"
#include "dew/version.hpp"

namespace dew {

/// What a program is made of.
template <class P, class Source, class Plan, class Metrics>
struct AppParts {
  std::string name, about;
  P pipeline;
  Source source;
  Plan plan;        ///< a tuple of fits and scans
  Metrics metrics;  ///< a tuple
  Callbacks callbacks;
};

/// Adds the options of each metric of a tuple under its name.
template <class... M> void add_metric_options(OptionSet& set, std::tuple<M...>& metrics) {
  std::apply([&](auto&... m) { (add_options(set, std::string(std::remove_cvref_t<decltype(m)>::name), m), ...); }, metrics);
}
inline bool is_batch_option(std::string_view path) { return path.starts_with("batch."); }

/// One start of a program, as the commands see it. It stays where it was made: its options point into it.
template <class P, class Source, class Plan, class Metrics>
struct Program : AppParts<P, Source, Plan, Metrics> {
  using Parts = AppParts<P, Source, Plan, Metrics>;
  using PipelineType = P;
  using SourceType = Source;
  using PlanType = Plan;
  using MetricsType = Metrics;
  using Parts::name, Parts::pipeline, Parts::source, Parts::plan, Parts::metrics;

  AppOptions own;
  CheckpointOptions checkpoint;
  ProcessOptions process;
  BatchOptions batch;
  Logs logs;
  OptionSet options;                                                      ///< all of them, by path
  std::vector<std::string> command;                                       ///< the command line as it was typed
  Launch launch;                                                          ///< how this process was started
  std::shared_ptr<Processes> processes = std::make_shared<OneProcess>();  ///< that train or score together
  Surroundings around;
  bool check_only = false;              ///< for submit: what the command line says is checked, and nothing is done
  std::optional<std::string> accepted;  ///< the --out of a command line that has been checked and found good

  explicit Program(AppParts<P, Source, Plan, Metrics> parts) : Parts(std::move(parts)) {}
  Program(Program const&) = delete;
  Program& operator=(Program const&) = delete;

  /// Looks at how the process was started, and gathers all options.
  void begin(int argc, char const* const* argv) {
    command.assign(argv, argv + argc);
    launch = launch_of_this_process();
    options.add("", own);
    options.add("checkpoint", checkpoint);
    options.add(std::string(ProcessOptions::section), process);
    options.add(std::string(BatchOptions::section), batch);
    logs.add_to(options);
    add_options(options, std::string(Source::name), source);
    add_options(options, pipeline);
    std::apply([&](auto&... part) { (add_plan_options<P>(options, part), ...); }, plan);
    add_metric_options(options, metrics);
  }
  /// The exit status of a command line that is only checked.
  int accept(std::string const& out) {
    accepted = out;
    return 0;
  }

  // ---- where it runs ------------------------------------------------------------------------------------------------------------------
  at::Device device() const {
    check(own.device == "cpu" || own.device == "cuda", ErrorKind::usage, "device: expected cpu or cuda, got '{}'", own.device);
    check(own.device == "cpu" || at::globalContext().hasCUDA(), ErrorKind::usage,
          "device: there is no CUDA device that this LibTorch can use");
    if (own.device == "cpu") return {at::kCPU};
    auto const devices = c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount();
    return {at::kCUDA, c10::DeviceIndex(launch.local_rank % std::max(1, int(devices)))};
  }
  /// Joins the processes that were started together with this one. Only rank 0 speaks from then on, but for errors.
  void join(bool& quiet) {
    processes = start_processes(launch, process, device());
    if (processes->first()) return;
    quiet = true;
    check(std::freopen("/dev/null", "w", stdout) != nullptr, ErrorKind::input, "/dev/null: {}", detail::system_words());
  }
  /// Sets threads and memory up, and says on what it runs.
  void set_up(bool quiet) const {
    keep_memory();
    bool const said = std::getenv("OMP_NUM_THREADS") != nullptr;
    auto const cpus = detail::number_in(around.environment, "SLURM_CPUS_PER_TASK").value_or(0);
    if (own.threads > 0) at::set_num_threads(own.threads);
    else if (!processes->alone() && !said) at::set_num_threads(threads_each(*processes));
    else if (cpus > 0 && !said) at::set_num_threads(int(cpus));  // a node may have more that are not ours
    if (!quiet)
      fmt::print(stderr, "{} (dew {}) on {}, {}{} threads\n", name, version, device().str(),
                 processes->alone() ? "" : fmt::format("{} processes of ", processes->size()), at::get_num_threads());
  }

  // ---- events -------------------------------------------------------------------------------------------------------------------------
  /// The options that name a folder of events.
  std::vector<std::string> events_paths() {
    std::vector<std::string> out;
    OptionSet of_source;
    add_options(of_source, std::string(Source::name), source);
    for (auto const& e : of_source.entries())
      if (e.path.ends_with(".events") && e.type == "text") out.push_back(e.path);
    return out;
  }
  std::vector<std::int64_t> all_ids() const {
    check(!lacks_a_folder(source), ErrorKind::usage, "where are the events? say --events DIR");
    auto ids = source.ids();
    check(!ids.empty(), ErrorKind::input, "the source has no events");
    return ids;
  }
  /// Those that --select names, or all; of them this task's of a job array.
  std::vector<std::int64_t> selected(std::string const& select) const {
    auto ids = select.empty() ? all_ids() : parse_ranges(select);
    if (batch.array == ArraySplit::none) return ids;
    check(batch.array == ArraySplit::events, ErrorKind::usage, "--array {}: is for train; here the tasks divide events",
          names_of(batch.array)[std::size_t(batch.array)]);
    return share_of(ids, array_task(around.environment, batch.array_tasks));
  }

 private:
  template <class S> static bool lacks_a_folder(S const& source) {
    if constexpr (requires { source.alternatives; }) return source.visit([](auto const& s) { return lacks_a_folder(s); });
    else if constexpr (requires {
                         { source.options.events } -> std::convertible_to<std::string>;
                       })
      return source.options.events.empty();
    else return false;
  }
};
template <class P, class Source, class Plan, class Metrics>
Program(AppParts<P, Source, Plan, Metrics>) -> Program<P, Source, Plan, Metrics>;

}  // namespace dew
