// SPDX-License-Identifier: BSL-1.0
// Policies: the plain classes that users write. What a stage, a loss and a metric consist of, and how they are called.
#pragma once
#include <concepts>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/context.hpp"
#include "dew/core/options.hpp"
#include "dew/core/record.hpp"
#include "dew/core/text.hpp"
#include "dew/core/widths.hpp"

namespace dew {

// ---- what a policy says of itself; everything but `name` and `Reads` is optional ------------------------------------------------
namespace detail {
template <class P> struct WritesImpl { using type = Keys<>; };
template <class P> requires requires { typename P::Writes; }
struct WritesImpl<P> {
  using type = typename P::Writes;
};
template <class P> struct MayReadImpl { using type = Keys<>; };
template <class P> requires requires { typename P::MayRead; }
struct MayReadImpl<P> {
  using type = typename P::MayRead;
};
}  // namespace detail
template <class P> using ReadsOf = typename P::Reads;
template <class P> using WritesOf = typename detail::WritesImpl<P>::type;
template <class P> using MayReadOf = typename detail::MayReadImpl<P>::type;
/// What a policy is called with: the keys it reads, and slots for those that it may read.
template <class P> using InputOf = RecordOf<ReadsOf<P>, MayReadOf<P>>;

template <class P> concept HasAName = requires {
  { P::name } -> std::convertible_to<std::string_view>;
};
template <class P> concept SaysWhatItReads = requires { typename P::Reads; };
template <class P> concept HasOptions =
    requires(P p) { p.options; } && Described<std::remove_cvref_t<decltype(std::declval<P&>().options)>>;
/// A policy that learns has a module and makes it from widths.
template <class P> concept Learns = requires(P const& p, Widths const& w) {
  typename P::Module;
  { p.make(w) } -> std::convertible_to<std::shared_ptr<typename P::Module>>;
};
/// A policy that drops rows of a domain: it returns a mask [rows, bool] of those that stay, and the pipeline applies it.
template <class P> concept DropsRows = requires { typename P::Selects; };
/// A stage that exists only where the truth is known; a trained pipeline runs without it.
template <class P> concept LabelledOnly = requires { requires P::labelled_only; };
/// A policy that brings a truth stage along: `truth()` returns a `LabelledOnly` policy that runs right after it.
template <class P> concept BringsTruth = requires(P const& p) {
  { p.truth() };
};

/// A policy that says itself whether what it writes may be kept.
template <class P> concept SaysWhetherCacheable = requires {
  { P::cacheable } -> std::convertible_to<bool>;
};

namespace detail {
template <class P> constexpr bool says_not_cacheable() {
  if constexpr (SaysWhetherCacheable<P>) return !P::cacheable;
  else return false;
}
template <class P, class R> concept CalledWithModule =
    requires(P const& p, R const& r, typename P::Module& m, Context const& c) { p(r, m, c); };
template <class P, class R> concept CalledWithContext = requires(P const& p, R const& r, Context const& c) { p(r, c); };
template <class P, class R> concept CalledPlainly = requires(P const& p, R const& r) { p(r); };
}  // namespace detail
/// A policy can be called as `p(record)`, `p(record, context)` or, when it learns, `p(record, module, context)`.
template <class P> concept CanBeCalledWithWhatItReads =
    SaysWhatItReads<P> &&
    (detail::CalledWithModule<P, InputOf<P>> || detail::CalledWithContext<P, InputOf<P>> || detail::CalledPlainly<P, InputOf<P>>);

/// Calls a policy that learns nothing, whichever way it wants to be called.
template <class P, class R>
auto call(P const& policy, R const& record, Context const& context) {
  InputOf<P> const input = record;
  if constexpr (detail::CalledWithContext<P, InputOf<P>>) return policy(input, context);
  else return policy(input);
}

// ---- the families ---------------------------------------------------------------------------------------------------------------
/// Any part of a pipeline.
template <class P> concept Stage = HasAName<P> && SaysWhatItReads<P> && CanBeCalledWithWhatItReads<P> && std::copy_constructible<P>;
/// record → record or mask.
template <class P> concept Transform = Stage<P> && !Learns<P>;
/// hits → edges.
template <class P> concept GraphBuilder = Stage<P> && WritesOf<P>::template has<struct EdgeIndex>;
/// What learns.
template <class P> concept Model = Stage<P> && Learns<P>;
/// → labels.
template <class P> concept Clusterer = Stage<P> && WritesOf<P>::template has<struct Label>;

/// One event in, one scalar out: `at::Tensor operator()(RecordOf<Reads> const&) const`, or with a `Context const&` behind when it draws numbers.
template <class P> concept ReturnsATensor = CanBeCalledWithWhatItReads<P> && requires(P const& p, InputOf<P> const& r, Context const& c) {
  { call(p, r, c) } -> std::convertible_to<Tensor>;
};
template <class P> concept Loss = HasAName<P> && SaysWhatItReads<P> && ReturnsATensor<P>;

/// The figures of one event, by name, in the order in which they are to be printed; NaN is "undefined for this event".
using Figures = std::vector<std::pair<std::string, double>>;
/// One event in, named numbers out: `Figures operator()(RecordOf<Reads> const&) const`. The framework puts `name.` before each, and averages over events.
template <class P> concept Metric =
    HasAName<P> && SaysWhatItReads<P> && CanBeCalledWithWhatItReads<P> && requires(P const& p, InputOf<P> const& r, Context const& c) {
      { call(p, r, c) } -> std::convertible_to<Figures>;
    };

/// An event source gives hits, and hits with their truth, by event number.
template <class S> concept EventSource = HasAName<S> && requires(S const& s, std::int64_t id) {
  s.hits(id);
  s.labelled(id);
  { s.ids() } -> std::convertible_to<std::vector<std::int64_t>>;
};

// ---- names ------------------------------------------------------------------------------------------------------------------------
/// A stage under a name of its own, so that a pipeline can hold two of one type.
template <Text stage_name_, class P>
struct Named : P {
  using Policy = P;
  static constexpr std::string_view name = stage_name_.view();
  bool operator==(Named const&) const = default;
};
/// `named<"coarse">(EdgeClassifier{…})`; the options are then under `coarse.…`, and `fit<"coarse">(…)` trains it.
template <Text stage_name, class P>
Named<stage_name, P> named(P policy) {
  return {std::move(policy)};
}

}  // namespace dew
