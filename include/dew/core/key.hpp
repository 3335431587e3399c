// SPDX-License-Identifier: BSL-1.0
// Keys: the empty types under which a record holds its tensors, and what a key says about its tensor.
#pragma once
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dew/core/text.hpp"
#include "dew/core/torch.hpp"

namespace dew {

// ---- row domains: an open set of types; a user adds one by writing a type with a name ------------------------------------------
struct Hits { static constexpr std::string_view name = "hits"; };            ///< one row a hit
struct Edges { static constexpr std::string_view name = "edges"; };          ///< one row an edge between two hits
struct Particles { static constexpr std::string_view name = "particles"; };  ///< one row a true particle
struct Cells { static constexpr std::string_view name = "cells"; };          ///< one row a read-out cell
struct Nowhere { static constexpr std::string_view name = "-"; };            ///< the domain that plain values point into: none

/// What a tensor's elements are. All real tensors of a record share one dtype (float or double); integers are 64 bits wide.
enum class Kind { real, integer, boolean };

inline constexpr std::string_view kind_name(Kind kind) {
  return kind == Kind::real ? "real" : kind == Kind::integer ? "integer" : "boolean";
}

/// A trailing dimension that may have any length.
inline constexpr std::int64_t any = -1;
/// The shape of one row: `Shape<>` is a number a row, `Shape<3>` three, `Shape<any>` a free width.
template <std::int64_t... n>
struct Shape {
  static constexpr std::int64_t rank = sizeof...(n);
};

/// The base of every key. A key is one line:
///
///     struct DriftTime : Key<"drift_time", Hits, Kind::real, Shape<>, "ns", "time from the wire's signal"> {};
///
/// and is used as `record[DriftTime{}]` and `set<DriftTime>(tensor)`, or through an object, `inline constexpr Of<DriftTime> drift_time;`,
/// as `record[drift_time]` and `drift_time = tensor`. An index-valued key also says what its values are rows of (`PointsInto`), along which
/// dimension its own rows run (`row_dim`), and what becomes of a row whose target is dropped (`drops_row`: the row goes; else the value becomes −1).
template <Text name_, class Rows, Kind kind_, class Trailing_ = Shape<>, Text unit_ = "", Text help_ = "">
struct Key {
  using Domain = Rows;
  using Trailing = Trailing_;
  using PointsInto = Nowhere;
  static constexpr std::string_view name = name_.view();
  static constexpr Kind kind = kind_;
  static constexpr std::string_view unit = unit_.view();
  static constexpr std::string_view help = help_.view();
  static constexpr int row_dim = 0;
  static constexpr bool drops_row = false;
};

template <class K>
concept KeyLike = requires {
  typename K::Domain;
  typename K::Trailing;
  { K::name } -> std::convertible_to<std::string_view>;
  { K::kind } -> std::convertible_to<Kind>;
};

/// A tensor on its way into a record, under the key K.
template <KeyLike K>
struct Binding {
  Tensor value;
};

/// Binds `value` to the key K: `Record{set<DriftTime>(t)}`.
template <KeyLike K>
Binding<K> set(Tensor value) {
  return {std::move(value)};
}

/// The object form of a key: `key::beta`. Assigning to it binds a tensor, so that a record reads `Record{key::beta = b}`.
template <KeyLike K>
struct Of : K {
  Binding<K> operator=(Tensor value) const { return {std::move(value)}; }  // NOLINT(misc-unconventional-assign-operator)
};

namespace detail {
template <class K> struct KeyOf { using type = K; };
template <class K> struct KeyOf<Of<K>> { using type = K; };
}  // namespace detail
/// The key type behind a key or its object.
template <class K>
using KeyOf = typename detail::KeyOf<std::remove_cvref_t<K>>::type;

// ---- sets of keys --------------------------------------------------------------------------------------------------------------
/// A set of keys, as policies write it: `using Reads = Keys<Position, Layer>;`
template <class... K>
struct Keys {
  static constexpr std::size_t size = sizeof...(K);
  template <class Q>
  static constexpr bool has = (std::same_as<Q, K> || ...);
};

namespace detail {
template <class A, class... Q> struct Add { using type = A; };
template <class... K, class Q, class... Rest> struct Add<Keys<K...>, Q, Rest...> {
  using type = typename Add<std::conditional_t<Keys<K...>::template has<Q>, Keys<K...>, Keys<K..., Q>>, Rest...>::type;
};
template <class A, class B> struct Union;
template <class A, class... Q> struct Union<A, Keys<Q...>> { using type = typename Add<A, Q...>::type; };

template <class Out, class B, class... K> struct Keep { using type = Out; };
template <class... O, class B, class K, class... Rest> struct Keep<Keys<O...>, B, K, Rest...> {
  using type = typename Keep<std::conditional_t<B::template has<K>, Keys<O..., K>, Keys<O...>>, B, Rest...>::type;
};
template <class A, class B> struct Intersection;
template <class... K, class B> struct Intersection<Keys<K...>, B> { using type = typename Keep<Keys<>, B, K...>::type; };

template <class Out, class B, class... K> struct Without { using type = Out; };
template <class... O, class B, class K, class... Rest> struct Without<Keys<O...>, B, K, Rest...> {
  using type = typename Without<std::conditional_t<B::template has<K>, Keys<O...>, Keys<O..., K>>, B, Rest...>::type;
};
template <class A, class B> struct Difference;
template <class... K, class B> struct Difference<Keys<K...>, B> { using type = typename Without<Keys<>, B, K...>::type; };
template <class... A> struct UnionAll { using type = Keys<>; };
template <class A, class... Rest> struct UnionAll<A, Rest...> { using type = typename Union<A, typename UnionAll<Rest...>::type>::type; };
}  // namespace detail

template <class... A> using UnionOf = typename detail::UnionAll<A...>::type;  ///< keys in any of the sets, in order, once each
template <class A, class B> using IntersectionOf = typename detail::Intersection<A, B>::type;  ///< keys of A that are in B
template <class A, class B> using DifferenceOf = typename detail::Difference<A, B>::type;      ///< keys of A that are not in B

template <class A, class B> inline constexpr bool contains_all = DifferenceOf<B, A>::size == 0;  ///< A holds every key of B

}  // namespace dew
