// SPDX-License-Identifier: BSL-1.0
// The laws of transforms, for every shipped transform and for a researcher's own.
#pragma once
#include "dew/testing/stage_laws.hpp"

namespace dew::testing {

/// Puts a transform (record → record, or → mask) to the laws and returns a sentence for each one that it breaks:
///
/// - *shapes*: every key that it promises, rows, dtype and device as in the record, or a boolean mask of the rows that it selects from;
///   indices name rows that there are, reals are finite; also for an *empty event* and *one hit*;
/// - *float and double* agree; *every device* agrees with the CPU;
/// - *order*: hits and edges in another order do the same to the result and nothing else;
/// - *determinism*: equal contexts give equal bits, whatever LibTorch's global generator is;
/// - *input*: it leaves its input as it was;
/// - *may read*: it runs without what it only may read;
/// - *bare hits*: it reads nothing of the truth, unless it is `labelled_only` or the options say `needs_truth`.
template <class P> requires Transform<P>
std::vector<std::string> transform_law_violations(P const& transform, LawOptions const& options = {}) {
  Violations violations(options.sample.seed);
  auto const run = [&](auto const& event, Context const& context) { return call(transform, event, context); };
  detail::stage_laws<P>(violations, sample_event<detail::Wanted<P>>(options.sample), run, options);
  return std::move(violations).take();
}

/// Runs a transform through `transform_law_violations` and fails the running doctest test case for each law that it breaks.
template <class P>
void check_transform_laws(P const& transform, LawOptions const& options = {}) {
  check_no_violations(P::name, transform_law_violations(transform, options));
}

}  // namespace dew::testing
