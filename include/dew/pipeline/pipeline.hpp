// SPDX-License-Identifier: BSL-1.0
// Pipelines: stages one after the other, as a plain value; which keys there are after each, checked by the compiler.
#pragma once
#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

// Sentences: undefined types whose names are what a user reads when a pipeline does not compile.
template <class Stage, class Key> struct this_stage_reads_a_key_that_no_earlier_stage_and_no_source_writes;
template <class Stage, class Returned> struct this_stage_does_not_return_every_key_that_its_Writes_promises;
template <class Stage> struct two_stages_have_this_name_so_give_one_another_with_named;
template <class Selector, class Pipeline> struct this_pipeline_has_no_stage_of_that_type_or_name;
template <class Selector, class Pipeline> struct this_pipeline_has_several_stages_of_that_type_so_address_one_by_its_name;
template <class Stage> struct this_is_no_stage_it_needs_a_name_Reads_and_a_const_call_with_what_it_reads;

template <class... S> class Pipeline;

namespace detail {
template <class Stage, class Key, bool there> constexpr bool demand_key() {
  if constexpr (!there) {
    this_stage_reads_a_key_that_no_earlier_stage_and_no_source_writes<Stage, Key> sentence;
    (void)sentence;
  }
  return there;
}
template <class Available, class Stage, class Reads> struct DemandReads;
template <class Available, class Stage, class... K> struct DemandReads<Available, Stage, Keys<K...>> {
  static constexpr bool ok = (demand_key<Stage, K, Available::template has<K>>() && ...);
};
template <class P> struct PolicyOf { using type = P; };
template <Text n, class P> struct PolicyOf<Named<n, P>> { using type = P; };

template <class P> using TruthOf = std::remove_cvref_t<decltype(std::declval<P const&>().truth())>;

/// The keys after a stage, when `Available` are there before it.
template <class Available, class S>
constexpr auto keys_after() {
  constexpr bool labelled = Available::template has<ParticleId>;
  if constexpr (LabelledOnly<S> && !labelled) return Available{};
  else if constexpr (BringsTruth<S> && labelled) return UnionOf<Available, WritesOf<S>, WritesOf<TruthOf<S>>>{};
  else return UnionOf<Available, WritesOf<S>>{};
}
template <class Available, class... S> struct KeysAfter { using type = Available; };
template <class Available, class S, class... Rest> struct KeysAfter<Available, S, Rest...> {
  using type = typename KeysAfter<decltype(keys_after<Available, S>()), Rest...>::type;
};
/// Whether every stage finds what it reads, without a hard error.
template <class Available> constexpr bool satisfied() { return true; }
template <class Available, class S, class... Rest>
constexpr bool satisfied() {
  if constexpr (LabelledOnly<S> && !Available::template has<ParticleId>) return satisfied<Available, Rest...>();
  else return contains_all<Available, ReadsOf<S>> && satisfied<decltype(keys_after<Available, S>()), Rest...>();
}
}  // namespace detail

/// Addresses a stage by its name: `fit<"coarse">(…)` makes a `ByName<"coarse">`.
template <Text name>
struct ByName {
  static constexpr std::string_view text = name.view();
};

/// Stages in the order in which an event passes them. A regular value: copied, compared by its stages' options, printed through them.
/// What is learned is elsewhere, in `Trained<Pipeline>`.
///
///     auto pipeline = Pipeline{GeometricGraph{{.phi_slope_max = 0.002}}, EdgeClassifier{}, Condenser{}, Dbscan{}};
///
/// Any stage can be swapped for another that reads and writes the same keys, added, or left out. Two stages need two names (`named<"coarse">(…)`).
template <class... S>
class Pipeline {
 public:
  static constexpr std::size_t size = sizeof...(S);
  template <std::size_t i> using Stage = std::tuple_element_t<i, std::tuple<S...>>;

  std::tuple<S...> stages;

  explicit Pipeline(S... s) : stages(std::move(s)...) {
    (demand_stage<S>(), ...);
    (demand_unique<S>(), ...);
  }

