// SPDX-License-Identifier: BSL-1.0
// The other translation unit, see two_units_link_a.cpp.
#include <doctest/doctest.h>

#include "all_headers.hpp"

std::string_view version_in_unit_a();

TEST_CASE("two translation units that include every header link") { CHECK(version_in_unit_a().data() == dew::version.data()); }
