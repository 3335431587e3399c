// SPDX-License-Identifier: BSL-1.0
// A string as a template argument.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string_view>

namespace dew {

/// `Text` lets names be template arguments: `named<"coarse">(…)`, `Key<"beta", …>`.
template <std::size_t N>
struct Text {
  char chars[N]{};
  constexpr Text(char const (&s)[N]) { std::copy_n(s, N, chars); }  // NOLINT(google-explicit-constructor): a literal is the argument
  constexpr std::string_view view() const { return {chars, N - 1}; }
  constexpr operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
};

}  // namespace dew
