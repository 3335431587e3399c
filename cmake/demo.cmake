# SPDX-License-Identifier: BSL-1.0
# The demonstration: simulated events in, a trained run and its score out. FIND_TRACKS: the program; FOLDER: where everything goes.
set(events "${FOLDER}/events")
set(run "${FOLDER}/tracking")
set(steps
  "simulate --out ${events} --select 1-50"
  "train --events ${events} --train 1-40 --validate 41-45 --out ${run} --minutes 3"
  "evaluate --run ${run} --events ${events} --select 46-50")

file(REMOVE_RECURSE "${FOLDER}")
foreach(step IN LISTS steps)
  message("\n$ find_tracks ${step}")
  separate_arguments(step UNIX_COMMAND "${step}")
  execute_process(COMMAND "${FIND_TRACKS}" ${step} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "find_tracks ended with status ${status}.")
  endif()
endforeach()
message("\nThe run folder is ${run}")
