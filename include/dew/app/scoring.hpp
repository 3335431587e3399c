// SPDX-License-Identifier: BSL-1.0
// A program's score: events measured, shared among processes, averaged, and what of it is shown.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "dew/app/each_event.hpp"
#include "dew/app/program.hpp"
#include "dew/metric/summary.hpp"
#include "dew/train/measure.hpp"
#include "dew/train/shard.hpp"
#include "dew/train/shared_figures.hpp"

namespace dew {

/// The figures of events, which the program's processes share; every process gets all. One that is alone ends early when `stop` says so.
template <class A, class P, class... M>
Summary score(
    A const& app, Trained<P> const& trained, std::vector<std::int64_t> const& ids, bool quiet, std::tuple<M...> const& metrics,
    std::function<bool()> const& stop = [] { return false; }) {
  auto& group = *app.processes;
  std::vector<Figures> figures(ids.size());
  auto place = std::size_t(group.rank());
  each_event(Shard{group.rank(), group.size()}.of(ids), "scoring", quiet, [&](std::int64_t id) {
    if (group.alone() && stop()) return false;
    Summary event;
    measure(trained, app.source.labelled(id), id, metrics, event);
    figures[place] = figures_in(event);
    place += std::size_t(group.size());
    return true;
  });
  share_figures(group, figures);
  Summary summary;
  for (auto const& event : figures) summary.add(event);
  return summary;
}

/// The name of the figure that says most, of each metric of the program that tells one.
template <class A> std::vector<std::string> first_headlines(A const& app) {
  std::vector<std::string> names;
  auto const add = [&]<class M>(M const& metric) {
    if constexpr (requires { metric.headlines(); })
      if (auto const figures = metric.headlines(); !figures.empty()) names.push_back(fmt::format("{}.{}", M::name, figures.front()));
  };
  std::apply([&](auto const&... m) { (add(m), ...); }, app.metrics);
  return names;
}

/// The figures that say most: of each metric of the program its `headlines()`, or all where it names none.
template <class A> Summary in_short(A const& app, Summary const& summary) {
  std::vector<std::string> names;
  auto const add = [&]<class M>(M const& metric) {
    if constexpr (requires { metric.headlines(); })
      for (auto const& figure : metric.headlines()) names.push_back(fmt::format("{}.{}", M::name, figure));
    else
      for (auto const& name : summary.names())
        if (name.starts_with(fmt::format("{}.", M::name))) names.push_back(name);
  };
  std::apply([&](auto const&... m) { (add(m), ...); }, app.metrics);
  return summary.only(names);
}

/// What `metrics.json` and `--json` hold.
template <class A> nlohmann::ordered_json score_report(A const& app, Summary const& summary, std::size_t events) {
  nlohmann::ordered_json json = summary.json();
  json["events"] = events;
  json["version"] = std::string(version);
  json["seed"] = app.own.seed;
  return json;
}

}  // namespace dew