  /// The keys after the first n stages, when a source gives `Source` (a `Keys<…>`).
  template <std::size_t n, class Source> using KeysAfterFirst = decltype([]<std::size_t... i>(std::index_sequence<i...>) {
    return typename detail::KeysAfter<Source, Stage<i>...>::type{};
  }(std::make_index_sequence<n>{}));

  /// Whether each stage finds what it reads when a source gives `Source`: a constant to ask, where a call would be a hard error.
  template <class Source> static constexpr bool runs_on = detail::satisfied<Source, S...>();

  static constexpr std::array<std::string_view, sizeof...(S)> names{S::name...};

  /// The position of a stage given by its type or `ByName<…>`; a sentence when there is none.
  template <class Selector>
  static constexpr std::size_t index() {
    constexpr auto matches = [] {
      if constexpr (requires { Selector::text; }) return std::array<bool, size>{(S::name == Selector::text)...};
      else {
        constexpr bool exact = (std::same_as<S, Selector> || ...);
        return std::array<bool, size>{(exact ? std::same_as<S, Selector> : std::same_as<typename detail::PolicyOf<S>::type, Selector>)...};
      }
    }();
    constexpr auto count = [](auto const& m) {
      std::size_t n = 0;
      for (bool b : m) n += b;
      return n;
    }(matches);
    if constexpr (count == 0) {
      this_pipeline_has_no_stage_of_that_type_or_name<Selector, Pipeline> sentence;
      (void)sentence;
    }
    if constexpr (count > 1) {
      this_pipeline_has_several_stages_of_that_type_so_address_one_by_its_name<Selector, Pipeline> sentence;
      (void)sentence;
    }
    for (std::size_t i = 0; i < size; ++i)
      if (matches[i]) return i;
    return size;
  }
  template <class Selector> auto& get() { return std::get<index<Selector>()>(stages); }
  template <class Selector> auto const& get() const { return std::get<index<Selector>()>(stages); }

  /// Calls `f(stage)` for each stage in order.
  template <class F> void for_each(F&& f) {
    std::apply([&](auto&... s) { (f(s), ...); }, stages);
  }
  template <class F> void for_each(F&& f) const {
    std::apply([&](auto const&... s) { (f(s), ...); }, stages);
  }

  bool operator==(Pipeline const&) const = default;

 private:
  template <class T> static constexpr void demand_stage() {
    if constexpr (!dew::Stage<T>) {
      this_is_no_stage_it_needs_a_name_Reads_and_a_const_call_with_what_it_reads<T> sentence;
      (void)sentence;
    }
  }
  template <class T> static constexpr void demand_unique() {
    if constexpr (((S::name == T::name) + ... + 0) > 1) {
      two_stages_have_this_name_so_give_one_another_with_named<T> sentence;
      (void)sentence;
    }
  }
};

/// Adds the options of a policy under `prefix`; a policy without options adds none, one with parts of its own (`AnyOf`) adds theirs.
template <class P>
void add_options(OptionSet& set, std::string const& prefix, P& policy) {
  if constexpr (requires { policy.add_options(set, prefix); }) policy.add_options(set, prefix);
  else if constexpr (HasOptions<P>) set.add(prefix, policy.options);
}

/// Adds the options of every stage under its name.
template <class... S>
void add_options(OptionSet& set, Pipeline<S...>& pipeline) {
  pipeline.for_each([&]<class P>(P& stage) { add_options(set, std::string(P::name), stage); });
}

/// The pipeline as text: a line a stage, then its options.
template <class... S>
std::string print(Pipeline<S...> const& pipeline) {
  auto copy = pipeline;
  OptionSet set;
  add_options(set, copy);
  std::string text;
  for (auto name : Pipeline<S...>::names) {
    text += std::string(name) + "\n";
    for (auto const& e : set.entries())
      if (e.path.starts_with(std::string(name) + "."))
        text += fmt::format("  {} = {}{}\n", e.path.substr(name.size() + 1), e.get(), e.unit.empty() ? "" : " " + e.unit);
  }
  return text;
}

}  // namespace dew
