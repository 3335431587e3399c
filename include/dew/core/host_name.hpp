// SPDX-License-Identifier: BSL-1.0
// The name of this machine, for messages and records.
#pragma once
#include <unistd.h>

#include <array>
#include <string>

namespace dew {

/// This machine's name in its network, as the system says it; of a longer one than 255 characters its beginning.
inline std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace dew
