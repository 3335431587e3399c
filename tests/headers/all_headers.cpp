// SPDX-License-Identifier: BSL-1.0
// What clang-tidy reads: every header of dew. The file is made by CMake.
#include "all_headers.hpp"
