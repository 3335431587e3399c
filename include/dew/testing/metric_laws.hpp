// SPDX-License-Identifier: BSL-1.0
// The laws of metrics, for every shipped metric and for a researcher's own.
#pragma once
#include "dew/testing/laws.hpp"

namespace dew::testing {

namespace detail {
inline std::string names(Figures const& figures) {
  std::string all;
  for (auto const& [name, value] : figures) all += name + " ";
  return all;
}

/// What is different between two lists of figures, "" for nothing. NaN equals NaN.
inline std::string difference(Figures const& got, Figures const& expected, double tolerance) {
  if (names(got) != names(expected)) return "other figures or another order";
  for (std::size_t i = 0; i < got.size(); ++i) {
    double const a = got[i].second, b = expected[i].second;
    if (!(std::isnan(a) && std::isnan(b)) && !(std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b))))
      return fmt::format("{} is {}, expected {}", got[i].first, a, b);
  }
  return "";
}

/// The event with other names for its labels: label l becomes 1000 − 7·l.
template <class R>
R with_other_labels(R const& event) {
  auto const label = event[key::label];
  return R(event.with(key::label = at::where(label >= 0, 1000 - 7 * label, label)));
}

/// The event with other values for unknown hits: in no track, with pt, and other scores of their edges where `edges` says so.
template <class R>
R with_unknown_hits_changed(R const& event, bool edges) {
  auto const unknown = event[key::particle_id] < 0;
  auto const ends = event[key::edge_index];
  auto const touched = at::logical_or(unknown.index_select(0, ends[0]), unknown.index_select(0, ends[1]));
  auto const score = event[key::edge_score], label = event[key::label], pt = event[key::pt];
  return R(event.with(key::label = at::where(unknown, at::full_like(label, -1), label), key::pt = at::where(unknown, pt + 5, pt),
                      key::edge_score = edges ? at::where(touched, 1 - score, score) : score));
}
}  // namespace detail

/// Puts a metric to the laws and returns a sentence for each one that it breaks:
///
/// - *figures*: there are some, each with a name of its own, none infinite;
/// - *same figures*: in the same order for every event, also for an *empty event* and *one hit*; undefined ones are NaN;
/// - *float and double* agree, where no cut is close; *every device* agrees with the CPU;
/// - *order*: hits and edges in another order change nothing;
/// - *labels*: tracks by other names change nothing, where it reads labels;
/// - *unknown hits* (id −1) count nowhere, where it reads particle ids: their labels and pt change nothing, nor do the scores of
///   edges that touch them where it reads the edges' truth;
/// - *determinism*: the same bits in every call, whatever LibTorch's global generator is;
/// - *input*: it leaves its input as it was.
template <class M> requires Metric<M>
std::vector<std::string> metric_law_violations(M const& metric, LawOptions const& options = {}) {
  Violations violations(options.sample.seed);
  auto const whole = sample_event<detail::Wanted<M>>(options.sample);
  using Event = std::remove_const_t<decltype(whole)>;
  auto const figures = [&](Event const& event) { return Figures(call(metric, event, context_for(event))); };

  violations.law("figures", [&]() -> std::string {
    auto const found = figures(whole);
    if (found.empty()) return "there are none";
    std::vector<std::string> seen;
    for (auto const& [name, value] : found) {
      if (name.empty()) return "a figure has no name";
      if (std::isinf(value)) return name + " is infinite";
      seen.push_back(name);
    }
    std::sort(seen.begin(), seen.end());
    auto const twice = std::adjacent_find(seen.begin(), seen.end());
    return twice == seen.end() ? "" : "two are named " + *twice;
  });
  auto const alike = [&](Event const& event) -> std::string {
    auto const found = figures(event);
    if (detail::names(found) != detail::names(figures(whole))) return "other figures or another order than in the sample event";
    for (auto const& [name, value] : found)
      if (std::isinf(value)) return name + " is infinite";
    return "";
  };
  violations.law("same figures", [&] {
    auto other = options.sample;
    other.seed += 1;
    other.particles += 3;
    return alike(sample_event<detail::Wanted<M>>(other));
  });
  violations.law("empty event", [&] { return alike(without_hits(whole)); });
  violations.law("one hit", [&] { return alike(with_one_hit(whole, detail::row_of_a_track(whole[key::particle_id]))); });
  auto const compare = [&](Event const& event, double tolerance) { return detail::difference(figures(event), figures(whole), tolerance); };
  violations.law("float and double", [&] { return compare(whole.to(at::kFloat), options.float_tolerance); });
  for (auto const device : options.devices)
    violations.law("device " + device.str(), [&] { return compare(whole.to(device), options.float_tolerance); });
  violations.law("order", [&] {
    auto const order = random_order(whole.template rows<Hits>(), whole.template rows<Edges>(), options.sample.seed);
    return compare(reordered(whole, order), options.tolerance);
  });
  if constexpr (detail::Wanted<M>::template has<Label>)
    violations.law("labels", [&] { return compare(detail::with_other_labels(whole), options.tolerance); });
  if constexpr (detail::Wanted<M>::template has<ParticleId>)
    violations.law("unknown hits", [&] {
      return compare(detail::with_unknown_hits_changed(whole, detail::Wanted<M>::template has<EdgeTruth>), options.tolerance);
    });
  violations.law("determinism", [&] {
    std::vector<Figures> drawn;
    for (std::uint64_t const global : {1, 2}) {
      GlobalSeed const seeded(global);
      drawn.push_back(figures(whole));
    }
    return detail::difference(drawn[0], drawn[1], 0);
  });
  violations.law("input", [&] {
    auto const before = detail::copies(whole);
    figures(whole);
    return detail::changed(whole, before);
  });
  return std::move(violations).take();
}

/// Runs a metric through `metric_law_violations` and fails the running doctest test case for each law that it breaks.
template <class M>
void check_metric_laws(M const& metric, LawOptions const& options = {}) {
  check_no_violations(M::name, metric_law_violations(metric, options));
}

}  // namespace dew::testing
