// SPDX-License-Identifier: BSL-1.0
// A choice of parts at run time.
#pragma once
#include "dew/core/torch_nn.hpp"
#include "dew/pipeline/pipeline.hpp"

namespace dew {

namespace detail {
template <bool learns, class... P> struct AnyOfModule {};
template <class... P> struct AnyOfModule<true, P...> {
  /// The module of the alternative that was chosen when it was made.
  struct Module : torch::nn::Module {
    std::size_t choice = 0;
    std::shared_ptr<torch::nn::Module> chosen;
  };
};
template <bool not_cacheable> struct AnyOfCacheable { bool operator==(AnyOfCacheable const&) const = default; };
template <> struct AnyOfCacheable<true> {
  static constexpr bool cacheable = false;
  bool operator==(AnyOfCacheable const&) const = default;
};
template <class... P> struct IntersectionAll;
template <class A> struct IntersectionAll<A> { using type = A; };
template <class A, class B, class... Rest> struct IntersectionAll<A, B, Rest...> {
  using type = typename IntersectionAll<IntersectionOf<A, B>, Rest...>::type;
};

/// f(the element number `n` of a tuple).
template <std::size_t i = 0, class... T, class F> auto visit_nth(std::tuple<T...> const& tuple, std::size_t n, F& f) {
  if constexpr (i + 1 == sizeof...(T)) return f(std::get<i>(tuple));
  else return n == i ? f(std::get<i>(tuple)) : visit_nth<i + 1>(tuple, n, f);
}

/// The option that chooses one of `names`.
template <std::size_t n>
OptionEntry choice_option(std::string const& path, char const* help, std::array<std::string_view, n> const& names, std::size_t& choice) {
  return {path,
          "",
          help,
          fmt::format("{}", fmt::join(names, "|")),
          to_text(names[choice]),
          [&names, &choice] { return to_text(names[choice]); },
          [&names, &choice, path](std::vector<std::string> const& words) {
            auto const at = words.size() == 1 ? std::find(names.begin(), names.end(), words[0]) : names.end();
            check(at != names.end(), ErrorKind::usage, "{}: expected one of {}, got '{}'", path, fmt::join(names, ", "),
                  fmt::join(words, ","));
            choice = std::size_t(at - names.begin());
          }};
}
}  // namespace detail

/// One stage out of several, chosen by the option `choice` when the program runs. It reads what any of its alternatives reads and writes what all of
/// them write. The options of every alternative stand under its name: `any_of.choice`, `any_of.dbscan.eps`, ….
///
///     Pipeline{…, named<"clusterer">(AnyOf{Dbscan{}, ConnectedComponents{}})}      // --clusterer.choice connected_components
template <class... P>
struct AnyOf : detail::AnyOfModule<(Learns<P> || ...), P...>, detail::AnyOfCacheable<(detail::says_not_cacheable<P>() || ...)> {
  static_assert(sizeof...(P) > 0 && !(DropsRows<P> || ...), "AnyOf holds at least one policy, and none that drops rows");
  static constexpr std::string_view name = "any_of";
  static constexpr std::array<std::string_view, sizeof...(P)> names{P::name...};
  using Reads = UnionOf<ReadsOf<P>...>;
  using MayRead = DifferenceOf<UnionOf<MayReadOf<P>...>, Reads>;
  using Writes = typename detail::IntersectionAll<WritesOf<P>...>::type;

  std::tuple<P...> alternatives;
  std::size_t choice = 0;

  explicit AnyOf(P... p) : alternatives(std::move(p)...) {}
  bool operator==(AnyOf const&) const = default;

  void add_options(OptionSet& set, std::string const& prefix) {
    set.add(detail::choice_option(prefix + ".choice", "the part that is used", names, choice));
    std::apply([&](auto&... p) { (dew::add_options(set, prefix + "." + std::string(std::remove_cvref_t<decltype(p)>::name), p), ...); },
               alternatives);
  }

  void require(Widths const& available) const {
    visit([&](auto const& p) {
      if constexpr (requires { p.require(available); }) p.require(available);
    });
  }

  auto make(Widths const& widths) const requires(Learns<P> || ...)
  {
    auto module = std::make_shared<typename AnyOf::Module>();
    module->choice = choice;
    visit([&]<class Q>(Q const& p) {
      if constexpr (Learns<Q>) module->chosen = module->register_module(std::string(Q::name), p.make(widths));
    });
    return module;
  }

  RecordOf<Writes> operator()(RecordOf<Reads, MayRead> const& event, Context const& context) const requires(!(Learns<P> || ...))
  {
    return visit([&](auto const& p) -> RecordOf<Writes> { return call(p, event, context); });
  }
  template <class M> requires(Learns<P> || ...)
  RecordOf<Writes> operator()(RecordOf<Reads, MayRead> const& event, M& module, Context const& context) const {
    check(module.choice == choice, ErrorKind::usage, "{}: the choice is '{}', but what was trained is '{}'", name, names[choice],
          names[module.choice]);
    return visit([&]<class Q>(Q const& p) -> RecordOf<Writes> {
      if constexpr (Learns<Q>) return p(InputOf<Q>(event), dynamic_cast<typename Q::Module&>(*module.chosen), context);
      else return call(p, event, context);
    });
  }

 private:
  template <class F> auto visit(F&& f) const { return detail::visit_nth(alternatives, choice, f); }
};

}  // namespace dew
