// SPDX-License-Identifier: BSL-1.0
// Summary: figures of many events, averaged.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/options.hpp"
#include "dew/core/policy.hpp"

namespace dew {

/// Collects the figures of events by name and says their mean, error and how many events had none.
///
/// The mean is over events in which a figure is defined (is not NaN); its error is the sample standard deviation / √events, NaN for fewer
/// than two. Figures are kept in the order in which they first came. Sums run in the order of the events: same order, same bits.
/// 8 bytes a figure and event.
class Summary {
 public:
  /// Adds one event's value of a figure; NaN is "undefined for this event", which is counted but does not enter the mean.
  void add(std::string const& name, double value) {
    auto const [at, is_new] = place_.try_emplace(name, figures_.size());
    if (is_new) figures_.push_back({name, {}, 0});
    auto& figure = figures_[at->second];
    if (std::isnan(value)) ++figure.left_out;
    else figure.values.push_back(value);
  }
  /// Adds one event's figures, with `prefix` before each name: `add(TrackingMetrics{}(event), "tracking.")`.
  void add(Figures const& figures, std::string_view prefix = "") {
    for (auto const& [name, value] : figures) add(std::string(prefix) + name, value);
  }

  bool empty() const { return figures_.empty(); }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (auto const& figure : figures_) out.push_back(figure.name);
    return out;
  }
  bool has(std::string const& name) const { return place_.contains(name); }

  /// The mean of a figure by its full name, such as "tracking.pt0.9.double_majority"; NaN if it was defined in no event. Another name is an
  /// error that names the nearest one.
  double mean(std::string const& name) const { return mean(at(name)); }
  /// The standard error of that mean.
  double error(std::string const& name) const { return error(at(name)); }
  /// The number of events in which it was defined.
  std::int64_t events(std::string const& name) const { return std::int64_t(at(name).values.size()); }
  /// The number of events in which it was not.
  std::int64_t left_out(std::string const& name) const { return at(name).left_out; }
  /// Its values in these events, in their order.
  std::vector<double> const& values(std::string const& name) const { return at(name).values; }

  /// The figures of these names, as far as they are here, in the order of the names.
  Summary only(std::vector<std::string> const& names) const {
    Summary out;
    for (auto const& name : names)
      if (auto const found = place_.find(name); found != place_.end() && out.place_.try_emplace(name, out.figures_.size()).second)
        out.figures_.push_back(figures_[found->second]);
    return out;
  }

  /// An aligned table. Names are cut at their first and last dot: `tracking.pt0.9.double_majority` stands under "tracking", in the column
  /// "pt0.9" and the row "double majority". A star marks figures that were undefined for some events.
  std::string text() const {
    std::string text;
    bool stars = false;
    for (std::size_t begin = 0; begin < figures_.size();) {
      auto end = begin;
      while (end < figures_.size() && metric_of(figures_[end].name) == metric_of(figures_[begin].name)) ++end;
      text += metric_text(begin, end, stars);
      begin = end;
    }
    if (stars) text += "* undefined for some events, which are left out\n";
    return text;
  }

