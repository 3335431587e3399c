// SPDX-License-Identifier: BSL-1.0
// One of two translation units that include everything; what is defined in both without being inline does not link.
#include "all_headers.hpp"

std::string_view version_in_unit_a() { return dew::version; }
