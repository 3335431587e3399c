# SPDX-License-Identifier: BSL-1.0
# cmake -D SOURCE=FOLDER -D BUILD=FOLDER -D DEW_DEPS_ROOT=FOLDER -D COMPILER=g++ [-D FIX=ON] -P lint.cmake: clang-format over all C++ files;
# clang-tidy over one translation unit that includes every header, and the syntax of the same with the oldest clang that is promised.
# The tools' versions are pinned in requirements-lint.lock and requirements-clang17.lock. FIX=ON formats instead.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/Provision.cmake")
dew_provision(tools "${CMAKE_CURRENT_LIST_DIR}/requirements-lint.lock" "clang-format and clang-tidy 23 (50 MB)")
set(clang_format "${tools}/clang_format/data/bin/clang-format")

set(patterns)
foreach(folder IN ITEMS include examples tests benchmarks)
  foreach(ending IN ITEMS hpp inc cpp cu cuh)
    list(APPEND patterns "${SOURCE}/${folder}/*.${ending}")
  endforeach()
endforeach()
file(GLOB_RECURSE files ${patterns})
list(LENGTH files count)
if(FIX)
  foreach(pass IN ITEMS first second)  # comments behind a broken line move once more
    execute_process(COMMAND "${clang_format}" -i ${files} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  message("formatted ${count} files")
  return()
endif()

set(failed)
message("clang-format: ${count} files")
execute_process(COMMAND "${clang_format}" --dry-run --Werror ${files} RESULT_VARIABLE status ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  string(REGEX MATCHALL "[^\n]+:[0-9]+:[0-9]+: error: " places "${output}")
  list(TRANSFORM places REPLACE ":[0-9]+:[0-9]+: error: " "")
  list(REMOVE_DUPLICATES places)
  list(JOIN places "\n  " places)
  message("  ${places}\nare not formatted; this does it: cmake --preset lint && cmake --build --preset lint --target format")
  list(APPEND failed clang-format)
endif()

# dew_analyse(WHAT TOOLS OPTIONS...): clang-tidy from TOOLS. gcc's own headers come last: omp.h is there.
execute_process(COMMAND "${COMPILER}" -print-file-name=include OUTPUT_VARIABLE omp OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
function(dew_analyse what tools)
  message("${what}: one translation unit that includes every header")
  string(TIMESTAMP start "%s")
  execute_process(
    COMMAND "${tools}/clang_tidy/data/bin/clang-tidy" --quiet -p "${BUILD}" --extra-arg=-idirafter${omp} ${ARGN} "${SOURCE}/tests/headers/all_headers.cpp"
    RESULT_VARIABLE status ERROR_VARIABLE errors)
  string(TIMESTAMP end "%s")
  math(EXPR seconds "${end} - ${start}")
  message("${what} took ${seconds} s")
  if(NOT status EQUAL 0)
    string(REGEX REPLACE "[0-9]+ warnings? [^\n]*generated[^\n]*\n" "" errors "${errors}")
    message("${errors}")
    set(failed ${failed} ${what} PARENT_SCOPE)
  endif()
endfunction()

dew_analyse("clang-tidy 23" "${tools}")
cmake_host_system_information(RESULT machine QUERY OS_PLATFORM)
if(machine STREQUAL "x86_64")
  dew_provision(clang17 "${CMAKE_CURRENT_LIST_DIR}/requirements-clang17.lock" "clang-tidy 17 (20 MB)")
  dew_analyse("clang 17's syntax check" "${clang17}" --config= --checks=-*,misc-definitions-in-headers
    --extra-arg=-fno-openmp)  # gcc's omp.h is too new for it
endif()

if(failed)
  list(JOIN failed ", " failed)
  message(FATAL_ERROR "lint found something: ${failed}")
endif()
message("lint found nothing")