  /// One flat object: `name` the mean (null if undefined), `name.error` its error where there is one, `name.left_out` where an event was.
  nlohmann::ordered_json json() const {
    auto const number = [](double value) { return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr); };
    nlohmann::ordered_json out = nlohmann::ordered_json::object();
    for (auto const& figure : figures_) {
      out[figure.name] = number(mean(figure));
      if (auto const e = error(figure); std::isfinite(e)) out[figure.name + ".error"] = e;
      if (figure.left_out > 0) out[figure.name + ".left_out"] = figure.left_out;
    }
    return out;
  }

 private:
  struct Figure {
    std::string name;
    std::vector<double> values;
    std::int64_t left_out = 0;
  };

  Figure const& at(std::string const& name) const {
    auto const found = place_.find(name);
    if (found == place_.end()) {
      check(!figures_.empty(), ErrorKind::usage, "there is no figure '{}': nothing was measured", name);
      fail(ErrorKind::usage, "there is no figure '{}'; the nearest is '{}'", name, nearest_name(name, names()));
    }
    return figures_[found->second];
  }
  static double mean(Figure const& figure) {
    if (figure.values.empty()) return std::numeric_limits<double>::quiet_NaN();
    double sum = 0;
    for (auto const value : figure.values) sum += value;
    return sum / double(figure.values.size());
  }
  static double error(Figure const& figure) {
    auto const n = double(figure.values.size());
    if (n < 2) return std::numeric_limits<double>::quiet_NaN();
    double const m = mean(figure);
    double sum = 0;
    for (auto const value : figure.values) sum += (value - m) * (value - m);
    return std::sqrt(sum / (n - 1) / n);
  }

  // ---- the table ------------------------------------------------------------------------------------------------------------------
  static std::string_view metric_of(std::string_view name) { return name.substr(0, std::min(name.find('.'), name.size())); }
  /// What stands between the first and the last dot: the column.
  static std::string_view column_of(std::string_view name) {
    auto const first = name.find('.'), last = name.rfind('.');
    return first == last ? std::string_view() : name.substr(first + 1, last - first - 1);
  }
  static std::string row_of(std::string_view name) {
    auto row = std::string(name.substr(name.rfind('.') + 1));
    std::replace(row.begin(), row.end(), '_', ' ');
    return row;
  }
  /// Columns of one kind stand in one block: "pt0.9" beside "pt0.5", "eta_0_1" beside "eta_1_2".
  static std::string_view kind_of(std::string_view column) {
    return column.substr(0, std::min(column.find_first_of("0123456789"), column.size()));
  }

  static std::string number(double value) {
    if (std::isnan(value)) return "undefined";
    return std::abs(value) >= 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.4f}", value);
  }
  static std::string value_text(Figure const& figure, bool& stars) {
    auto text = number(mean(figure));
    if (auto const e = error(figure); std::isfinite(e)) text += " ± " + number(e);
    if (figure.left_out > 0) stars = true, text += " *";
    return text;
  }

  std::string metric_text(std::size_t begin, std::size_t end, bool& stars) const {
    constexpr std::size_t columns_a_block = 6;
    std::vector<std::vector<std::string>> blocks;  // the columns of each
    std::vector<std::string> seen;
    for (auto i = begin; i < end; ++i) {
      auto const column = std::string(column_of(figures_[i].name));
      if (std::find(seen.begin(), seen.end(), column) != seen.end()) continue;
      seen.push_back(column);
      if (blocks.empty() || blocks.back().size() == columns_a_block || kind_of(blocks.back().front()) != kind_of(column))
        blocks.emplace_back();
      blocks.back().push_back(column);
    }
    std::string text = std::string(metric_of(figures_[begin].name)) + "\n";
    for (auto const& columns : blocks) {
      std::vector<std::string> rows;
      std::map<std::pair<std::string, std::string>, std::string> cells;
      for (auto i = begin; i < end; ++i) {
        auto const column = std::string(column_of(figures_[i].name));
        if (std::find(columns.begin(), columns.end(), column) == columns.end()) continue;
        auto const row = row_of(figures_[i].name);
        if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
        cells[{row, column}] = value_text(figures_[i], stars);
      }
      if (columns != std::vector<std::string>{""}) text += line("", columns);
      for (auto const& row : rows) {
        std::vector<std::string> values;
        for (auto const& column : columns) values.push_back(cells[{row, column}]);
        text += line(row, values);
      }
    }
    return text;
  }
  static std::string line(std::string const& title, std::vector<std::string> const& cells) {
    auto text = fmt::format("  {:<28}", title);
    for (auto const& cell : cells) text += fmt::format(" {:<19}", cell);
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }

  std::vector<Figure> figures_;
  std::map<std::string, std::size_t> place_;
};

}  // namespace dew
