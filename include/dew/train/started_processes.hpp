// SPDX-License-Identifier: BSL-1.0
// The group of the processes that were started together, by the back end that this program has.
#pragma once
#include <memory>
#include <string>

#include "dew/train/launch.hpp"
#include "dew/train/mpi_processes.hpp"
#include "dew/train/nccl_processes.hpp"
#include "dew/train/processes.hpp"

namespace dew {

/// `OneProcess` where the program was started alone. Else NCCL's group for tensors on GPUs and MPI's for tensors on the CPU, as far as the program
/// links dew::nccl and dew::mpi. Throws `Error` (usage) where it has none that fits: without it, each process would train a model of its own, all of
/// them in one folder.
inline std::shared_ptr<Processes> start_processes(Launch const& launch, ProcessOptions const& options, at::Device device) {
  if (!launch.several()) return std::make_shared<OneProcess>(options);
  if (device.is_cuda()) {
#ifdef DEW_NCCL
    return std::make_shared<NcclProcesses>(options, launch, device);
#else
    fail(ErrorKind::usage,
         "this is {}, and this program was built without NCCL, through which processes train together on GPUs: configure it with "
         "-DDEW_NCCL=ON, "
         "or start it once",
         launch.text());
#endif
  }
#ifdef DEW_MPI
  return std::make_shared<MpiProcesses>(options, launch);
#else
  fail(ErrorKind::usage,
       "this is {}, and this program was built without MPI, through which processes train together: configure it with -DDEW_MPI=ON, or "
       "start it "
       "once",
       launch.text());
#endif
}

}  // namespace dew
