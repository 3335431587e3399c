// SPDX-License-Identifier: BSL-1.0
// The laws of clusterers, for every shipped clusterer and for a researcher's own.
#pragma once
#include "dew/testing/stage_laws.hpp"

namespace dew::testing {

/// Puts a clusterer to the laws and returns a sentence for each one that it breaks:
///
/// - *shapes*: one label a hit, −1 for none, none below; also for an *empty event* and *one hit*;
/// - *float and double* give the same tracks up to the labels' names, where no distance is close to a cut; *every device* those of the CPU;
/// - *order*: hits and edges in another order rename labels, but move no hit from one track to another (there are no ties in the sample);
/// - *determinism* and *threads*: the same bits in every call, on any number of threads;
/// - *input*: it leaves its input as it was;
/// - *may read*: it runs without what it only may read; *bare hits*: it reads nothing of the truth;
/// - *scan*: all candidates at once, where it offers that, give what each gives alone.
template <class P> requires(Clusterer<P> && !Learns<P>)
std::vector<std::string> clusterer_law_violations(P const& clusterer, LawOptions const& options = {}) {
  Violations violations(options.sample.seed);
  auto const whole = sample_event<detail::Wanted<P>>(options.sample);
  auto const run = [&](auto const& event, Context const& context) { return call(clusterer, event, context); };
  detail::stage_laws<P>(violations, whole, run, options);
  detail::thread_law<P>(violations, whole, run);
  violations.law("shapes", [&] {
    return std::string((run(whole, context_for(whole))[key::label] < -1).any().template item<bool>() ? "a label is below -1" : "");
  });
  if constexpr (requires(InputOf<P> const& event) { clusterer.run_all(event, typename P::Scan{}.candidates()); })
    violations.law("scan", [&]() -> std::string {
      auto const candidates = typename P::Scan{}.candidates();
      auto const all = clusterer.run_all(InputOf<P>(whole), candidates);
      if (all.size() != candidates.size()) return fmt::format("gives {} results for {} candidates", all.size(), candidates.size());
      for (std::size_t i = 0; i < all.size(); ++i) {
        auto one = clusterer;
        one.options = candidates[i];
        auto const wrong =
            detail::difference(detail::columns(all[i]), detail::columns(call(one, whole, context_for(whole))), options.tolerance);
        if (!wrong.empty()) return fmt::format("candidate {}: {}", i, wrong);
      }
      return "";
    });
  return std::move(violations).take();
}

/// Runs a clusterer through `clusterer_law_violations` and fails the running doctest test case for each law that it breaks.
template <class P>
void check_clusterer_laws(P const& clusterer, LawOptions const& options = {}) {
  check_no_violations(P::name, clusterer_law_violations(clusterer, options));
}

}  // namespace dew::testing
