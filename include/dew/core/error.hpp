// SPDX-License-Identifier: BSL-1.0
// dew's one error type and its one check facility.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace dew {

/// Whose mistake an error is; decides the exit status of a program.
enum class ErrorKind {
  usage,     ///< a wrong flag, option or call: exit status 2
  input,     ///< bad data from outside (file, checkpoint): exit status 1
  internal,  ///< a broken promise between parts of a program, such as a tensor of the wrong shape: exit status 1
};

/// The exception that everything in dew throws.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string const& what) : std::runtime_error(what), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }
  int exit_status() const noexcept { return kind_ == ErrorKind::usage ? 2 : 1; }

 private:
  ErrorKind kind_;
};

/// Throws `Error` with a formatted message.
template <class... A>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<A...> format, A&&... arguments) {
  throw Error(kind, fmt::format(format, std::forward<A>(arguments)...));
}

/// Throws `Error` of kind `kind` unless `ok`. The message says what was expected and what came; it is formatted only on failure.
template <class... A>
void check(bool ok, ErrorKind kind, fmt::format_string<A...> format, A&&... arguments) {
  if (!ok) [[unlikely]]
    fail(kind, format, std::forward<A>(arguments)...);
}

/// The same for promises between parts of a program (`ErrorKind::internal`).
template <class... A>
void check(bool ok, fmt::format_string<A...> format, A&&... arguments) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::internal, format, std::forward<A>(arguments)...);
}

}  // namespace dew
