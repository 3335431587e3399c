// SPDX-License-Identifier: BSL-1.0
// A folder of its own for a test, removed at the end of the scope.
#pragma once
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace dew::test {

class TempDir {
 public:
  TempDir() : path_(std::filesystem::temp_directory_path() / ("dew-test-" + std::to_string(::getpid()) + "-" + std::to_string(next()))) {
    std::filesystem::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(TempDir const&) = delete;
  TempDir& operator=(TempDir const&) = delete;

  std::filesystem::path const& path() const { return path_; }
  std::filesystem::path operator/(std::string const& name) const { return path_ / name; }

 private:
  static int next() {
    static std::atomic<int> count = 0;
    return count++;
  }
  std::filesystem::path path_;
};

}  // namespace dew::test
