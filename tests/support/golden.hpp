// SPDX-License-Identifier: BSL-1.0
// Reference values for tests: files in the folder that the environment variable DEW_GOLDEN_DIR names.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "dew/core/safetensors.hpp"

namespace dew::test {

/// `name`.safetensors of the reference values. Where it is absent, prints a line by which ctest counts the test case as skipped,
/// and is empty.
inline auto golden(std::string const& name) {
  using File = decltype(read_safetensors(std::string()));
  char const* root = std::getenv("DEW_GOLDEN_DIR");
  if (!root) root = DEW_GOLDEN_DEFAULT;  // beside the source folder
  if (root != nullptr) {
    auto const path = std::filesystem::path(root) / (name + ".safetensors");
    if (std::filesystem::exists(path)) return std::optional<File>(read_safetensors(path.string()));
  }
  std::cout << "[skipped] no " << name << ".safetensors in the folder that DEW_GOLDEN_DIR names\n";
  return std::optional<File>();
}

}  // namespace dew::test
