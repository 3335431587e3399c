// SPDX-License-Identifier: BSL-1.0
// A trained pipeline under other options, as far as its training leaves them free.
#pragma once
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "dew/pipeline/trained.hpp"

namespace dew {

namespace detail {
/// Whether modules came out the same twice: names, kinds, shapes and values of all parameters and buffers.
inline bool same_tensors(std::map<std::string, Tensor> const& a, std::map<std::string, Tensor> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto const& x, auto const& y) {
    return x.first == y.first && x.second.scalar_type() == y.second.scalar_type() && at::equal(x.second, y.second);
  });
}
}  // namespace detail

/// The pipeline `wanted` with what `trained` has learned: its modules are made again with the options of `wanted` and take the weights
/// over, so that an option acts wherever it is read, when a module is made or when it is called.
///
/// An option is fixed by the training if with it a stage makes parameters or buffers of other names, shapes or first values: what it says
/// is in the weights already. Throws `Error` (usage) with a line for each of those that `wanted` has changed; `what` names where the
/// weights are from.
/// Makes all modules three times, and once more for each changed option of a stage that learns.
template <class... S>
Trained<Pipeline<S...>> with_options(Trained<Pipeline<S...>> const& trained, Pipeline<S...> const& wanted, std::string const& what) {
  auto const fresh = [&](Pipeline<S...> const& p) { return Trained<Pipeline<S...>>(p, trained.widths(), trained.seed()); };
  auto const learned = [](std::string const& path) { return ((Learns<S> && path.starts_with(fmt::format("{}.", S::name))) || ...); };
  auto here = trained.pipeline, there = wanted;
  OptionSet its, others;
  add_options(its, here);
  add_options(others, there);
  std::optional<std::map<std::string, Tensor>> first;  // values of its own options
  std::string fixed;
  for (auto const& option : its.entries()) {
    auto const own = option.get(), other = others.at(option.path).get();
    if (own == other || !learned(option.path)) continue;
    if (!first) first = fresh(trained.pipeline).tensors();
    option.set(toml_words(other));  // this one alone
    if (!detail::same_tensors(fresh(here).tensors(), *first))
      fixed += fmt::format("{}{}: {} is {}, fixed by the training, and cannot become {}; leave it out, or train another run with it",
                           fixed.empty() ? "" : "\n", what, option.path, own, other);
    option.set(toml_words(own));
  }
  check(fixed.empty(), ErrorKind::usage, "{}", fixed);
  auto out = fresh(wanted);
  out.to(trained.device());
  out.load_tensors(trained.tensors(), what);
  return out;
}

}  // namespace dew
