// SPDX-License-Identifier: BSL-1.0
// What a callback wants to find again when its training goes on.
#pragma once
#include <concepts>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "dew/core/torch.hpp"

namespace dew {

/// A callback's state: numbers and text as JSON, which come back bit for bit but for what is not finite (null), and tensors. It stands in
/// every checkpoint, so keep it small.
struct CallbackState {
  nlohmann::json values = {};
  std::map<std::string, Tensor> tensors = {};
};

/// A callback that gives its state and takes it back. `name` tells it apart in a checkpoint.
///
///     struct Counter {
///       static constexpr std::string_view name = "counter";
///       std::int64_t steps = 0;
///       void on(StepEnded const&) { ++steps; }
///       CallbackState state() const { return {.values = steps}; }
///       void restore(CallbackState const& kept) { kept.values.get_to(steps); }
///     };
template <class C> concept KeepsState = requires(C& c, C const& k, CallbackState const& kept) {
  { k.state() } -> std::convertible_to<CallbackState>;
  c.restore(kept);
  { C::name } -> std::convertible_to<std::string_view>;
};

}  // namespace dew
