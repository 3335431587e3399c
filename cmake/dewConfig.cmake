# SPDX-License-Identifier: BSL-1.0
# find_package(dew): the target dew::dew. LibTorch is looked for as cmake/DewTorch.cmake says; nothing is downloaded.
include("${CMAKE_CURRENT_LIST_DIR}/DewDependencies.cmake")
dew_find_dependencies(dew_problem)
if(dew_problem)
  set(dew_FOUND FALSE)
  set(dew_NOT_FOUND_MESSAGE "${dew_problem}")
  return()
endif()
include("${CMAKE_CURRENT_LIST_DIR}/dewTargets.cmake")
