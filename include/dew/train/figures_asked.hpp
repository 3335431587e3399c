// SPDX-License-Identifier: BSL-1.0
// The figures by which a training decides: noticed before its first step where there are no such ones.
#pragma once
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "dew/core/options.hpp"
#include "dew/train/measure.hpp"

namespace dew {

/// Figures of metrics by full name, each with the option that names it.
class FiguresAsked {
 public:
  /// Adds one; an empty name asks for none. `known` are what it can be of: metrics as "tracking.", other names in full, which are then found.
  /// Throws `Error` (usage) for one of nothing known.
  void add(std::string option, std::string figure, std::vector<std::string> const& known) {
    if (figure.empty() || std::find(known.begin(), known.end(), figure) != known.end()) return;
    auto const is_of = [&](std::string const& k) { return k.ends_with('.') && figure.starts_with(k); };
    check(std::any_of(known.begin(), known.end(), is_of), ErrorKind::usage, "{}: '{}' is no figure of {}", option, figure,
          known.empty() ? "anything that is measured there" : fmt::format("{}", fmt::join(known, ", ")));
    missing_.emplace_back(std::move(option), std::move(figure));
  }

  /// Whether some have not been found yet.
  bool missing() const { return !missing_.empty(); }
  /// Finds those that are among the names of an event's figures.
  void look_in(std::vector<std::string> const& names) {
    std::erase_if(missing_, [&](auto const& one) { return std::find(names.begin(), names.end(), one.second) != names.end(); });
  }
  /// Throws `Error` (usage) for the first that is not among them, with the nearest name and all of its metric.
  void demand(std::vector<std::string> names) const {
    if (missing_.empty()) return;
    auto const& [option, figure] = missing_.front();
    std::erase_if(names, [metric = figure.substr(0, figure.find('.') + 1)](auto const& name) { return !name.starts_with(metric); });
    check(!names.empty(), ErrorKind::usage, "{}: there is no figure '{}': its metric gives none", option, figure);
    fail(ErrorKind::usage, "{}: there is no figure '{}'; the nearest is '{}'; there are {}", option, figure, nearest_name(figure, names),
         fmt::join(names, ", "));
  }

 private:
  std::vector<std::pair<std::string, std::string>> missing_;
};

/// The full names of all figures that metrics give of an event, as the pipeline is now. Leaves LibTorch's random numbers as they were.
template <class P, class R, class... M>
std::vector<std::string> figure_names(Trained<P> const& trained, R const& labelled, std::int64_t event, std::tuple<M...> const& metrics) {
  GlobalSeed const seeded(trained.seed(), trained.device());
  Summary summary;
  measure(trained, labelled, event, metrics, summary);
  return summary.names();
}

}  // namespace dew
