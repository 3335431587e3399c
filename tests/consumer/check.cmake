# SPDX-License-Identifier: BSL-1.0
# Configures, builds and starts the project PROJECT in SCRATCH; what it needs to find dew is in SETTINGS, and dew is installed beside it.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGV " " line)
    message(FATAL_ERROR "exit status ${status}: ${line}")
  endif()
endfunction()

file(REMOVE_RECURSE "${SCRATCH}")
run("${CMAKE_COMMAND}" --install "${DEW_BUILD}" --prefix "${SCRATCH}/installed")
run("${CMAKE_COMMAND}" -S "${PROJECT}" -B "${SCRATCH}/build" -C "${SETTINGS}" -D "dew_ROOT=${SCRATCH}/installed")
run("${CMAKE_COMMAND}" --build "${SCRATCH}/build")
run("${SCRATCH}/build/program" --help)
