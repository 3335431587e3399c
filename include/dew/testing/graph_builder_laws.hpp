// SPDX-License-Identifier: BSL-1.0
// The laws of graph builders, for every shipped builder and for a researcher's own.
#pragma once
#include "dew/testing/stage_laws.hpp"

namespace dew::testing {

/// Puts a graph builder that learns nothing to the laws and returns a sentence for each one that it breaks:
///
/// - *shapes*: every key that it promises, one row an edge in all that it writes of edges; ends are rows of the hits that it read; reals
///   are finite; an *empty event* and *one hit* give no edge between different hits;
/// - *edges*: it finds some in the sample, else the other laws say nothing (`options.sample` chooses another);
/// - *float and double* give the same edges, where no cut is close; *every device* those of the CPU;
/// - *order*: hits in another order give the same set of edges, with the same features;
/// - *determinism* and *threads*: the same bits in every call, on any number of threads;
/// - *input*: it leaves its input as it was;
/// - *may read*: it runs without what it only may read; *bare hits*: it reads nothing of the truth;
/// - *truth*: the policy that it brings along writes one truth an edge.
template <class P> requires(GraphBuilder<P> && !Learns<P>)
std::vector<std::string> graph_builder_law_violations(P const& builder, LawOptions const& options = {}) {
  Violations violations(options.sample.seed);
  auto const whole = sample_event<detail::Wanted<P>>(options.sample);
  auto const run = [&](auto const& event, Context const& context) { return call(builder, event, context); };
  detail::stage_laws<P>(violations, whole, run, options);
  detail::thread_law<P>(violations, whole, run);
  auto const edges = [&](auto const& event) { return Tensor(run(event, context_for(event))[key::edge_index]); };
  violations.law("edges", [&] { return std::string(edges(whole).size(1) > 0 ? "" : "finds none in the sample event"); });
  violations.law("empty event", [&] { return std::string(edges(without_hits(whole)).size(1) == 0 ? "" : "gives edges"); });
  violations.law("one hit", [&] {
    auto const found = edges(with_one_hit(whole, detail::row_of_a_track(whole[key::particle_id])));
    return std::string((found[0] != found[1]).any().template item<bool>() ? "gives edges" : "");
  });
  if constexpr (BringsTruth<P>)
    violations.law("truth", [&] {
      auto const graph = whole.template only<UnionOf<HitKeys, TruthKeys>>().merge(run(whole, context_for(whole)));
      auto const truth = call(builder.truth(), graph, context_for(graph));
      auto const labelled = graph.merge(truth);
      static_assert(decltype(labelled)::template has<EdgeTruth>, "the truth that a graph builder brings along writes edge_truth");
      auto const ids = graph[key::particle_id];
      auto const ends = graph[key::edge_index];
      auto const one_particle =
          at::logical_and(ids.index_select(0, ends[0]) == ids.index_select(0, ends[1]), ids.index_select(0, ends[0]) > 0);
      auto const wrong = at::logical_and(labelled[key::edge_truth], at::logical_not(one_particle)).any().template item<bool>();
      return std::string(wrong ? "calls an edge true whose ends are not of one particle" : "");
    });
  return std::move(violations).take();
}

/// Runs a graph builder through `graph_builder_law_violations` and fails the running doctest test case for each law that it breaks.
template <class P>
void check_graph_builder_laws(P const& builder, LawOptions const& options = {}) {
  check_no_violations(P::name, graph_builder_law_violations(builder, options));
}

}  // namespace dew::testing
