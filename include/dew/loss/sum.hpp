// SPDX-License-Identifier: BSL-1.0
// Sums of weighted losses: `Attraction{} + Repulsion{} + 0.1 * Coward{}`.
#pragma once
#include <string>
#include <tuple>
#include <utility>

#include "dew/core/policy.hpp"

namespace dew {

// Sentences: undefined types whose names are what a user reads when a program does not compile.
template <class Loss> struct two_losses_of_this_sum_have_one_name_so_give_one_another_with_named;

/// A loss and what it counts in a sum.
template <Loss L>
struct Weighted {
  double weight = 1;
  L loss;
  bool operator==(Weighted const&) const = default;
};

namespace detail {
template <class L, class... All>
constexpr bool named_once() {
  if constexpr (((std::string_view(All::name) == std::string_view(L::name)) + ... + 0) > 1) {
    two_losses_of_this_sum_have_one_name_so_give_one_another_with_named<L> sentence;
    (void)sentence;
  }
  return true;
}
}  // namespace detail

/// Σ weight · loss. Each loss is told apart by its name, under which its value is reported and its options and its weight are found; two
/// of one name do not compile (`named<"far">(Repulsion{…})` gives another).
template <Loss... L>
struct Sum {
  static_assert((detail::named_once<L, L...>() && ...));
  using Reads = UnionOf<ReadsOf<L>...>;
  using MayRead = UnionOf<MayReadOf<L>...>;
  std::tuple<Weighted<L>...> terms;
  bool operator==(Sum const&) const = default;
};

/// A sum as it is, a loss or a weighted loss as a sum of one term.
template <Loss L> Sum<L> as_sum(L loss) { return {{Weighted<L>{1.0, std::move(loss)}}}; }
template <Loss L> Sum<L> as_sum(Weighted<L> term) { return {{std::move(term)}}; }
template <Loss... L> Sum<L...> as_sum(Sum<L...> sum) { return sum; }

/// What can be added: a loss, a weighted loss, a sum.
template <class T> concept LossTerm = requires(T t) { dew::as_sum(std::move(t)); };

namespace detail {
template <Loss... A, Loss... B>
Sum<A..., B...> joined(Sum<A...> a, Sum<B...> b) {
  return {std::tuple_cat(std::move(a.terms), std::move(b.terms))};
}
}  // namespace detail

/// `weight` times a loss, or each term of a sum. For losses in a namespace with operators of its own; else `0.1 * loss` says the same.
template <Loss L> Weighted<L> weighted(double weight, L loss) { return {weight, std::move(loss)}; }
template <Loss L> Weighted<L> weighted(double weight, Weighted<L> term) { return {weight * term.weight, std::move(term.loss)}; }
template <Loss... L> Sum<L...> weighted(double weight, Sum<L...> sum) {
  std::apply([&](auto&... term) { ((term.weight *= weight), ...); }, sum.terms);
  return sum;
}

/// The sum of losses, weighted losses and sums; for losses in a namespace with operators of its own. Else `a + b` says the same.
template <LossTerm First, LossTerm... Rest>
auto sum(First first, Rest... rest) {
  if constexpr (sizeof...(Rest) == 0) return as_sum(std::move(first));
  else return detail::joined(as_sum(std::move(first)), dew::sum(std::move(rest)...));
}

template <LossTerm A, LossTerm B> auto operator+(A a, B b) { return detail::joined(as_sum(std::move(a)), as_sum(std::move(b))); }
template <LossTerm T> auto operator*(double weight, T term) { return weighted(weight, std::move(term)); }
template <LossTerm T> auto operator*(T term, double weight) { return weighted(weight, std::move(term)); }

/// The value of a sum on one event.
struct LossValue {
  Tensor total;   ///< scalar, Σ weight · value
  Figures terms;  ///< each term's name and its value without its weight, in order
};

/// Each loss on the event, once. A term of weight 0 is reported but adds nothing, not even what is not a number.
template <class... L, class R>
LossValue evaluate(Sum<L...> const& sum, R const& record, Context const& context) {
  LossValue out;
  std::apply(
      [&](auto const&... term) {
        (
            [&]<class T>(Weighted<T> const& t) {
              auto own = context;
              own.seed = mix_seed(context.seed, T::name);  // no two terms draw the same numbers
              own.shared_seed = context.seed;              // but for those that they must share
              Tensor const value = call(t.loss, record, own);
              check(value.dim() == 0 || value.numel() == 1, "{}: a loss gives one number, not {}", T::name, shape_text(value));
              out.terms.emplace_back(std::string(T::name), value.template item<double>());
              auto const weighed = t.weight == 0 ? value.new_zeros({}) : t.weight == 1 ? value : t.weight * value;
              out.total = out.total.defined() ? out.total + weighed : weighed;
            }(term),
            ...);
      },
      sum.terms);
  return out;
}

}  // namespace dew
