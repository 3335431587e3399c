// SPDX-License-Identifier: BSL-1.0
// What is being trained, as text: a checkpoint carries it, and a training that is another one is refused with the differences.
#pragma once
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/event/ranges.hpp"
#include "dew/pipeline/trained.hpp"
#include "dew/train/fit.hpp"

namespace dew {

/// A training in words. What decides the weights is in it; where and how fast it runs (device, threads, caches) and where its events lie is not.
struct PlanText {
  using Lines = std::vector<std::pair<std::string, std::string>>;
  Lines types;    ///< fixed when the program is compiled: pipeline, plan, source, metrics
  Lines options;  ///< every option by path, and the events, the seed and the time budget

  nlohmann::ordered_json json() const {
    auto const object = [](Lines const& lines) {
      auto out = nlohmann::ordered_json::object();
      for (auto const& [name, text] : lines) out[name] = text;
      return out;
    };
    return {{"types", object(types)}, {"options", object(options)}};
  }
  static PlanText from(nlohmann::ordered_json const& json) {
    auto const lines = [](nlohmann::ordered_json const& object) {
      Lines out;
      for (auto const& [name, text] : object.items()) out.emplace_back(name, text.get<std::string>());
      return out;
    };
    return {lines(json.at("types")), lines(json.at("options"))};
  }
  bool operator==(PlanText const&) const = default;
};

/// One line for each name whose text differs: "  dbscan.eps: 0.3 there, 0.4 here".
inline std::string differences(PlanText::Lines const& there, PlanText::Lines const& here) {
  auto const find = [](PlanText::Lines const& lines, std::string const& name) {
    for (auto const& [other, text] : lines)
      if (other == name) return text;
    return std::string("unknown");
  };
  std::string text;
  for (auto const& [name, value] : here)
    if (auto const other = find(there, name); other != value) text += fmt::format("\n  {}: {} there, {} here", name, other, value);
  for (auto const& [name, value] : there)
    if (find(here, name) == "unknown") text += fmt::format("\n  {}: {} there, unknown here", name, value);
  return text;
}

/// Throws `Error` (input) that spells out the differences between two trainings, if there are any: those of their types, or else those of their
/// options. `where` names the checkpoint.
inline void refuse_other_plan(PlanText const& there, PlanText const& here, std::string const& where) {
  auto text = differences(there.types, here.types);
  if (text.empty()) text = differences(there.options, here.options);
  check(text.empty(), ErrorKind::input, "{}: is of another training:{}", where, text);
}

namespace detail {
template <class S> std::string stage_text() {
  using Policy = typename PolicyOf<S>::type;
  return S::name == Policy::name ? std::string(S::name) : fmt::format("{} = {}", S::name, Policy::name);
}
inline std::string listed(std::vector<std::string> const& names, std::string_view between = ", ") {
  return names.empty() ? std::string("none") : fmt::format("{}", fmt::join(names, between));
}
template <class P, class... Sel, class... L> std::string part_text(Fit<Selectors<Sel...>, Sum<L...>> const&) {
  return fmt::format("fit {} to {}", listed({std::string(P::names[P::template index<Sel>()])...}, " and "),
                     listed({std::string(L::name)...}, " + "));
}
template <class P, class Sel, class Grid> std::string part_text(Scan<Sel, Grid> const&) {
  return fmt::format("scan {}", P::names[P::template index<Sel>()]);
}
}  // namespace detail

/// The part of a training's text that its types say.
template <class... S, class Source, class... M, class... Part>
PlanText::Lines plan_types(Pipeline<S...> const&, Source const&, std::tuple<M...> const&, Part const&... parts) {
  return {{"pipeline", detail::listed({detail::stage_text<S>()...})},
          {"plan", detail::listed({detail::part_text<Pipeline<S...>>(parts)...})},
          {"source", std::string(Source::name)},
          {"metrics", detail::listed({std::string(M::name)...})}};
}

/// What decides a training beside its parts.
struct TrainedOn {
  std::vector<std::int64_t> const &train, &validate;  ///< event numbers
  std::uint64_t seed;
  double minutes;
};

/// A training's whole text. A path that stands there already gets a number: two parts may be of one stage.
template <class P, class Source, class... M, class... Part>
PlanText plan_text(P pipeline, Source source, std::tuple<M...> metrics, TrainedOn const& on, Part... parts) {
  PlanText text{plan_types(pipeline, source, metrics, parts...), {}};
  auto const known = [&](std::string const& name) {
    return std::any_of(text.options.begin(), text.options.end(), [&](auto const& line) { return line.first == name; });
  };
  auto const add = [&](auto&& fill) {
    OptionSet set;
    fill(set);
    for (auto const& e : set.entries()) {
      if (e.path.ends_with(".events")) continue;  // where they lie
      auto name = e.path;
      for (int number = 2; known(name); ++number) name = fmt::format("{} ({})", e.path, number);
      text.options.emplace_back(name, e.get());
    }
  };
  add([&](OptionSet& set) { add_options(set, pipeline); });
  (add([&](OptionSet& set) { add_plan_options<P>(set, parts); }), ...);
  add([&](OptionSet& set) { add_options(set, std::string(Source::name), source); });
  std::apply(
      [&](auto&... m) { (add([&](OptionSet& set) { add_options(set, std::string(std::remove_cvref_t<decltype(m)>::name), m); }), ...); },
      metrics);
  text.options.insert(text.options.end(), {{"train", ranges_text(on.train)},
                                           {"validate", ranges_text(on.validate)},
                                           {"seed", std::to_string(on.seed)},
                                           {"minutes", to_text(on.minutes)}});
  return text;
}

}  // namespace dew
