// SPDX-License-Identifier: BSL-1.0
// The version of dew: this file is the only place where it stands.
#pragma once
#include <string_view>

#define DEW_VERSION_MAJOR 0
#define DEW_VERSION_MINOR 1
#define DEW_VERSION_PATCH 0

namespace dew {
/// The version as text; the three macros above and this line are read by the build as well.
inline constexpr std::string_view version = "0.1.0";
}  // namespace dew
