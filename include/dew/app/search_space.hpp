// SPDX-License-Identifier: BSL-1.0
// Search spaces: which options a hyper-parameter search sets, between which bounds and when, read from a TOML file and checked.
#pragma once
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "dew/app/config_file.hpp"

namespace dew {

/// An option counts only while another one, a choice, has one of these values.
struct SearchCondition {
  std::string option;
  std::vector<std::string> values;
  bool operator==(SearchCondition const&) const = default;
};

enum class SearchKind { integer, number, boolean, choice };
constexpr auto names_of(SearchKind) { return std::array<std::string_view, 4>{"int", "float", "bool", "choice"}; }

/// What a search may give to one option. As text, in the file:
///
///     int 2..8            int 2..8 step 2       int 32..128 log
///     float 0.1..0.9      float 1e-4..1e-2 log
///     bool
///     choice cosine linear
///     int 2..8 if encoder.choice == graph and encoder.graph.stack == skip1|skip2
struct SearchRange {
  std::string option;
  SearchKind kind = SearchKind::choice;
  double low = 0, high = 0;                   ///< of int and float, both included
  double step = 0;                            ///< 0: 1 for int, none for float
  bool log = false;                           ///< evenly spread in the logarithm
  std::vector<std::string> choices{};         ///< of choice, as words of a configuration file
  std::vector<SearchCondition> conditions{};  ///< it counts while all of them hold
  bool operator==(SearchRange const&) const = default;
};

namespace detail {
inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    auto const end = std::min(text.find(separator, begin), text.size());
    if (end > begin) words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}
/// The values of an option that is a choice (an enumeration, a part, true|false); none for any other.
inline std::vector<std::string> choices_of(OptionEntry const& e) {
  if (e.type.find('|') == std::string::npos || e.type.ends_with(",...")) return {};
  return split(e.type, '|');
}
inline bool is_among(std::string_view word, std::vector<std::string> const& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
/// A bound as a word of a configuration file.
inline std::string bound_text(SearchRange const& range, double value) {
  return range.kind == SearchKind::integer ? fmt::to_string(std::int64_t(value)) : to_text(value);
}
/// An option's value as JSON: TOML's numbers, texts and lists are JSON's, but for inf and nan, which become texts.
inline nlohmann::ordered_json json_value(std::string const& toml) {
  auto value = nlohmann::ordered_json::parse(toml, nullptr, false);
  return value.is_discarded() ? nlohmann::ordered_json(toml) : value;
}
}  // namespace detail

/// A range as it stands in a file; `search_range` reads it back.
inline std::string to_text(SearchRange const& range) {
  std::string text(names_of(range.kind)[std::size_t(range.kind)]);
  if (range.kind == SearchKind::choice) text += fmt::format(" {}", fmt::join(range.choices, " "));
  if (range.kind == SearchKind::integer || range.kind == SearchKind::number) {
    text += fmt::format(" {}..{}", detail::bound_text(range, range.low), detail::bound_text(range, range.high));
    if (range.step > 0) text += " step " + detail::bound_text(range, range.step);
    if (range.log) text += " log";
  }
  for (std::size_t i = 0; i < range.conditions.size(); ++i)
    text += fmt::format(" {} {} == {}", i == 0 ? "if" : "and", range.conditions[i].option, fmt::join(range.conditions[i].values, "|"));
  return text;
}

/// Reads a range. Throws `Error` (usage) that names the option and shows what is expected.
inline SearchRange search_range(std::string const& option, std::string_view text) {
  auto const words = detail::split(text, ' ');
  auto const demand = [&](bool ok) {
    check(ok, ErrorKind::usage,
          "{}: expected a range such as int 2..8, int 2..8 step 2, float 1e-4..1e-2 log, bool, choice a b, or [\"a\", \"b\"], and behind "
          "it, where it does not always count, if other.option == value; got '{}'",
          option, text);
  };
  SearchRange range;
  range.option = option;
  auto const names = names_of(SearchKind{});
  auto const kind = std::find(names.begin(), names.end(), words.empty() ? "" : words[0]);
  demand(kind != names.end());
  range.kind = SearchKind(kind - names.begin());
  auto const bound = [&](std::string const& word) {
    if (range.kind == SearchKind::number) return from_text<double>({word}, option);
    auto const value = from_text<std::int64_t>({word}, option);
    check(std::abs(double(value)) < 1e15, ErrorKind::usage, "{}: a bound of an int is below 1e15, got '{}'", option, word);
    return double(value);
  };

  std::size_t at = 1;
  bool const counted = range.kind == SearchKind::integer || range.kind == SearchKind::number;
  if (counted) {
    demand(at < words.size());
    auto const dots = words[at].find("..");
    demand(dots != std::string::npos);
    range.low = bound(words[at].substr(0, dots)), range.high = bound(words[at].substr(dots + 2));
    for (++at; at < words.size() && words[at] != "if"; ++at) {
      if (words[at] == "log") range.log = true;
      else {
        demand(words[at] == "step" && at + 1 < words.size());
        range.step = bound(words[++at]);
        check(range.step > 0, ErrorKind::usage, "{}: a step is larger than 0, got '{}'", option, words[at]);
      }
    }
  }
  if (range.kind == SearchKind::choice)
    for (; at < words.size() && words[at] != "if"; ++at) range.choices.push_back(words[at]);
  demand(at == words.size() || words[at] == "if");
  for (; at < words.size(); at += 4) {  // if A == B and C == D …
    demand(words[at] == (range.conditions.empty() ? "if" : "and") && at + 3 < words.size() && words[at + 2] == "==");
    range.conditions.push_back({words[at + 1], detail::split(words[at + 3], '|')});
    demand(!range.conditions.back().values.empty());
  }
  return range;
}

namespace detail {
/// A part's options count only while the part is chosen: `any_of.dbscan.eps` if `any_of.choice` is dbscan.
inline void add_implied_conditions(SearchRange& range, OptionSet const& options) {
  auto const& path = range.option;
  for (auto dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    auto const* choice = options.find(path.substr(0, dot) + ".choice");
    auto const part = path.substr(dot + 1, path.find('.', dot + 1) - dot - 1);
    if (!choice || choice->path == path || !is_among(part, choices_of(*choice))) continue;
    auto const said =
        std::any_of(range.conditions.begin(), range.conditions.end(), [&](auto const& c) { return c.option == choice->path; });
    if (!said) range.conditions.push_back({choice->path, {part}});
  }
}

/// Whether an option takes a value; its own stays. Throws `Error` (usage) that says what it takes.
inline void try_value(OptionEntry const& e, std::string const& word) {
  auto const before = toml_words(e.get());
  e.set({word});
  e.set(before);
}

/// A range by itself against the option that it is for.
inline void check_range(SearchRange const& range, OptionSet const& options) {
  auto const& e = options.at(range.option);
  auto const refuse_unless = [&](bool ok, std::string_view what) {
    auto const choices = choices_of(e);
    check(ok, ErrorKind::usage, "{}: takes {}, not {}; expected {}", e.path, e.type, what,
          e.type == "integer"      ? std::string("int LOW..HIGH or choice A B")
          : e.type == "number"     ? std::string("float LOW..HIGH, int LOW..HIGH or choice A B")
          : e.type == "true|false" ? std::string("bool")
          : !choices.empty()       ? fmt::format("choice {}", fmt::join(choices, " "))
                                   : std::string("choice A B"));
  };
  if (range.kind == SearchKind::integer) refuse_unless(e.type == "integer" || e.type == "number", "every whole number");
  if (range.kind == SearchKind::number) refuse_unless(e.type == "number", "every number");
  if (range.kind == SearchKind::boolean) refuse_unless(e.type == "true|false", "true and false");
  if (range.kind == SearchKind::choice) {
    check(range.choices.size() >= 2, ErrorKind::usage, "{}: a choice needs at least two values, got {}", e.path, range.choices.size());
    for (std::size_t i = 0; i < range.choices.size(); ++i) {
      try_value(e, range.choices[i]);
      check(std::find(range.choices.begin(), range.choices.begin() + std::ptrdiff_t(i), range.choices[i]) ==
                range.choices.begin() + std::ptrdiff_t(i),
            ErrorKind::usage, "{}: the value {} is there twice", e.path, range.choices[i]);
    }
  }
  if (range.kind == SearchKind::integer || range.kind == SearchKind::number) {
    auto const low = bound_text(range, range.low), high = bound_text(range, range.high);
    check(std::isfinite(range.low) && std::isfinite(range.high) && range.low < range.high, ErrorKind::usage,
          "{}: the lower bound has to be below the upper one, got {}..{}", e.path, low, high);
    check(!range.log || range.low > 0, ErrorKind::usage, "{}: a logarithmic range begins above 0, got {}..{}", e.path, low, high);
    check(!range.log || range.step == 0, ErrorKind::usage, "{}: a range is logarithmic or has a step, not both", e.path);
    if (range.step > 0) {
      auto const steps = std::floor((range.high - range.low) / range.step + 1e-9);
      check(std::abs(range.low + steps * range.step - range.high) <= 1e-9 * range.step * std::max(1.0, steps), ErrorKind::usage,
            "{}: steps of {} lead from {} to {}, not to {}", e.path, bound_text(range, range.step), low,
            bound_text(range, range.low + steps * range.step), high);
    }
    for (auto const& word : {low, high}) {
      try {
        try_value(e, word);
      } catch (Error const& what) {
        fail(ErrorKind::usage, "{}: the bound {} lies outside of what the option takes ({})", e.path, word, what.what());
      }
    }
  }
}
}  // namespace detail

/// The options that a search sets, those that others depend on first.
struct SearchSpace {
  std::vector<SearchRange> ranges;

