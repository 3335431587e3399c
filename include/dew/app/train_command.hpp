// SPDX-License-Identifier: BSL-1.0
// The command train: a run is begun or gone on with, within the time that there is; or a step that failed is repeated.
#pragma once
#include <algorithm>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "dew/app/training_run.hpp"
#include "dew/core/command.hpp"

namespace dew {

namespace detail {
template <class A> PlanText::Lines plan_types_of(A const& app) {
  return std::apply([&](auto const&... part) { return plan_types(app.pipeline, app.source, app.metrics, part...); }, app.plan);
}

/// --resume: everything comes from the run folder.
template <class A> void take_up_run(A const& app, CommandFlags& flags) {
  auto const elsewhere = [](auto const& option) {
    auto const& path = option.first;
    return path == "device" || path == "threads" || path.starts_with("log.") || path.starts_with("processes.") ||
           (is_batch_option(path) && !path.starts_with("batch.array"));
  };
  check(std::all_of(flags.set.begin(), flags.set.end(), elsewhere) && flags.out.empty() && flags.config.empty() && flags.init.empty(),
        ErrorKind::usage,
        "--resume takes everything from the run folder; it goes with no other flag than --device, --threads, --quiet and those of "
        "loggers, processes and the batch system");
  flags.out = flags.resume;
  RunFolder const folder(flags.out);
  check(folder.exists(), ErrorKind::input, "{}: holds no run to resume", flags.out);
  flags.config = folder.config().string();
  if (auto const plan = folder.checkpoints().newest_plan())  // before the options of another program are found unknown
    refuse_other_plan({plan->types, {}}, {plan_types_of(app), {}}, flags.out);
}

/// A task of an array trains in a folder of its own, with a seed of its own where they divide seeds.
template <class A> void enter_task(A& app, CommandFlags& flags) {
  auto const split = app.batch.array;
  if (split == ArraySplit::none) return;
  check(split != ArraySplit::events, ErrorKind::usage, "--array events: is for run and export; the tasks of train divide seeds or folds");
  auto const task = array_task(app.around.environment, app.batch.array_tasks);
  if (!flags.out.empty()) flags.out = (std::filesystem::path(flags.out) / task_folder(task)).string();
  if (split == ArraySplit::seeds) app.own.seed += task.index;
}

/// Repeats a failed step from what `GradientWatch` wrote: its error again, or the loss where it goes through.
template <class P, class Source, class Plan, class Metrics>
int reproduce_step(Program<P, Source, Plan, Metrics>& app, CommandFlags const& flags) {
  auto const failed = read_checkpoint(flags.reproduce);
  check(failed.failed_event >= 0, ErrorKind::input, "{}: is a checkpoint, but of no step that failed", flags.reproduce);
  refuse_other_plan({failed.plan.types, {}}, {plan_types_of(app), {}}, flags.reproduce);
  auto const elsewhere = [](auto const& option) { return option.first == "device" || option.first == "threads"; };
  check(std::all_of(flags.set.begin(), flags.set.end(), elsewhere) && flags.out.empty() && flags.config.empty() && flags.init.empty() &&
            flags.resume.empty(),
        ErrorKind::usage, "--reproduce takes everything from its file; it goes with no other flag than --device, --threads and --quiet");
  for (auto const& [path, value] : failed.plan.options)
    if (app.options.find(path)) app.options.at(path).set(value.empty() ? std::vector<std::string>{""} : toml_words(value));
  flags.set_in({&app.options});
  app.set_up(flags.quiet);
  auto trained = load(app.pipeline, flags.reproduce);
  trained.to(app.device());
  TrainerSettings settings;
  settings.train = parse_ranges(app.own.train);
  if (!app.own.validate.empty()) settings.validate = parse_ranges(app.own.validate);
  settings.minutes = app.own.minutes;
  Trainer trainer(trained, app.source, app.metrics, settings);
  auto const loss = std::apply([&](auto const&... part) { return trainer.reproduce(failed, part...); }, app.plan);
  fmt::print("event {} goes through here: its loss is {}\n", failed.failed_event, loss);
  return 0;
}

/// The exit status of a training, or `stopped_early`. Behind it all files are closed, and the folder is free.
template <class P, class Source, class Plan, class Metrics>
int train_within(Program<P, Source, Plan, Metrics>& app, CommandFlags& flags, Allocation* allocation) {
  check(!flags.out.empty(), ErrorKind::usage, "train needs --out RUN, the run folder to write (or --resume RUN)");
  check(app.own.minutes <= 0 || app.own.epochs <= 0, ErrorKind::usage,
        "--minutes and --epochs exclude each other: either the clock ends a training or a number of epochs");
  TrainingRun<P, Source, Plan, Metrics> training(app, flags, allocation);
  try {
    return training.run();
  } catch (std::exception const& e) {
    training.failed(e.what());
    throw;
  }
}
}  // namespace detail

/// Trains as the flags say, and gives the exit status; that of the allocation where it was stopped.
template <class P, class Source, class Plan, class Metrics>
int train_run(Program<P, Source, Plan, Metrics>& app, CommandFlags& flags) {
  if constexpr (std::tuple_size_v<Plan> == 0) fail(ErrorKind::usage, "this program has nothing to train: its App has no train(…)");
  else {
    if (!flags.reproduce.empty()) return detail::reproduce_step(app, flags);
    if (!flags.resume.empty()) detail::take_up_run(app, flags);
    if (!flags.config.empty()) read_config(flags.config, app.options);
    flags.set_in({&app.options});
    detail::enter_task(app, flags);
    if (app.check_only) return detail::train_within(app, flags, nullptr);
    auto const& wandb = app.logs.wandb;
    bool const guarded = app.launch.rank == 0;  // it stops all; the others need not ask SLURM too
    Allocation allocation(app.batch, app.around, wandb.on() ? wandb.wandb_wait_s + wandb.wandb_osh_delay_s : 0, guarded);
    auto status = detail::train_within(app, flags, &allocation);
    auto& group = *app.processes;
    if (status == stopped_early) {
      for (auto const& why : group.gather(fmt::to_string(int(allocation.reason())))) allocation.stopped_too(StopReason(std::stoi(why)));
      auto const begun = RunFolder(flags.out).exists();
      if (group.first())
        status = allocation.leave(begun ? fmt::format("{} train --resume {}", app.name, shell_quoted(flags.out)) : "the same command");
    }
    return group.alone() ? status : std::stoi(group.of_first(fmt::to_string(status)));  // nobody leaves before rank 0
  }
}

}  // namespace dew
