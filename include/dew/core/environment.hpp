// SPDX-License-Identifier: BSL-1.0
// The environment of a process, so that tests can put another in its place.
#pragma once
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

namespace dew {

/// The value of an environment variable; nothing where it is not set. Tests pass a function of their own.
using Environment = std::function<std::optional<std::string>(std::string const& name)>;

/// This process's environment.
inline Environment process_environment() {
  return [](std::string const& name) {
    char const* const value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

}  // namespace dew