  SearchRange const* find(std::string_view option) const {
    auto const at = std::find_if(ranges.begin(), ranges.end(), [&](auto const& r) { return r.option == option; });
    return at == ranges.end() ? nullptr : &*at;
  }
  bool operator==(SearchSpace const&) const = default;
};

/// A space as a file that `read_search_space` reads back. Values of choices that hold a blank, which a list in the file gives, stand in a list again.
inline std::string to_text(SearchSpace const& space) {
  std::string text;
  for (auto const& r : space.ranges) {
    bool const blank =
        std::any_of(r.choices.begin(), r.choices.end(), [](auto const& c) { return c.empty() || c.find(' ') != std::string::npos; });
    text += fmt::format("{} = {}\n", r.option, blank ? to_text(r.choices) : to_text(to_text(r)));
  }
  return text;
}

/// Checks the conditions of a space and puts it in order. `where` gives what is put before a message about an option ("space.toml:3: ").
template <class Where>
SearchSpace ordered_search_space(std::vector<SearchRange> ranges, OptionSet const& options, Where const& where) {
  SearchSpace space{std::move(ranges)};
  for (auto const& range : space.ranges)
    for (auto const& condition : range.conditions) {
      auto const here = fmt::format("{}{}: the condition on {}: ", where(range.option), range.option, condition.option);
      auto const& other = options.at(condition.option, here);
      auto const choices = detail::choices_of(other);
      check(!choices.empty(), ErrorKind::usage, "{}it is no choice but {}", here, other.type);
      for (auto const& value : condition.values)
        check(detail::is_among(value, choices), ErrorKind::usage, "{}expected one of {}, got '{}'", here, fmt::join(choices, ", "), value);
      auto const* searched = space.find(condition.option);
      if (!searched || searched->kind != SearchKind::choice) continue;
      check(std::any_of(condition.values.begin(), condition.values.end(),
                        [&](auto const& v) { return detail::is_among(v, searched->choices); }),
            ErrorKind::usage, "{}never holds: the search tries {} alone", here, fmt::join(searched->choices, ", "));
    }
  std::vector<SearchRange> sorted;
  while (!space.ranges.empty()) {
    auto const next = std::find_if(space.ranges.begin(), space.ranges.end(), [&](auto const& range) {
      return std::none_of(range.conditions.begin(), range.conditions.end(), [&](auto const& c) { return space.find(c.option) != nullptr; });
    });
    check(next != space.ranges.end(), ErrorKind::usage, "{}{}: its condition depends on itself", where(space.ranges.front().option),
          space.ranges.front().option);
    sorted.push_back(std::move(*next));
    space.ranges.erase(next);
  }
  return {std::move(sorted)};
}

/// Reads a search space: a TOML file with a range (see `SearchRange`) or a list of values for each option that is searched, sections being the
/// beginning of a path. Options of a part that is chosen at run time (`AnyOf`) count only while it is; that need not be said. Options keep their
/// values. Throws `Error` (usage) with file, line and what was expected: an unknown option with the nearest, a range of another kind than the
/// option, bounds that the option does not take, a condition on something that is no choice, one that never holds or that depends on itself.
inline SearchSpace read_search_space(std::filesystem::path const& file, OptionSet const& options) {
  std::vector<SearchRange> ranges;
  std::vector<std::pair<std::string, std::string>> places;
  auto const where = [&](std::string const& option) {
    auto const at = std::find_if(places.begin(), places.end(), [&](auto const& p) { return p.first == option; });
    return at == places.end() ? std::string() : at->second;
  };
  for (auto const& line : detail::config_lines(file)) {
    try {
      (void)options.at(line.path);
      check(where(line.path).empty(), ErrorKind::usage, "{}: is there twice", line.path);
      auto range = line.words.size() == 1 ? search_range(line.path, line.words[0])
                                          : SearchRange{.option = line.path, .kind = SearchKind::choice, .choices = line.words};
      detail::check_range(range, options);
      detail::add_implied_conditions(range, options);
      ranges.push_back(std::move(range));
    } catch (Error const& e) { fail(e.kind(), "{}{}", line.where, e.what()); }
    places.emplace_back(line.path, line.where);
  }
  check(!ranges.empty(), ErrorKind::usage, "{}: names no option to search", file.string());
  return ordered_search_space(std::move(ranges), options, where);
}

/// A range that is worth a try around an option's value: all values of a choice; half to twice, or a tenth to ten times, where the last word of its
/// name says that it is such an option. Nothing for others.
inline std::optional<SearchRange> suggested_range(OptionEntry const& e) {
  SearchRange range;
  range.option = e.path;
  if (e.type == "true|false") {
    range.kind = SearchKind::boolean;
    return range;
  }
  range.choices = detail::choices_of(e);
  if (!range.choices.empty()) return range;
  if (e.type != "integer" && e.type != "number") return std::nullopt;

  struct Rule {
    std::string_view name;
    double factor;
    bool log;
  };
  static constexpr std::array<Rule, 12> rules{{{"hidden", 2, true},
                                               {"latent", 2, true},
                                               {"layers", 2, false},
                                               {"smoothing", 2, false},
                                               {"events_per_step", 4, true},
                                               {"warmup_steps", 4, true},
                                               {"learning_rate", 10, true},
                                               {"weight_decay", 10, true},
                                               {"weight", 10, true},
                                               {"initial_scale", 10, true},
                                               {"gamma", 2, false},
                                               {"eps", 3, true}}};
  auto const name = e.path.substr(e.path.rfind('.') + 1);
  auto const rule =
      std::find_if(rules.begin(), rules.end(), [&](auto const& r) { return name == r.name || name.ends_with(fmt::format("_{}", r.name)); });
  double const value = from_text<double>(toml_words(e.get()), e.path);
  if (rule == rules.end() || !(value > 0)) return std::nullopt;
  bool const whole = e.type == "integer";
  range.kind = whole ? SearchKind::integer : SearchKind::number;
  auto const rounded = [&](double v) {
    return whole ? std::max(1.0, std::round(v)) : from_text<double>({fmt::format("{:.3g}", v)}, e.path);
  };
  range.low = rounded(value / rule->factor), range.high = rounded(value * rule->factor);
  range.log = rule->log;
  return range;
}

namespace detail {
inline nlohmann::ordered_json described_json(OptionEntry const& e) {
  nlohmann::ordered_json json;
  json["default"] = json_value(e.get()), json["unit"] = e.unit, json["help"] = e.help;
  return json;
}
inline nlohmann::ordered_json conditions_json(SearchRange const& range, OptionSet const& options) {
  auto list = nlohmann::ordered_json::array();
  for (auto const& c : range.conditions)
    list.push_back(nlohmann::ordered_json{{"option", c.option}, {"values", c.values}, {"default", json_value(options.at(c.option).get())}});
  return list;
}
}  // namespace detail

/// For programs that search: an object an option with `option`, `type` (int, float, bool, choice), `low`, `high`, `step` (0: none), `log` or `choices`
/// (as texts), `if` (conditions: `option`, `values`, and the `default` where that option is not searched), `default`, `unit`, `help`, and `range`, the
/// same as text. Options that others depend on stand first.
inline nlohmann::ordered_json search_space_json(SearchSpace const& space, OptionSet const& options) {
  auto list = nlohmann::ordered_json::array();
  for (auto const& r : space.ranges) {
    nlohmann::ordered_json j{{"option", r.option}, {"type", std::string(names_of(r.kind)[std::size_t(r.kind)])}};
    if (r.kind == SearchKind::integer)
      j["low"] = std::int64_t(r.low), j["high"] = std::int64_t(r.high), j["step"] = std::int64_t(r.step), j["log"] = r.log;
    if (r.kind == SearchKind::number) j["low"] = r.low, j["high"] = r.high, j["step"] = r.step, j["log"] = r.log;
    if (r.kind == SearchKind::choice) j["choices"] = r.choices;
    j["if"] = detail::conditions_json(r, options);
    j.update(detail::described_json(options.at(r.option)));
    j["range"] = to_text(r);
    list.push_back(std::move(j));
  }
  nlohmann::ordered_json json;
  json["space"] = std::move(list);
  return json;
}

/// Every option that a search can set: `option`, `type` (integer, number, true|false, …), `choices` where it has some, `if`, `default`, `unit`, `help`,
/// and `range`, what is worth a try, where that can be said.
inline nlohmann::ordered_json searchable_options_json(OptionSet const& searchable) {
  auto list = nlohmann::ordered_json::array();
  for (auto const& e : searchable.entries()) {
    auto suggested = suggested_range(e);
    SearchRange range = suggested.value_or(SearchRange{.option = e.path});
    detail::add_implied_conditions(range, searchable);
    nlohmann::ordered_json j{{"option", e.path}, {"type", e.type}};
    if (auto const choices = detail::choices_of(e); !choices.empty()) j["choices"] = choices;
    j["if"] = detail::conditions_json(range, searchable);
    j.update(detail::described_json(e));
    if (suggested) j["range"] = to_text(range);
    list.push_back(std::move(j));
  }
  nlohmann::ordered_json json;
  json["options"] = std::move(list);
  return json;
}

}  // namespace dew
