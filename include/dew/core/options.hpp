// SPDX-License-Identifier: BSL-1.0
// Options: aggregates that describe themselves once; printing, parsing, flags, files and checkpoints all come from that description.
#pragma once
#include <algorithm>
#include <boost/hana/core/is_a.hpp>
#include <boost/hana/for_each.hpp>
#include <boost/hana/size.hpp>
#include <boost/hana/tuple.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {
namespace hana = boost::hana;

/// One described member of an options aggregate: its name, its unit ("" for none), one line of help that says what 0 means where that is special.
template <class O, class T>
struct Option {
  std::string_view name, unit, help;
  T O::* member;
};
template <class O, class T>
Option(std::string_view, std::string_view, std::string_view, T O::*) -> Option<O, T>;

/// Describes a member inside `describe()` of a struct called Options: `DEW_OPTION(eps, "", "radius of a neighbourhood")`.
#define DEW_OPTION(member, unit, help) (::dew::Option{#member, unit, help, &Options::member})

/// An enumeration that can be an option says its values' names, in order, from 0: `constexpr auto names_of(Colour) { return std::array{"red", …}; }`
template <class E> concept NamedEnum = std::is_enum_v<E> && requires(E e) { names_of(e).size(); };

// ---- every member is described, or the program does not compile ------------------------------------------------------------------
template <class Options> struct describe_does_not_name_every_member_of_these_options;

namespace detail {
struct Anything {
  template <class T> constexpr operator T&() const& noexcept;    // NOLINT(google-explicit-constructor)
  template <class T> constexpr operator T&&() const&& noexcept;  // NOLINT(google-explicit-constructor)
};
template <class O, std::size_t... i>
constexpr bool takes(std::index_sequence<i...>) {
  return requires { O{(void(i), Anything{})...}; };
}
template <class O, std::size_t n = 0>
constexpr std::size_t member_count() {
  static_assert(n <= 64, "an options aggregate has at most 64 members");
  if constexpr (takes<O>(std::make_index_sequence<n + 1>{})) return member_count<O, n + 1>();
  else return n;
}
}  // namespace detail

/// An aggregate with a complete description.
template <class O> concept Described = std::is_aggregate_v<O> && requires { O::describe(); };

/// The description of O, a Hana tuple of `Option`; refuses to compile when a member was forgotten.
template <Described O>
constexpr auto described() {
  auto const description = O::describe();
  if constexpr (decltype(hana::size(description))::value != detail::member_count<O>()) {
    describe_does_not_name_every_member_of_these_options<O> sentence;
    (void)sentence;
  }
  return description;
}

// ---- values as text: TOML's spelling -------------------------------------------------------------------------------------------------
/// A value as TOML text; reading it back gives the same value.
template <class T>
std::string to_text(T const& value) {
  if constexpr (std::same_as<T, bool>) return value ? "true" : "false";
  else if constexpr (NamedEnum<T>) return fmt::format("\"{}\"", names_of(value)[std::size_t(value)]);
  else if constexpr (std::is_integral_v<T>) return fmt::to_string(value);
  else if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    auto text = fmt::format("{}", value);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  } else if constexpr (std::convertible_to<T, std::string_view>) {
    std::string out = "\"";
    for (char c : std::string_view(value)) {
      if (c == '"' || c == '\\') out += '\\';
      if (c == '\n') out += "\\n";
      else out += c;
    }
    return out + '"';
  } else {
    std::string out = "[";
    for (auto const& element : value) out += (out.size() > 1 ? ", " : "") + to_text(element);
    return out + "]";
  }
}

/// What a flag's value looks like, for --help: "number", "integer", "true|false", "a|b|c", "text", "number,number,…".
template <class T>
std::string type_text() {
  if constexpr (std::same_as<T, bool>) return "true|false";
  else if constexpr (NamedEnum<T>) return fmt::format("{}", fmt::join(names_of(T{}), "|"));
  else if constexpr (std::is_integral_v<T>) return "integer";
  else if constexpr (std::is_floating_point_v<T>) return "number";
  else if constexpr (std::convertible_to<T, std::string_view>) return "text";
  else return type_text<typename T::value_type>() + ",...";
}

/// Reads a value; `words` has one element but for lists. Throws `Error` (usage) naming `path`.
template <class T>
T from_text(std::vector<std::string> const& words, std::string_view path) {
  auto const all = fmt::format("{}", fmt::join(words, ","));
  if constexpr (requires { typename T::value_type; } && !std::convertible_to<T, std::string_view>) {
    T out;
    for (auto const& word : words) {
      if constexpr (std::convertible_to<typename T::value_type, std::string_view>) {  // a text may hold a comma
        out.push_back(word);
        continue;
      }
      std::size_t begin = 0;  // "1,2,3" in one word too
      while (begin <= word.size()) {
        auto const end = std::min(word.find(',', begin), word.size());
        if (end > begin) out.push_back(from_text<typename T::value_type>({word.substr(begin, end - begin)}, path));
        begin = end + 1;
      }
    }
    return out;
  } else {
    check(words.size() == 1, ErrorKind::usage, "{}: expected {}, got '{}'", path, type_text<T>(), all);
    auto const& word = words.front();
    if constexpr (std::same_as<T, bool>) {
      check(word == "true" || word == "false", ErrorKind::usage, "{}: expected true or false, got '{}'", path, word);
      return word == "true";
    } else if constexpr (NamedEnum<T>) {
      auto const names = names_of(T{});
      auto const at = std::find(names.begin(), names.end(), word);
      check(at != names.end(), ErrorKind::usage, "{}: expected one of {}, got '{}'", path, fmt::join(names, ", "), word);
      return T(at - names.begin());
    } else if constexpr (std::is_arithmetic_v<T>) {
      T value{};
      char const* first = word.data() + (word.starts_with('+') ? 1 : 0);
      auto const [end, error] = std::from_chars(first, word.data() + word.size(), value);
      check(error == std::errc() && end == word.data() + word.size(), ErrorKind::usage, "{}: expected {}, got '{}'", path, type_text<T>(),
            word);
      return value;
    } else return T(word);
  }
}

