// SPDX-License-Identifier: BSL-1.0
// The command options: every option, or what of them a search can set.
#pragma once
#include <tuple>

#include "dew/app/config_file.hpp"
#include "dew/app/flags.hpp"
#include "dew/app/program.hpp"
#include "dew/app/search_space.hpp"

namespace dew {

/// Prints all options, with `analysis` those of metrics that evaluate alone knows, or with --search-space a space; gives the exit status.
template <class P, class Source, class Plan, class Metrics>
int list_options(Program<P, Source, Plan, Metrics>& app, CommandFlags const& flags, OptionSet const& analysis) {
  if (flags.search_space.empty()) {
    if (!flags.config.empty()) read_config(flags.config, app.options);
    fmt::print("{}\nof evaluate alone, with --metrics:\n{}", options_table(app.options), options_table(analysis));
    return 0;
  }
  check(flags.search_space == "json", ErrorKind::usage, "--search-space: expected json, got '{}'", flags.search_space);
  OptionSet trained;  // the source, the metrics and where a run goes are no part of what is searched unless a file says so
  add_options(trained, app.pipeline);
  std::apply([&](auto&... part) { (add_plan_options<P>(trained, part), ...); }, app.plan);
  auto const json = flags.config.empty() ? searchable_options_json(trained)
                                         : search_space_json(read_search_space(flags.config, app.options), app.options);
  fmt::print("{}\n", json.dump(2));
  return 0;
}

}  // namespace dew
