// SPDX-License-Identifier: BSL-1.0
// doctest's main(). Both macros: the precompiled header has included doctest once already.
#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
