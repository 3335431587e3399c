// SPDX-License-Identifier: BSL-1.0
// The laws of models, for every shipped model and for a researcher's own.
#pragma once
#include "dew/testing/stage_laws.hpp"

namespace dew::testing {

/// Puts a model, with the weights that it is made with, to the laws and returns a sentence for each one that it breaks:
///
/// - *shapes*: every key that it promises, rows, dtype and device as in the record, finite; also for an *empty event* and *one hit*;
/// - *float and double* agree; *every device* agrees with the CPU;
/// - *order*: hits and edges in another order do the same to the rows of the result;
/// - *gradients*: those of the result's reals (times random weights, summed) with respect to every parameter and to every real tensor that
///   it reads are those of finite differences, in double;
/// - *made alike*: the same seed and widths give the same weights, and all of them are in the module's named parameters and buffers;
/// - *determinism*: equal contexts give equal bits, with LibTorch's global generator seeded as in training;
/// - *input*: it leaves its input as it was;
/// - *may read*: it is made and runs without what it only may read; *bare hits*: it reads nothing of the truth.
template <class P> requires Model<P>
std::vector<std::string> model_law_violations(P const& model, LawOptions const& options = {}) {
  using detail::Wanted;
  Violations violations(options.sample.seed);
  auto const whole = sample_event<Wanted<P>>(options.sample);
  auto const made = [&](auto const& event) {
    at::AutoGradMode grad(true);
    GlobalSeed const seeded(options.sample.seed);
    return std::shared_ptr<typename P::Module>(model.make(Widths::of(event)));
  };
  auto const run = [&](auto const& event, Context const& context) {
    auto const net = made(event);
    net->to(event.device(), event[key::hit_features].scalar_type());
    net->train(context.training);
    InputOf<P> const input = event;
    return model(input, *net, context);
  };
  detail::stage_laws<P>(violations, whole, run, options);

  violations.law("made alike", [&]() -> std::string {
    auto const a = made(whole), b = made(whole);
    auto const one = a->named_parameters(), two = b->named_parameters();
    for (auto const& p : one)
      if (!two.contains(p.key()) || !at::equal(p.value(), two[p.key()])) return p.key() + " is not the same when made again";
    // weights copied by name, as a checkpoint does, must make another module the same
    auto const c = [&] {
      at::AutoGradMode grad(true);
      GlobalSeed const seeded(options.sample.seed + 1);
      return model.make(Widths::of(whole));
    }();
    at::NoGradGuard no_grad;
    for (auto const& p : c->named_parameters()) Tensor(p.value()).copy_(one[p.key()]);
    auto const buffers = a->named_buffers();
    for (auto const& p : c->named_buffers()) Tensor(p.value()).copy_(buffers[p.key()]);
    for (auto const& net : {a, c}) net->to(at::kDouble), net->eval();
    InputOf<P> const input = whole;
    auto const wrong = detail::bit_difference(detail::columns(model(input, *c, context_for(whole))),
                                              detail::columns(model(input, *a, context_for(whole))));
    return wrong.empty() ? "" : wrong + " after its weights were copied by name into another module";
  });
  violations.law("gradients", [&] {
    auto const event = detail::with_gradients<Wanted<P>>(whole);
    auto const net = made(whole);
    net->to(at::kDouble);
    net->eval();
    std::vector<Tensor> weights;
    auto const value = [&] {
      InputOf<P> const input = event;
      auto total = at::zeros({}, at::kDouble);
      std::size_t i = 0;
      model(input, *net, context_for(event)).for_each([&](auto const&, Tensor const& t) {
        if (!t.is_floating_point() || t.numel() == 0) return;
        if (i == weights.size()) weights.push_back(detail::Numbers(i + 1).normals(t.numel(), 0).reshape(t.sizes()));
        total = total + (weights[i++] * t).sum();
      });
      return total;
    };
    std::string wrong;
    auto const check_leaf = [&](std::string const& name, Tensor const& leaf) {
      if (wrong.empty() && leaf.requires_grad()) wrong = detail::gradient_difference(name, leaf, value, options);
    };
    event.for_each([&]<class K>(K, Tensor const& t) { check_leaf(std::string(K::name), t); });
    for (auto const& p : net->named_parameters()) check_leaf("parameter " + p.key(), p.value());
    return wrong;
  });
  return std::move(violations).take();
}

/// Runs a model through `model_law_violations` and fails the running doctest test case for each law that it breaks.
template <class P>
void check_model_laws(P const& model, LawOptions const& options = {}) {
  check_no_violations(P::name, model_law_violations(model, options));
}

}  // namespace dew::testing
