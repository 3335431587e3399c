// SPDX-License-Identifier: BSL-1.0
// StyleTable: tracks scored in every style of the field, side by side.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/metric/acorn_metrics.hpp"
#include "dew/metric/one_to_one_metrics.hpp"
#include "dew/metric/summary.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/metric/trackml_score.hpp"

namespace dew {

/// The standard deviation of k/n where each of n counts with probability p = k/n: √(p(1 − p)/n); NaN for n = 0. It is 0 at p = 0 and 1, where
/// it says too little.
inline double binomial_error(double p, double n) {
  return n > 0 ? std::sqrt(std::max(0., p * (1 - p)) / n) : std::numeric_limits<double>::quiet_NaN();
}

/// A metric for each style, with the same bins: the reference's, acorn's, one-to-one, TrackML's.
inline auto all_styles() {
  AcornMetrics::Options const bins{};
  return std::tuple(
      TrackingMetrics{
          {.pt_bins_gev = bins.pt_bins_gev, .eta_bins = bins.eta_bins, .hits_bins = bins.hits_bins, .radius_bins_mm = bins.radius_bins_mm}},
      AcornMetrics{}, OneToOneMetrics{}, TrackMlScore{});
}

/// One table of what the styles' metrics have found in one event or many, with a row for each style and criterion.
///
///     Summary summary;
///     measure(trained, event, id, all_styles(), summary);  // or: summary.add(AcornMetrics{}(record), "acorn.")
///     fmt::print("{}", StyleTable(summary).text());
///
/// Ratios of counts are pooled over events: Σ counts / Σ counts, each count being its figure times its denominator, which the metrics report
/// beside it. Their uncertainty is binomial (see `binomial_error`). Duplicates are pooled without one, for they are no share; the TrackML
/// score is the mean over events with its standard error. Shown are the styles that the summary holds: first all particles of each style, then
/// the bins of pt, |η|, hits and radius that any of them has, without the styles that are undefined in all of these. `pt_min_gev` says which
/// cut of `TrackingMetrics` stands for all its particles. Not a metric: it looks at figures, not at events.
class StyleTable {
 public:
  /// A figure over all events, its uncertainty (NaN: none) and the sum of its denominators (0: a mean over events).
  struct Entry {
    double value, error;
    std::int64_t of;
  };

  explicit StyleTable(Summary const& summary, double pt_min_gev = 0.9)
      : summary_(summary), cut_(fmt::format("pt{}.", pt_min_gev)), bins_(bins_of(summary)) {}

  /// The table, in blocks of lines that fit 150 columns. Empty when the summary holds no style.
  std::string text() const {
    std::string text;
    auto const all = rows();
    if (all.empty()) return text;
    text += line("all", {"particles", "efficiency", "fake", "duplicates"});
    for (auto const& row : all) text += line(row.title, {row.particles, cell(row.efficiency), cell(row.fake), cell(row.duplicates)});
    for (std::size_t begin = 0; begin < bins_.size();) {
      auto end = begin;
      while (end < bins_.size() && end - begin < columns_a_block && variable(bins_[end]) == variable(bins_[begin])) ++end;
      std::vector<std::string> heads;
      for (auto b = begin; b < end; ++b) heads.push_back(range(bins_[b]));
      text += line(head(variable(bins_[begin])), heads);
      for (auto const& row : all) {
        std::vector<std::string> cells;
        for (auto b = begin; b < end; ++b) cells.push_back(cell(efficiency(row.of, bins_[b])));
        if (std::any_of(cells.begin(), cells.end(), [](auto const& c) { return !c.empty() && c != "undefined"; }))
          text += line(row.title, cells);
      }
      begin = end;
    }
    return text += "efficiencies: of particles; reference lhc: of tracks; trackml score: of hits' weights\n";
  }

  /// One flat object: under the figure's full name its value over all events (null where undefined), `.error` its uncertainty and `.of` the sum
  /// of its denominators.
  nlohmann::ordered_json json() const {
    nlohmann::ordered_json out = nlohmann::ordered_json::object();
    auto const add = [&](std::string const& name, std::optional<Entry> const& entry) {
      if (!entry) return;
      out[name] = std::isfinite(entry->value) ? nlohmann::ordered_json(entry->value) : nlohmann::ordered_json(nullptr);
      if (std::isfinite(entry->error)) out[fmt::format("{}.error", name)] = entry->error;
      if (entry->of > 0) out[fmt::format("{}.of", name)] = entry->of;
    };
    for (auto const& style : styles) {
      add(full(style, "", style.efficiency), efficiency(style, ""));
      if (*style.fake) add(full(style, "", style.fake), fake(style));
      if (*style.duplicates) add(full(style, "", style.duplicates), duplicates(style));
      for (auto const& bin : bins_) add(full(style, bin, style.efficiency), efficiency(style, bin));
    }
    return out;
  }

  /// A ratio of counts over all events, by the full names of the figure and of its denominator; none where the summary does not hold it.
  /// Throws `Error` when a figure is undefined in an event in which its denominator is not 0.
  static std::optional<Entry> pooled(Summary const& summary, std::string const& figure, std::string const& of) {
    if (!summary.has(figure) || !summary.has(of)) return std::nullopt;
    auto const& ratios = summary.values(figure);
    auto counts = summary.values(of);
    std::erase(counts, 0.);
    check(counts.size() == ratios.size(), "{}: expected a value in the {} events in which {} is not 0, got {}", figure, counts.size(), of,
          ratios.size());
    double part = 0, whole = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) part += std::round(ratios[i] * counts[i]), whole += counts[i];
    auto const value = detail::ratio(part, whole);
    return Entry{value, binomial_error(value, whole), std::int64_t(whole)};
  }

