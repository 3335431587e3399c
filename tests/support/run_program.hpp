// SPDX-License-Identifier: BSL-1.0
// Runs a program of dew's in the test's own process, and keeps what it says.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "dew/core/file.hpp"
#include "support/temp_dir.hpp"

namespace dew::test {

struct ProgramResult {
  int status;
  std::string out, err;
};

/// Calls `app_run(argc, argv)` with a program's name and arguments, its two output streams in files.
template <class Run>
ProgramResult run_program(std::string const& name, std::vector<std::string> const& arguments, Run const& app_run) {
  TempDir const folder;
  auto const out = folder / "out", err = folder / "err";
  std::fflush(stdout), std::fflush(stderr);
  int const old_out = dup(1), old_err = dup(2);
  auto* o = std::freopen(out.c_str(), "w", stdout);
  auto* e = std::freopen(err.c_str(), "w", stderr);
  REQUIRE((o && e));
  std::vector<char const*> argv{name.c_str()};
  for (auto const& a : arguments) argv.push_back(a.c_str());
  int const status = app_run(int(argv.size()), argv.data());
  std::fflush(stdout), std::fflush(stderr);
  dup2(old_out, 1), dup2(old_err, 2);
  close(old_out), close(old_err);
  return {status, read_file(out), read_file(err)};
}

}  // namespace dew::test
