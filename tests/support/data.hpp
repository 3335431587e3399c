// SPDX-License-Identifier: BSL-1.0
// Recorded events for tests: where they are, and how a test says that it is skipped without them.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string_view>

namespace dew::test {

/// `name` below the folder in the environment variable DEW_TEST_DATA. Where it is absent, prints a line by which ctest counts the test
/// case as skipped, and is empty: `auto folder = test_data("trackml/hipt"); if (!folder) return;`
inline std::optional<std::filesystem::path> test_data(std::string_view name) {
  char const* root = std::getenv("DEW_TEST_DATA");
  if (root != nullptr) {
    auto path = std::filesystem::path(root) / name;
    if (std::filesystem::exists(path)) return path;
  }
  std::cout << "[skipped] no " << name << " in the folder that DEW_TEST_DATA names\n";
  return std::nullopt;
}

}  // namespace dew::test
