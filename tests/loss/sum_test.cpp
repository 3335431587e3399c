// SPDX-License-Identifier: BSL-1.0
#include "dew/loss/sum.hpp"

#include <doctest/doctest.h>

#include "dew/core/torch.hpp"
#include "dew/event/schema.hpp"

using namespace dew;

namespace {
/// A loss as a user writes it: Σ β.
struct TotalBeta {
  static constexpr std::string_view name = "total_beta";
  using Reads = dew::Keys<Beta>;
  at::Tensor operator()(dew::Record<Beta> const& event) const { return event[key::beta].sum(); }
  bool operator==(TotalBeta const&) const = default;
};
/// With options and a context.
struct Epoch {
  struct Options {
    double scale = 1;
    static constexpr auto describe() { return dew::hana::make_tuple(DEW_OPTION(scale, "", "factor")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "epoch";
  using Reads = dew::Keys<Latent>;
  at::Tensor operator()(dew::Record<Latent> const& event, dew::Context const& context) const {
    return event[key::latent].sum() * options.scale * double(context.epoch);
  }
  bool operator==(Epoch const&) const = default;
};
struct Broken {
  static constexpr std::string_view name = "broken";
  using Reads = dew::Keys<Beta>;
  at::Tensor operator()(dew::Record<Beta> const& event) const { return event[key::beta] / 0; }
  bool operator==(Broken const&) const = default;
};

auto event() {
  return dew::Record{key::beta = at::tensor({1.0, 2.0}, at::kDouble), key::latent = at::tensor({3.0, 4.0}, at::kDouble).reshape({2, 1})};
}
dew::Context const second{.epoch = 2};
template <class S> double total(S const& sum) { return dew::evaluate(dew::as_sum(sum), event(), second).total.template item<double>(); }

// losses in a namespace with operators of its own, which know nothing of ours
namespace elsewhere {
struct Mine : TotalBeta {
  static constexpr std::string_view name = "mine";
  bool operator==(Mine const&) const = default;
};
template <class A, class B> int operator+(A, B) { return 7; }
template <class B> int operator*(double, B) { return 8; }
}  // namespace elsewhere
}  // namespace

TEST_CASE("sum: weights multiply, terms add, and are reported without their weight") {
  auto const sum = TotalBeta{} + 0.5 * Epoch{{.scale = 3}};
  auto const value = dew::evaluate(sum, event(), second);
  CHECK(value.total.item<double>() == doctest::Approx(3 + 0.5 * 7 * 3 * 2));
  REQUIRE(value.terms.size() == 2);
  CHECK(value.terms[0] == std::pair<std::string, double>("total_beta", 3));
  CHECK(value.terms[1] == std::pair<std::string, double>("epoch", 42));
}

TEST_CASE("sum: a weight over a sum reaches every term - all spellings say the same") {
  CHECK(total(TotalBeta{}) == 3);
  CHECK(total(2 * TotalBeta{}) == 6);
  CHECK(total(TotalBeta{} * 2) == 6);
  CHECK(total(2 * (3 * TotalBeta{})) == 18);
  CHECK(total(2 * (TotalBeta{} + 0.5 * Epoch{})) == doctest::Approx(2 * (3 + 7)));
  auto const spelt = dew::weighted(2, dew::sum(TotalBeta{}, dew::weighted(0.5, Epoch{})));
  CHECK(bool(spelt == 2 * (TotalBeta{} + 0.5 * Epoch{})));
  CHECK_FALSE(bool(spelt == 2 * (TotalBeta{} + 0.25 * Epoch{})));
  CHECK(bool(dew::sum(TotalBeta{} + Epoch{}) == dew::sum(TotalBeta{}, Epoch{})));
  CHECK(total(dew::sum(TotalBeta{}, dew::named<"again">(TotalBeta{}) + Epoch{}, dew::named<"twice">(TotalBeta{}))) ==
        doctest::Approx(9 + 14));
}

TEST_CASE("sum: losses in a namespace with operators of its own") {
  using elsewhere::Mine;
  CHECK(total(dew::sum(Mine{}, dew::weighted(2, TotalBeta{}))) == 9);
}

TEST_CASE("sum: reads what its terms read, once") {
  using S = decltype(TotalBeta{} + Epoch{} + dew::named<"again">(TotalBeta{}));
  static_assert(std::same_as<S::Reads, dew::Keys<Beta, Latent>>);
  static_assert(std::same_as<S, dew::Sum<TotalBeta, Epoch, dew::Named<"again", TotalBeta>>>);
  static_assert(!dew::LossTerm<at::Tensor> && !dew::LossTerm<int> && dew::LossTerm<S>);
}

TEST_CASE("sum: LibTorch's operators are as they were") {
  auto const t = at::ones({2});
  CHECK((0.5 * t + t * 2 + t).sum().item<double>() == doctest::Approx(7));
}

TEST_CASE("sum: a term of weight 0 is reported but adds nothing, not even what is no number") {
  auto const sum = 0 * dew::named<"nothing">(Epoch{{.scale = std::nan("")}}) + TotalBeta{};
  auto const value = dew::evaluate(sum, event(), second);
  CHECK(value.total.item<double>() == 3);
  CHECK(std::isnan(value.terms[0].second));
}

TEST_CASE("sum: a loss that gives more than one number is refused") {
  CHECK_THROWS_WITH_AS(dew::evaluate(dew::as_sum(Broken{}), event(), {}), doctest::Contains("broken: a loss gives one number, not [2]"),
                       dew::Error);
}

TEST_CASE("sum: gradients are the weighted ones") {
  auto const beta = at::tensor({1.0, 2.0}, at::kDouble).requires_grad_();
  auto const sum = 0.25 * TotalBeta{} + 0 * dew::named<"again">(TotalBeta{});
  dew::evaluate(sum, event().with(key::beta = beta), {}).total.backward();
  CHECK(at::equal(beta.grad(), at::full({2}, 0.25, at::kDouble)));
}
