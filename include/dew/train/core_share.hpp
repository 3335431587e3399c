// SPDX-License-Identifier: BSL-1.0
// How many threads each of the processes on a machine should have.
#pragma once
#include <sched.h>

#include <algorithm>
#include <string>
#include <vector>

#include "dew/core/host_name.hpp"
#include "dew/train/processes.hpp"

namespace dew {

namespace detail {
/// The cores on which this process may run.
inline ::cpu_set_t allowed_cores() {
  ::cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_SET(0, &cores);
  return cores;
}
}  // namespace detail

/// The cores of this process divided by the number of processes on its machine that may run on the very same ones; at least 1. Processes that their
/// starter has bound to cores of their own thus keep them all. To be called by all processes of the group.
inline int threads_each(Processes& processes) {
  auto const cores = detail::allowed_cores();
  std::string place = host_name() + " ";
  for (std::size_t i = 0; i < CPU_SETSIZE; ++i) place += CPU_ISSET(i, &cores) ? '1' : '0';
  auto const all = processes.gather(place);
  return std::max(1, CPU_COUNT(&cores) / int(std::count(all.begin(), all.end(), place)));
}

}  // namespace dew
