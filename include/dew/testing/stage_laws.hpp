// SPDX-License-Identifier: BSL-1.0
// The laws that hold for every stage of a pipeline; the suites of graph builders, models, clusterers and transforms add their own.
#pragma once
#include "dew/testing/laws.hpp"

namespace dew::testing {

namespace detail {
/// What the truth alone knows; a stage that runs in a trained pipeline reads none of it.
using KnownOnlyWithTruth = UnionOf<TruthKeys, Keys<EdgeTruth>>;

template <class P, class R, class Result>
std::string wrong_result(R const& event, Result const& result) {
  if constexpr (DropsRows<P>) {
    auto const rows = event.template rows<typename P::Selects>();
    Tensor const mask = result;
    if (!mask.defined() || mask.scalar_type() != at::kBool || mask.dim() != 1 || mask.size(0) != rows)
      return fmt::format("expected a mask of {} rows, got {}", rows, shape_text(mask));
    if (mask.device() != event.device()) return "the mask is on another device";
    return "";
  } else {
    std::string wrong;
    [&]<class... K>(Keys<K...>) {
      ((Result::template has<K> && result[K{}].defined() ? void() : void(wrong = fmt::format("does not return '{}'", K::name))), ...);
    }(WritesOf<P>{});
    if (wrong.empty()) {  // merging checks rows, dtypes and devices
      // a key that decides how many edges there are replaces the event's own edges
      if constexpr (WritesOf<P>::template has<EdgeIndex>) event.template only<HitKeys>().merge(result);
      else event.merge(result);
      auto const n = event.template rows<Hits>();
      for (auto const& column : columns(result))
        if (column.points_into == Hits::name && column.values.numel() > 0 &&
            (column.values.min().template item<std::int64_t>() < 0 || column.values.max().template item<std::int64_t>() >= n))
          wrong = fmt::format("{} names rows that there are not: {} hits", column.name, n);
    }
    return wrong;
  }
}

template <class P, class Result>
Columns result_columns(Result const& result) {
  if constexpr (DropsRows<P>) {
    using Domain = typename P::Selects;
    return {{"the mask", std::string(Domain::name), std::string(Nowhere::name), Kind::boolean, 0, false, result}};
  } else return columns(result);
}

/// The laws of every stage. `run(record, context)` calls the policy on any record that holds what it reads.
template <class P, class Event, class Run>
void stage_laws(Violations& violations, Event const& whole, Run const& run, LawOptions const& options) {
  using Set = Wanted<P>;
  auto const result = [&](auto const& event, bool training = false, std::uint64_t seed = 7) {
    return result_columns<P>(run(event, context_for(event, training, seed)));
  };
  auto const shapes = [&](auto const& event) -> std::string {
    auto const got = run(event, context_for(event));
    if (auto wrong = wrong_result<P>(event, got); !wrong.empty()) return wrong;
    return not_finite(result_columns<P>(got));
  };
  auto const row = row_of_a_track(whole[key::particle_id]);

  violations.law("shapes", [&] { return shapes(whole); });
  violations.law("empty event", [&] { return shapes(without_hits(whole)); });
  violations.law("one hit", [&] { return shapes(with_one_hit(whole, row)); });
  violations.law("float and double", [&] {
    auto const narrow = whole.to(at::kFloat);
    auto const wrong = shapes(narrow);
    if (!wrong.empty()) return wrong;
    auto const got = result(narrow), expected = result(whole);
    if (!makes_edges(expected)) return difference(got, expected, options.float_tolerance);
    return difference("the set of edges", sorted_edges(got), sorted_edges(expected), options.float_tolerance);
  });
  for (auto const device : options.devices)
    violations.law("device " + device.str(), [&] {
      auto const wrong = shapes(whole.to(device));
      if (!wrong.empty()) return wrong;
      auto const got = result(whole.to(device)), expected = result(whole);
      if (!makes_edges(expected)) return difference(got, expected, options.float_tolerance);
      return difference("the set of edges", sorted_edges(got), sorted_edges(expected), options.float_tolerance);
    });
  violations.law("order", [&] {
    auto const order = random_order(whole.template rows<Hits>(), whole.template rows<Edges>(), options.sample.seed);
    return order_difference(result(reordered(whole, order)), result(whole), order, options.tolerance);
  });
  violations.law("determinism", [&]() -> std::string {
    std::vector<Columns> drawn;
    for (std::uint64_t const global : {1, 2}) {
      GlobalSeed const seeded(Learns<P> ? 1 : global);  // LibTorch's dropout knows no other generator; the framework seeds it
      drawn.push_back(result(whole, true));
    }
    if (auto const wrong = bit_difference(drawn[0], drawn[1]); !wrong.empty()) return wrong + " in two calls with equal contexts";
    GlobalSeed const seeded(3);
    auto const wrong = bit_difference(result(whole), result(whole));
    return wrong.empty() ? "" : wrong + " in two calls without training";
  });
  violations.law("input", [&] {
    auto const before = copies(whole);
    result(whole);
    return changed(whole, before);
  });
  if constexpr (MayReadOf<P>::size > 0)
    violations.law("may read", [&] {
      auto const least = whole.template only<UnionOf<HitKeys, DifferenceOf<SampleKeys, MayReadOf<P>>, ReadsOf<P>>>();
      auto const got = run(least, context_for(least));
      return wrong_result<P>(least, got);
    });
  if constexpr (!LabelledOnly<P>)
    if (!options.needs_truth)
      violations.law("bare hits", [&] {
        std::string truth;
        [&]<class... K>(Keys<K...>) {
          ((truth += (truth.empty() ? "" : ", ") + std::string(K::name)), ...);
        }(IntersectionOf<ReadsOf<P>, KnownOnlyWithTruth>{});
        if (!truth.empty()) return "reads what only the truth knows: " + truth;
        if constexpr (contains_all<DifferenceOf<UnionOf<SampleKeys, Set>, KnownOnlyWithTruth>, ReadsOf<P>>) {
          auto const bare = whole.template only<DifferenceOf<UnionOf<SampleKeys, Set>, KnownOnlyWithTruth>>();
          return wrong_result<P>(bare, run(bare, context_for(bare)));
        } else return truth;
      });
}

/// One thread and three give the same bits.
template <class P, class Event, class Run>
void thread_law(Violations& violations, Event const& whole, Run const& run) {
  violations.law("threads", [&] {
    std::vector<Columns> results;
    for (int const n : {1, 3}) {
      Threads const threads(n);
      results.push_back(result_columns<P>(run(whole, context_for(whole))));
    }
    return bit_difference(results[1], results[0]);
  });
}
}  // namespace detail

}  // namespace dew::testing
