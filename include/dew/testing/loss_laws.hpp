// SPDX-License-Identifier: BSL-1.0
// The laws of losses, for every shipped loss and for a researcher's own.
#pragma once
#include "dew/loss/sum.hpp"
#include "dew/testing/laws.hpp"

namespace dew::testing {

namespace detail {
/// A sum of losses, called as one.
template <class S>
struct SumAsLoss {
  S sum;
  static constexpr std::string_view name = "sum";
  using Reads = typename S::Reads;
  using MayRead = typename S::MayRead;
  Tensor operator()(RecordOf<Reads, MayRead> const& event, Context const& context) const { return evaluate(sum, event, context).total; }
};

/// The event with other values in all that belongs to unknown hits: reals of those hits and of edges that touch them.
template <class R>
R with_other_unknown_hits(R const& event) {
  auto const unknown_hit = event[key::particle_id] < 0;
  auto const edges = event[key::edge_index];
  auto const unknown_edge = at::logical_or(unknown_hit.index_select(0, edges[0]), unknown_hit.index_select(0, edges[1]));
  R out = event;
  event.for_each([&]<class K>(K, Tensor const& t) {
    constexpr bool of_hits = std::same_as<typename K::Domain, Hits>;
    if constexpr (K::kind == Kind::real && (of_hits || std::same_as<typename K::Domain, Edges>)) {
      auto const& mask = of_hits ? unknown_hit : unknown_edge;
      auto const wide = t.dim() > 1 ? mask.unsqueeze(1) : mask;
      out = R(out.with(dew::set<K>(at::where(wide, t.flip(0), t))));
    }
  });
  return out;
}
}  // namespace detail

/// Puts a loss to the laws and returns a sentence for each one that it breaks:
///
/// - *one number*: a scalar of the record's dtype on its device, finite;
/// - *float and double* agree; *every device* agrees with the CPU;
/// - *gradients* with respect to every real tensor that it reads are those of finite differences, in double;
/// - *order*: hits and edges in another order give the same value;
/// - *empty event*: nothing to judge is 0 with a zero gradient; *one hit*: finite, value and gradient;
/// - *unknown hits* (id −1) take no part, where it reads particle ids;
/// - *determinism*: equal contexts give equal bits in training, whatever LibTorch's global generator is; without training no seed matters;
/// - *input*: it leaves its input as it was.
template <class L> requires Loss<L>
std::vector<std::string> loss_law_violations(L const& loss, LawOptions const& options = {}) {
  using detail::Wanted;
  Violations violations(options.sample.seed);
  auto const whole = sample_event<Wanted<L>>(options.sample);
  using Event = std::remove_const_t<decltype(whole)>;
  auto const value = [&](Event const& event, bool training = false, std::uint64_t seed = 7) {
    return Tensor(call(loss, event, context_for(event, training, seed)));
  };
  auto const number = [&](Event const& event) { return value(event).detach().to(at::kCPU, at::kDouble).reshape({1}); };
  auto const compare = [&](Tensor const& got, double tolerance) { return detail::difference("the value", got, number(whole), tolerance); };

  violations.law("one number", [&]() -> std::string {
    for (auto const type : {at::kFloat, at::kDouble}) {
      auto const v = value(whole.to(type));
      if (!v.defined() || v.dim() != 0) return fmt::format("expected a scalar, got {}", shape_text(v));
      if (v.scalar_type() != type) return fmt::format("{} from a record of {}", at::toString(v.scalar_type()), at::toString(type));
      if (!std::isfinite(v.template item<double>())) return fmt::format("is {}", v.template item<double>());
    }
    return "";
  });
  violations.law("float and double", [&] { return compare(number(whole.to(at::kFloat)), options.float_tolerance); });
  for (auto const device : options.devices)
    violations.law("device " + device.str(), [&]() -> std::string {
      auto const v = value(whole.to(device));
      return v.device().type() == device.type() ? compare(number(whole.to(device)), options.float_tolerance)
                                                : "the value is on another device";
    });
  violations.law("order", [&] {
    auto const order = random_order(whole.template rows<Hits>(), whole.template rows<Edges>(), options.sample.seed);
    return compare(number(reordered(whole, order)), options.tolerance);
  });
  violations.law("gradients", [&] {
    auto const event = detail::with_gradients<Wanted<L>>(whole);
    std::string wrong;
    event.for_each([&]<class K>(K, Tensor const& t) {
      if (wrong.empty() && t.requires_grad())
        wrong = detail::gradient_difference(std::string(K::name), t, [&] { return value(event); }, options);
    });
    return wrong;
  });
  auto const small = [&](Event const& bare, bool zero) -> std::string {
    auto const event = detail::with_gradients<Wanted<L>>(bare);
    auto const v = value(event);
    if (v.dim() != 0) return fmt::format("expected a scalar, got {}", shape_text(v));
    auto const x = v.template item<double>();
    if (zero ? x != 0 : !std::isfinite(x)) return fmt::format("is {}", x);
    if (v.requires_grad()) v.backward();
    std::string wrong;
    event.for_each([&]<class K>(K, Tensor const& t) {
      if (t.requires_grad() && t.grad().defined() && !at::isfinite(t.grad()).all().template item<bool>())
        wrong = fmt::format("the gradient of {} is not finite", K::name);
    });
    return wrong;
  };
  violations.law("empty event", [&] { return small(without_hits(whole), true); });
  violations.law("one hit", [&] { return small(with_one_hit(whole, detail::row_of_a_track(whole[key::particle_id])), false); });
  if constexpr (Wanted<L>::template has<ParticleId>)
    violations.law("unknown hits", [&] { return compare(number(detail::with_other_unknown_hits(whole)), options.tolerance); });
  violations.law("determinism", [&]() -> std::string {
    std::vector<Tensor> drawn;
    for (std::uint64_t const global : {1, 2}) {
      GlobalSeed const seeded(global);
      drawn.push_back(value(whole, true).detach());
    }
    if (!at::equal(drawn[0], drawn[1])) return "two calls with equal contexts differ";
    return at::equal(value(whole, false, 7).detach(), value(whole, false, 8).detach()) ? "" : "the seed matters without training";
  });
  violations.law("input", [&] {
    auto const event = whole;
    auto const before = detail::copies(event);
    value(event);
    return detail::changed(event, before);
  });
  return std::move(violations).take();
}

/// The same for a sum of losses, as one loss.
template <class... L>
std::vector<std::string> loss_law_violations(Sum<L...> const& sum, LawOptions const& options = {}) {
  return loss_law_violations(detail::SumAsLoss<Sum<L...>>{sum}, options);
}

/// Runs a loss or a sum of losses through `loss_law_violations` and fails the running doctest test case for each law that it breaks:
/// `TEST_CASE("my loss") { dew::testing::check_loss_laws(MyLoss{}); }`
template <class L>
void check_loss_laws(L const& loss, LawOptions const& options = {}) {
  if constexpr (requires { L::name; }) check_no_violations(L::name, loss_law_violations(loss, options));
  else check_no_violations("sum", loss_law_violations(as_sum(loss), options));
}

}  // namespace dew::testing
