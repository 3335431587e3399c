// SPDX-License-Identifier: BSL-1.0
// Where in a pipeline a metric looks, and metrics measured on one event.
#pragma once
#include "dew/metric/summary.hpp"
#include "dew/pipeline/trained.hpp"

namespace dew {

template <class Metric, class Key> struct this_metric_reads_a_key_that_no_stage_and_no_source_writes;
template <class Loss, class Stage, class Key> struct this_loss_reads_a_key_that_is_not_there_behind_the_stage_it_trains;

namespace detail {
/// The number of stages before which metric M looks: behind the last stage that writes one of its keys (0: it looks at the source's record).
template <class M, class... S>
constexpr std::size_t metric_place(Pipeline<S...> const*) {
  std::size_t place = 0, i = 0;
  auto const look = [&]<class P>(P const*) {
    ++i;
    if (IntersectionOf<ReadsOf<M>, WritesOf<P>>::size > 0) place = i;
    if constexpr (BringsTruth<P>)
      if (IntersectionOf<ReadsOf<M>, WritesOf<TruthOf<P>>>::size > 0) place = i;
  };
  (look(static_cast<S const*>(nullptr)), ...);
  return place;
}
template <class P, class M> inline constexpr std::size_t place_of = metric_place<M>(static_cast<P const*>(nullptr));

template <class M, class Available, class... K> constexpr bool demand_metric_keys(Keys<K...>) {
  (
      [] {
        if constexpr (!Available::template has<K>) {
          this_metric_reads_a_key_that_no_stage_and_no_source_writes<M, K> sentence;
          (void)sentence;
        }
      }(),
      ...);
  return true;
}
template <class L, class Stage, class Available, class... K> constexpr bool demand_loss_keys(Keys<K...>) {
  (
      [] {
        if constexpr (!Available::template has<K>) {
          this_loss_reads_a_key_that_is_not_there_behind_the_stage_it_trains<L, Stage, K> sentence;
          (void)sentence;
        }
      }(),
      ...);
  return true;
}
}  // namespace detail

/// Runs stages [from, to) on a record in evaluation mode and adds the figures of every metric whose place is behind one of them: a metric looks at the
/// record right behind the last stage that writes one of its keys, before any later cut. Figures are added as `metric.figure`.
template <std::size_t from, std::size_t to, class P, class R, class... M>
void run_and_measure(Trained<P> const& trained, R const& record, Context const& context, std::tuple<M...> const& metrics,
                     Summary& summary) {
  auto const measure_here = [&]<class One>(One const& metric) {
    if constexpr (detail::place_of<P, One> == from) {
      static_assert(detail::demand_metric_keys<One, typename R::KeySet>(ReadsOf<One>{}));
      for (auto const& [figure, value] : call(metric, record, context)) summary.add(fmt::format("{}.{}", One::name, figure), value);
    }
  };
  std::apply([&](auto const&... m) { (measure_here(m), ...); }, metrics);
  if constexpr (from < to) run_and_measure<from + 1, to>(trained, trained.template step<from>(record, context), context, metrics, summary);
}

/// The figures of one event for the whole pipeline, added to `summary`. Truth must be known.
template <class P, class R, class... M>
void measure(Trained<P> const& trained, R const& labelled, std::int64_t event, std::tuple<M...> const& metrics, Summary& summary) {
  at::NoGradGuard no_grad;
  Context const context{.training = false, .device = trained.device(), .epoch = 0, .event = event, .seed = trained.seed()};
  run_and_measure<0, P::size>(trained, Trained<P>::start(labelled.to(trained.device())), context, metrics, summary);
}

}  // namespace dew
