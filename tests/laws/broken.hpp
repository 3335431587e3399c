// SPDX-License-Identifier: BSL-1.0
// How tests ask whether a broken policy was found out.
#pragma once
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

namespace dew::test {

/// Whether a law is among the violations; prints them where it is not.
inline bool breaks(std::vector<std::string> const& violations, std::string const& law) {
  bool const found = std::any_of(violations.begin(), violations.end(), [&](auto const& v) { return v.starts_with(law + ":"); });
  if (!found)
    for (auto const& violation : violations) std::cout << "  " << violation << "\n";
  return found;
}

}  // namespace dew::test
