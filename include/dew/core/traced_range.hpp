// SPDX-License-Identifier: BSL-1.0
// Names for a profiler's trace.
#pragma once
#include <ATen/record_function.h>

#include <string_view>

namespace dew {

/// A named range of a profiler's trace, as long as it lives; some 10 ns where nobody records. The name has to live as long.
class TracedRange {
 public:
  explicit TracedRange(std::string_view name) : range_(at::RecordScope::USER_SCOPE) {
    if (range_.isActive()) range_.before(name);
  }
  TracedRange(TracedRange const&) = delete;
  TracedRange& operator=(TracedRange const&) = delete;

 private:
  at::RecordFunction range_;
};

}  // namespace dew
