// SPDX-License-Identifier: BSL-1.0
// The quotient that figures are made of.
#pragma once
#include <limits>

namespace dew::detail {

/// part / whole, NaN where there is no whole.
inline double ratio(double part, double whole) { return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN(); }

}  // namespace dew::detail
