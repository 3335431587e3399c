// SPDX-License-Identifier: BSL-1.0
// A run that is there, opened by a program: what evaluate, run and export begin with.
#pragma once
#include <filesystem>
#include <initializer_list>
#include <optional>

#include "dew/app/config_file.hpp"
#include "dew/app/flags.hpp"
#include "dew/app/program.hpp"
#include "dew/pipeline/with_options.hpp"
#include "dew/train/run_folder.hpp"

namespace dew {

/// The trained pipeline of the folder that --run names, under the run's options and, over them, those of the command line, which are
/// looked for in `options`; on the device, with threads set up. `together`: with the processes that were started with this one. Nothing
/// where the command line was only to be checked. Throws `Error`: input for a folder that holds no run of this program, usage for an
/// option that the training has fixed.
template <class P, class Source, class Plan, class Metrics>
std::optional<Trained<P>> open_run(Program<P, Source, Plan, Metrics>& app, CommandFlags& flags,
                                   std::initializer_list<OptionSet const*> options, bool together) {
  RunFolder const folder(flags.run);
  check(folder.exists(), ErrorKind::input, "{}: is no run folder (it has no config.toml)", flags.run);
  read_config(folder.config(), app.options);
  std::optional<Trained<P>> trained;
  if (!app.check_only || std::filesystem::exists(folder.model())) {  // it may be a job's that has not ended yet
    auto const as_trained = load(app.pipeline, folder.model());
    app.pipeline = as_trained.pipeline;  // options as tuned by the training
    flags.set_in(options);
    trained = with_options(as_trained, app.pipeline, flags.run);
  } else flags.set_in(options);
  if (app.check_only) {
    (void)app.selected(flags.select);
    app.accept(flags.out);
    return std::nullopt;
  }
  if (together) app.join(flags.quiet);
  app.set_up(flags.quiet);
  trained->to(app.device());
  return trained;
}

}  // namespace dew
