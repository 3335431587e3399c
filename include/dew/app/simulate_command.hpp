// SPDX-License-Identifier: BSL-1.0
// The command simulate: events in TrackML's layout.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "dew/app/each_event.hpp"
#include "dew/app/flags.hpp"
#include "dew/event/ranges.hpp"
#include "dew/event/simulated_detector.hpp"

namespace dew {

/// Writes the events that --select names, and gives the exit status.
inline int simulate_events(SimulatedDetector const& detector, CommandFlags const& flags) {
  auto const ids = parse_ranges(flags.select);
  for (auto const id : ids) refuse_existing(std::filesystem::path(flags.out) / fmt::format("event{:09}-hits.csv", id), flags.force);
  std::filesystem::create_directories(flags.out);
  each_event(ids, "simulating", flags.quiet, [&](std::int64_t id) { detector.write(flags.out, id); });
  fmt::print("{} events in {}\n", ids.size(), flags.out);
  return 0;
}

}  // namespace dew