 private:
  /// A criterion of a style, and where its figures stand: `metric.`, the bin, `inner`, the figure.
  struct Style {
    char const *metric, *title, *inner, *efficiency, *of, *fake, *duplicates;
    bool has_cuts;  // its figures of all particles stand under a cut on pt
  };
  static constexpr Style styles[] = {
      {"tracking", "reference perfect", "", "perfect", "particles", "fake_perfect", "", true},
      {"tracking", "reference double majority", "", "double_majority", "particles", "fake_double_majority", "", true},
      {"tracking", "reference lhc", "", "lhc", "tracks", "fake_lhc", "", true},
      {"acorn", "acorn atlas", "atlas.", "efficiency", "particles", "fake", "duplicates", false},
      {"acorn", "acorn one-way", "one_way.", "efficiency", "particles", "fake", "duplicates", false},
      {"acorn", "acorn two-way", "two_way.", "efficiency", "particles", "fake", "duplicates", false},
      {"one_to_one", "one-to-one perfect", "", "perfect", "particles", "", "", false},
      {"one_to_one", "one-to-one double majority", "", "double_majority", "particles", "fake_double_majority", "", false},
      {"one_to_one", "one-to-one lhc", "", "lhc", "particles", "", "", false},
      {"trackml_score", "trackml score", "", "score", "", "", "", false}};
  struct Row {
    Style of;
    std::string title, particles;
    std::optional<Entry> efficiency, fake, duplicates;
  };
  static constexpr std::size_t columns_a_block = 6;

  std::string full(Style const& style, std::string const& bin, std::string_view figure) const {
    return fmt::format("{}.{}{}{}", style.metric, bin.empty() && style.has_cuts ? cut_ : bin, style.inner, figure);
  }
  std::string count(Style const& style, std::string const& bin, std::string_view of) const {  // counts of all matchings stand once
    return fmt::format("{}.{}{}", style.metric, bin.empty() && style.has_cuts ? cut_ : bin, of);
  }
  std::optional<Entry> efficiency(Style const& style, std::string const& bin) const {
    auto const name = full(style, bin, style.efficiency);
    if (*style.of) return pooled(summary_, name, count(style, bin, style.of));
    if (!summary_.has(name)) return std::nullopt;
    return Entry{summary_.mean(name), summary_.error(name), 0};
  }
  std::optional<Entry> fake(Style const& style) const {
    return *style.fake ? pooled(summary_, full(style, "", style.fake), count(style, "", "tracks")) : std::nullopt;
  }
  std::optional<Entry> duplicates(Style const& style) const {
    if (!*style.duplicates) return std::nullopt;
    auto entry = pooled(summary_, full(style, "", style.duplicates), full(style, "", "found"));
    if (entry) entry->error = std::numeric_limits<double>::quiet_NaN();
    return entry;
  }
  std::vector<Row> rows() const {
    std::vector<Row> out;
    for (auto const& style : styles) {
      auto const found = efficiency(style, "");
      if (!found) continue;
      auto const particles = count(style, "", "particles");
      double sum = 0;
      if (summary_.has(particles))
        for (auto const n : summary_.values(particles)) sum += n;
      out.push_back({style, style.title, summary_.has(particles) ? fmt::format("{:.0f}", sum) : "", found, fake(style), duplicates(style)});
    }
    return out;
  }

  /// The bins that the styles have, as they stand in figures' names ("pt_0.9_1.5."), by variable, in the order of the names.
  static std::vector<std::string> bins_of(Summary const& summary) {
    std::vector<std::string> out;
    for (std::string const wanted : {"pt_", "eta_", "hits_", "radius_"})
      for (auto const& name : summary.names()) {
        auto const first = name.find('.');
        auto const bin = name.substr(0, first + 1);
        if (std::none_of(std::begin(styles), std::end(styles), [&](auto const& s) { return bin == fmt::format("{}.", s.metric); }))
          continue;
        auto const range = bin_at(std::string_view(name).substr(first + 1), wanted);
        if (!range.empty() && std::find(out.begin(), out.end(), range) == out.end()) out.push_back(range);
      }
    return out;
  }
  /// "pt_0.9_1.5." of "pt_0.9_1.5.atlas.efficiency": up to the first dot that is followed by a letter.
  static std::string bin_at(std::string_view name, std::string_view wanted) {
    if (!name.starts_with(wanted)) return "";
    for (auto dot = name.find('.'); dot + 1 < name.size(); dot = name.find('.', dot + 1))
      if (name[dot + 1] < '0' || name[dot + 1] > '9') return std::string(name.substr(0, dot + 1));
    return "";
  }
  static std::string variable(std::string const& bin) { return bin.substr(0, bin.find('_')); }
  static std::string head(std::string const& variable) {
    return variable == "pt" ? "pt [GeV]" : variable == "eta" ? "|eta|" : variable == "hits" ? "hits" : "production radius [mm]";
  }
  static std::string range(std::string const& bin) {
    auto const first = bin.find('_'), second = bin.find('_', first + 1);
    return fmt::format("{} to {}", bin.substr(first + 1, second - first - 1), bin.substr(second + 1, bin.size() - second - 2));
  }

  static std::string cell(std::optional<Entry> const& entry) {
    if (!entry) return "";
    if (std::isnan(entry->value)) return "undefined";
    auto text = fmt::format("{:.4f}", entry->value);
    if (std::isfinite(entry->error)) text += fmt::format(" ± {:.4f}", entry->error);
    return text;
  }
  static std::string line(std::string const& title, std::vector<std::string> const& cells) {
    auto text = fmt::format("  {:<28}", title);
    for (auto const& cell : cells) text += fmt::format(" {:<17}", cell);
    return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }

  Summary summary_;
  std::string cut_;
  std::vector<std::string> bins_;
};

}  // namespace dew
