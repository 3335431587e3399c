// SPDX-License-Identifier: BSL-1.0
// How a failed check prints a vector: each element as doctest prints it, {?} for what has no text. LibTorch declares << for all vectors, even
// those of types that have none, and without this a check that compares such vectors would not compile.
#pragma once
#include <doctest/doctest.h>

#include <vector>

namespace doctest {

template <class T, class A>
struct StringMaker<std::vector<T, A>> {
  static String convert(std::vector<T, A> const& values) {
    String text = "[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? String() : String(", ")) + toString(static_cast<T>(values[i]));
    return text + "]";
  }
};

}  // namespace doctest
