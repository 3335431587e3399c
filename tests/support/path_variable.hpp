// SPDX-License-Identifier: BSL-1.0
// Where programs are looked for, for a scope.
#pragma once
#include <cstdlib>
#include <string>

namespace dew::test {

/// Sets PATH and puts it back.
class PathVariable {
 public:
  explicit PathVariable(std::string const& value) : before_(std::getenv("PATH")) { ::setenv("PATH", value.c_str(), 1); }
  ~PathVariable() { ::setenv("PATH", before_.c_str(), 1); }
  PathVariable(PathVariable const&) = delete;
  PathVariable& operator=(PathVariable const&) = delete;

 private:
  std::string before_;
};

}  // namespace dew::test
