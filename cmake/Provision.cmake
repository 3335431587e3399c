# SPDX-License-Identifier: BSL-1.0
# Installs the wheels of a lock file into a folder whose name holds the lock's hash, once, for all build folders.

# dew_provision(OUT LOCK WHAT [PREFIX]): installs what LOCK pins, unless it is there already, and sets OUT to the folder.
# WHAT is for the message ("LibTorch 2.15 … (0.6 GB)"). Needs a Python with pip; every Python from 3.11 on installs the same wheels.
# With PREFIX the wheels are those of programs, and what they hold for bin, lib and include goes there (pip install --target leaves lib out).
function(dew_provision out lock what)
  file(SHA256 "${lock}" hash)
  string(SUBSTRING "${hash}" 0 12 hash)
  set(folder "${DEW_DEPS_ROOT}/deps-${hash}")
  set(${out} "${folder}" PARENT_SCOPE)
  if(EXISTS "${folder}")
    return()
  endif()

  file(MAKE_DIRECTORY "${DEW_DEPS_ROOT}")
  file(LOCK "${folder}.lock" GUARD FUNCTION TIMEOUT 3600)
  if(EXISTS "${folder}")  # another configure run was faster
    return()
  endif()

  set(otherwise "or set DEW_PROVISION=OFF and install the libraries listed in README.md yourself")
  find_program(DEW_PYTHON NAMES python3 python DOC "Python >= 3.11 with pip")
  if(NOT DEW_PYTHON)
    message(FATAL_ERROR "dew installs its dependencies with Python's pip, and no python3 was found: install Python >= 3.11 with pip, ${otherwise}.")
  endif()
  execute_process(COMMAND "${DEW_PYTHON}" -c "import sys; print('%d.%d' % sys.version_info[:2])"
    OUTPUT_VARIABLE python_version OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT python_version VERSION_GREATER_EQUAL 3.11)
    message(FATAL_ERROR "dew installs its dependencies with Python >= 3.11, and ${DEW_PYTHON} is version ${python_version}: name a newer one with -DDEW_PYTHON=PATH, ${otherwise}.")
  endif()
  execute_process(COMMAND "${DEW_PYTHON}" -m pip --version RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message(FATAL_ERROR "dew installs its dependencies with pip, and ${DEW_PYTHON} has none: install it (Debian: apt install python3-pip), ${otherwise}.")
  endif()
  cmake_host_system_information(RESULT machine QUERY OS_PLATFORM)
  if(NOT CMAKE_HOST_SYSTEM_NAME STREQUAL "Linux" OR NOT machine MATCHES "^(x86_64|aarch64)$")
    message(FATAL_ERROR "dew's pinned wheels are for Linux on x86_64 and aarch64, and this is ${CMAKE_HOST_SYSTEM_NAME} on ${machine}: set DEW_PROVISION=OFF and install the libraries listed in README.md yourself.")
  endif()
  set(platforms)
  foreach(tag IN ITEMS manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_25 manylinux_2_24 manylinux_2_18 manylinux2014 manylinux_2_17 manylinux2010
                   manylinux_2_12 manylinux1 manylinux_2_5)
    list(APPEND platforms --platform ${tag}_${machine})
  endforeach()

  # Aside, with pip's temporary files on the same disk, then renamed: the folder exists only when it is complete.
  set(aside "${folder}.partial")
  file(REMOVE_RECURSE "${aside}")
  file(MAKE_DIRECTORY "${aside}/tmp")
  message(STATUS "Downloading ${what}, once: into ${folder}")
  set(how install --target "${aside}/site" --no-compile --no-user --no-warn-script-location)
  if("PREFIX" IN_LIST ARGN)
    set(how download --dest "${aside}/wheels")
  endif()
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "TMPDIR=${aside}/tmp" "${DEW_PYTHON}" -m pip ${how}
      --requirement "${lock}" --require-hashes --no-deps --only-binary=:all:
      --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none ${platforms}
      --no-cache-dir --retries 2 --disable-pip-version-check
    RESULT_VARIABLE failed
    ERROR_VARIABLE errors)
  if(failed)
    file(REMOVE_RECURSE "${aside}")
    string(REGEX MATCHALL "ERROR: [^\n]*" reasons "${errors}")
    list(JOIN reasons "; " reasons)
    message(FATAL_ERROR "dew could not install what ${lock} lists: connect this machine to the network once (pip's settings for a mirror or a proxy are used), ${otherwise} (pip said: ${reasons}).")
  endif()
  file(GLOB wheels "${aside}/wheels/*.whl")
  foreach(wheel IN LISTS wheels)
    file(ARCHIVE_EXTRACT INPUT "${wheel}" DESTINATION "${aside}/unpacked")
    file(GLOB data "${aside}/unpacked/*.data/data/*")
    file(COPY ${data} DESTINATION "${aside}/site")
    file(GLOB programs "${aside}/site/bin/*")
    file(CHMOD ${programs} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
    file(REMOVE_RECURSE "${aside}/unpacked")
  endforeach()
  file(RENAME "${aside}/site" "${folder}")
  file(REMOVE_RECURSE "${aside}")
endfunction()

# dew_require_pinned_python(OPTION): stops where ${DEW_PYTHON} is not the one that the locks of Python packages are for.
function(dew_require_pinned_python option)
  execute_process(COMMAND "${DEW_PYTHON}" -c "import platform, sys; print('%d.%d' % sys.version_info[:2], platform.machine())"
    OUTPUT_VARIABLE python OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT python STREQUAL "3.11 x86_64")
    message(FATAL_ERROR "${option}=ON: the pinned Python packages are for Python 3.11 on x86_64, and ${DEW_PYTHON} is '${python}': name another one with -DDEW_PYTHON=PATH, or set ${option}=OFF.")
  endif()
endfunction()
