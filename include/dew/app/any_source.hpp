// SPDX-License-Identifier: BSL-1.0
// AnySource: a choice of event sources at run time.
#pragma once
#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/pipeline/any_of.hpp"

namespace dew {

namespace detail {
template <class S> concept ListsAllHits = requires(S const& s) { s.all_hit_ids(0); };
template <class S> concept HasFingerprint = requires(S const& s) { s.fingerprint(0, true); };
}  // namespace detail

/// One event source out of several, chosen by the option `source` when the program runs; by default the first. Its events have the keys that the
/// events of all of them have. The options of each stand under its own name: `trackml.detector`, `acts.detectors`, ….
///
///     App{…}.events(TrackMl{}, ActsCsv{}, SafetensorsEvents{})      // --source acts --acts.detectors FILE
template <class... S>
struct AnySource {
  static constexpr std::string_view name = "source";
  static constexpr std::array<std::string_view, sizeof...(S)> names{S::name...};
  using Bare = RecordOf<typename detail::IntersectionAll<typename decltype(std::declval<S const&>().hits(0))::KeySet...>::type>;
  using Labelled = RecordOf<typename detail::IntersectionAll<typename decltype(std::declval<S const&>().labelled(0))::KeySet...>::type>;

  std::tuple<S...> alternatives;
  std::size_t choice = 0;

  explicit AnySource(S... sources) : alternatives(std::move(sources)...) {}
  bool operator==(AnySource const&) const = default;

  void add_options(OptionSet& set, std::string const& path) {
    set.add(detail::choice_option(path, "where events come from", names, choice));
    std::apply([&](auto&... s) { (dew::add_options(set, std::string(std::remove_cvref_t<decltype(s)>::name), s), ...); }, alternatives);
  }

  Bare hits(std::int64_t id) const {
    return visit([&](auto const& s) { return Bare(s.hits(id)); });
  }
  Labelled labelled(std::int64_t id) const {
    return visit([&](auto const& s) { return Labelled(s.labelled(id)); });
  }
  /// Throws `Error` (input) that names the sources when the chosen one has no events.
  std::vector<std::int64_t> ids() const {
    std::vector<std::int64_t> out = visit([](auto const& s) { return std::vector<std::int64_t>(s.ids()); });
    check(!out.empty(), ErrorKind::input, "the source {} finds no events; the sources are {}: is it another one (option {})?",
          names[choice], fmt::join(names, ", "), name);
    return out;
  }
  std::vector<std::int64_t> all_hit_ids(std::int64_t id) const requires(detail::ListsAllHits<S> && ...)
  {
    return visit([&](auto const& s) { return s.all_hit_ids(id); });
  }
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const requires(detail::HasFingerprint<S> && ...)
  {
    return visit([&](auto const& s) { return s.fingerprint(id, labelled); });
  }

  /// What `f` makes of the chosen source.
  template <class F> auto visit(F&& f) const { return detail::visit_nth(alternatives, choice, f); }
};

}  // namespace dew
