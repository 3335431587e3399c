// SPDX-License-Identifier: BSL-1.0
// LibTorch's optimisers from options, and their state as named tensors.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "dew/core/torch_nn.hpp"
#include "dew/train/fit.hpp"

namespace dew {

/// Parameters under the names that a checkpoint gives them.
using NamedParameters = std::vector<std::pair<std::string, Tensor>>;

inline std::unique_ptr<torch::optim::Optimizer> make_optimiser(FitOptions const& o, NamedParameters const& parameters) {
  std::vector<Tensor> list;
  for (auto const& [name, t] : parameters) list.push_back(t);
  switch (o.optimiser) {
    case Optimiser::adam:
      return std::make_unique<torch::optim::Adam>(list, torch::optim::AdamOptions(o.learning_rate).weight_decay(o.weight_decay));
    case Optimiser::sgd:
      return std::make_unique<torch::optim::SGD>(
          list, torch::optim::SGDOptions(o.learning_rate).momentum(o.momentum).weight_decay(o.weight_decay));
    case Optimiser::adamw: break;
  }
  return std::make_unique<torch::optim::AdamW>(list, torch::optim::AdamWOptions(o.learning_rate).weight_decay(o.weight_decay));
}

namespace detail {
template <class State> void save_adam(State& s, std::string const& prefix, std::map<std::string, Tensor>& out) {
  out[prefix + "step"] = at::scalar_tensor(s.step(), at::kLong).reshape({1});
  out[prefix + "exp_avg"] = s.exp_avg();
  out[prefix + "exp_avg_sq"] = s.exp_avg_sq();
}
}  // namespace detail

/// The state of an optimiser as `optimiser.<parameter>.<slot>`; parameters that never had a gradient have none.
inline std::map<std::string, Tensor> optimiser_state(torch::optim::Optimizer& optimiser, NamedParameters const& parameters) {
  std::map<std::string, Tensor> out;
  for (auto const& [name, p] : parameters) {
    auto const at = optimiser.state().find(p.unsafeGetTensorImpl());
    if (at == optimiser.state().end()) continue;
    auto const prefix = "optimiser." + name + ".";
    if (auto* adamw = dynamic_cast<torch::optim::AdamWParamState*>(at->second.get())) detail::save_adam(*adamw, prefix, out);
    else if (auto* adam = dynamic_cast<torch::optim::AdamParamState*>(at->second.get())) detail::save_adam(*adam, prefix, out);
    else if (auto* sgd = dynamic_cast<torch::optim::SGDParamState*>(at->second.get()); sgd && sgd->momentum_buffer().defined())
      out[prefix + "momentum"] = sgd->momentum_buffer();
  }
  return out;
}

/// Puts a saved state back. Parameters without one start afresh.
inline void restore_optimiser_state(torch::optim::Optimizer& optimiser, NamedParameters const& parameters,
                                    std::map<std::string, Tensor> const& saved) {
  auto const adam = [&]<class State>(std::unique_ptr<State> state, std::string const& prefix) {
    state->step(saved.at(prefix + "step").item<std::int64_t>());
    state->exp_avg(saved.at(prefix + "exp_avg").clone());
    state->exp_avg_sq(saved.at(prefix + "exp_avg_sq").clone());
    return state;
  };
  for (auto const& [name, p] : parameters) {
    auto const prefix = "optimiser." + name + ".";
    auto& slot = optimiser.state();
    if (saved.contains(prefix + "step")) {
      if (dynamic_cast<torch::optim::AdamW*>(&optimiser))
        slot[p.unsafeGetTensorImpl()] = adam(std::make_unique<torch::optim::AdamWParamState>(), prefix);
      else slot[p.unsafeGetTensorImpl()] = adam(std::make_unique<torch::optim::AdamParamState>(), prefix);
    } else if (saved.contains(prefix + "momentum")) {
      auto state = std::make_unique<torch::optim::SGDParamState>();
      state->momentum_buffer(saved.at(prefix + "momentum").clone());
      slot[p.unsafeGetTensorImpl()] = std::move(state);
    }
  }
}

/// The norm of all gradients together. With `largest` above 0 they are scaled down to that norm where it is larger.
inline double clip_gradient(NamedParameters const& parameters, double largest) {
  std::vector<Tensor> with_gradient;
  for (auto const& [name, p] : parameters)
    if (p.grad().defined()) with_gradient.push_back(p);
  if (with_gradient.empty()) return 0;
  if (largest > 0) return torch::nn::utils::clip_grad_norm_(with_gradient, largest);
  at::NoGradGuard no_grad;
  std::vector<Tensor> norms;
  for (auto const& p : with_gradient) norms.push_back(at::linalg_vector_norm(p.grad()));
  return at::linalg_vector_norm(at::stack(norms)).item<double>();
}

/// Sets the learning rate of every parameter group.
inline void set_learning_rate(torch::optim::Optimizer& optimiser, double rate) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(rate);
}

}  // namespace dew