/// The words of a TOML value, as `from_text` takes them: `"a b"` is one, `[1, 2]` two. The inverse of `to_text`.
inline std::vector<std::string> toml_words(std::string_view value) {
  auto const list = value.size() >= 2 && value.front() == '[' && value.back() == ']';
  if (list) value = value.substr(1, value.size() - 2);
  std::vector<std::string> words;
  for (std::size_t i = 0; i < value.size();) {
    if (value[i] == ' ' || (list && value[i] == ',')) {
      ++i;
      continue;
    }
    std::string word;
    if (value[i] == '"') {
      for (++i; i < value.size() && value[i] != '"'; ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) word += value[++i] == 'n' ? '\n' : value[i];
        else word += value[i];
      }
      ++i;
    } else
      while (i < value.size() && !(list && (value[i] == ',' || value[i] == ' '))) word += value[i++];
    words.push_back(std::move(word));
  }
  return words;
}

/// One line a member: `name = value  # [unit] help`.
template <Described O>
std::string print(O const& options) {
  std::string text;
  hana::for_each(described<O>(), [&](auto const& o) {
    text +=
        fmt::format("{} = {}  # {}{}\n", o.name, to_text(options.*(o.member)), o.unit.empty() ? "" : fmt::format("[{}] ", o.unit), o.help);
  });
  return text;
}

// ---- options by path ------------------------------------------------------------------------------------------------------------------
/// A described member somewhere in a program, reached by its path, such as `condenser.fit.epochs`.
struct OptionEntry {
  std::string path, unit, help, type, default_text;
  std::function<std::string()> get;                          ///< its value as TOML text
  std::function<void(std::vector<std::string> const&)> set;  ///< parses and stores; throws `Error` (usage)
  std::function<void()> forget = {};                         ///< stores what its struct says where nobody chose, if it can be told
};

/// The number of edits (insert, delete, replace) between two words.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto const best = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = std::exchange(row[j], best);
    }
  }
  return row[b.size()];
}

/// The candidate nearest to `word`.
inline std::string nearest_name(std::string_view word, std::vector<std::string> const& candidates) {
  std::string best;
  std::size_t least = std::string::npos;
  for (auto const& candidate : candidates)
    if (auto const d = edit_distance(word, candidate); d < least) least = d, best = candidate;
  return best;
}

/// All options of a program under their paths. Entries refer to the objects they were added from, which must outlive the set.
class OptionSet {
 public:
  /// Adds every member of `options` as `prefix.member`. Two options of one path are an error.
  template <Described O>
  void add(std::string const& prefix, O& options) {
    O const defaults = options;
    hana::for_each(described<O>(), [&](auto const& o) {
      using T = std::remove_cvref_t<decltype(options.*(o.member))>;
      T* value = &(options.*(o.member));
      auto path = prefix.empty() ? std::string(o.name) : prefix + "." + std::string(o.name);
      add({path, std::string(o.unit), std::string(o.help), type_text<T>(), to_text(defaults.*(o.member)),
           [value] { return to_text(*value); },
           [value, path](std::vector<std::string> const& words) { *value = from_text<T>(words, path); }, unchosen(value, o.member)});
    });
  }
  void add(OptionEntry entry) {
    check(find(entry.path) == nullptr, ErrorKind::usage, "two options have the path '{}'; give one of the stages or losses another name",
          entry.path);
    entries_.push_back(std::move(entry));
  }
  OptionEntry const* find(std::string_view path) const {
    auto const at = std::find_if(entries_.begin(), entries_.end(), [&](auto const& e) { return e.path == path; });
    return at == entries_.end() ? nullptr : &*at;
  }
  /// The entry of that path; a misspelt one is an error that names the nearest. `where` is put before the message ("run.toml:3: ").
  OptionEntry const& at(std::string_view path, std::string_view where = "") const {
    auto const* entry = find(path);
    if (!entry) {
      std::vector<std::string> names;
      for (auto const& e : entries_) names.push_back(e.path);
      fail(ErrorKind::usage, "{}there is no option '{}'; the nearest is '{}'", where, path, nearest_name(path, names));
    }
    return *entry;
  }
  std::vector<OptionEntry> const& entries() const { return entries_; }

 private:
  template <class O, class T>
  static std::function<void()> unchosen(T* value, T O::* member) {
    if constexpr (std::default_initializable<O>) return [value, member] { *value = O{}.*member; };
    else return {};
  }

  std::vector<OptionEntry> entries_;
};

}  // namespace dew
