// SPDX-License-Identifier: BSL-1.0
// gathered_mlp: an MLP on rows that are put together from gathered and given parts, and the sum of its output at targets. On the CPU tile by
// tile, so that neither the rows nor a hidden layer ever stand in memory.
// R rows (edges, or hits), N rows that are gathered from, h hidden width, o output width.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/ops/gathered_mlp_impl.hpp"
#include "dew/ops/message_passing.hpp"

namespace dew {

/// A part of the rows that is looked up: row r holds `values[index[r]]`.
struct GatheredPart {
  Tensor values;  ///< [N, n]
  Tensor index;   ///< [R] int64
};

/// The rows that an MLP reads: [gathered₁, gathered₂, …, given₁, given₂, …] side by side.
struct MlpRows {
  std::vector<GatheredPart> gathered = {};
  std::vector<Tensor> given = {};                 ///< [R, m] each
  PartTransform transform = PartTransform::none;  ///< what the given parts go through before the first layer
  Tensor norm_weight = {}, norm_bias = {};        ///< [m] for layer_norm, of the one given part
  double norm_eps = 1e-5;
  bool residual = false;  ///< adds the first given part, untransformed, to the output: o = m
  /// Several given parts that are made one from another: the gradient of each is made when the way back reaches it, and not of all at once.
  /// Not with a transform or a residual.
  bool late_gradients = false;
};

/// The layers of an MLP: Linear, then (ReLU, Linear) as often as there are further weights.
struct MlpLayers {
  std::vector<Tensor> weights = {};  ///< [h, in], [h, h], …, [o, h]
  std::vector<Tensor> biases = {};   ///< [h], …, [o], or none at all
  bool final_relu = false;
  Products products = Products::float32;
};

/// What came out for each row, and its sum at each target.
struct Messages {
  Tensor values;  ///< [R, o]
  Tensor sums;    ///< [targets, o]
};

namespace detail {

inline std::int64_t rows_of(MlpRows const& rows) {
  return rows.gathered.empty() ? rows.given.front().size(0) : rows.gathered.front().index.size(0);
}

inline void check_gathered_mlp(MlpRows const& rows, MlpLayers const& mlp) {
  check(!mlp.weights.empty() && (mlp.biases.empty() || mlp.biases.size() == mlp.weights.size()),
        "gathered_mlp: expected at least one weight, and as many biases or none, got {} and {}", mlp.weights.size(), mlp.biases.size());
  check(!rows.gathered.empty() || !rows.given.empty(), "gathered_mlp: the rows have no part");
  auto const count = rows_of(rows);
  std::int64_t in = 0;
  for (auto const& part : rows.gathered) {
    check(part.values.dim() == 2 && part.index.dim() == 1 && part.index.size(0) == count,
          "gathered_mlp: expected values [N, n] and an index of {} rows, got {} and {}", count, shape_text(part.values),
          shape_text(part.index));
    in += part.values.size(1);
  }
  for (auto const& part : rows.given) {
    check(part.dim() == 2 && part.size(0) == count, "gathered_mlp: expected given parts of {} rows, got {}", count, shape_text(part));
    in += part.size(1);
  }
  for (auto const& weight : mlp.weights) {
    check(weight.dim() == 2 && weight.size(1) == in, "gathered_mlp: expected a weight of {} columns, got {}", in, shape_text(weight));
    in = weight.size(0);
  }
  check(rows.transform != PartTransform::layer_norm || (rows.given.size() == 1 && rows.norm_weight.defined() && rows.norm_bias.defined()),
        "gathered_mlp: a layer norm needs one given part, a weight and a bias");
  check(!rows.residual || (!rows.given.empty() && rows.given.front().size(1) == in && !mlp.final_relu),
        "gathered_mlp: a residual needs a given part of the output's width, and no final ReLU");
  check(!rows.late_gradients || (rows.transform == PartTransform::none && !rows.residual),
        "gathered_mlp: late gradients go with no transform and no residual");
}

inline Tensor transformed(MlpRows const& rows, Tensor const& part) {
  switch (rows.transform) {
    case PartTransform::relu: return at::relu(part);
    case PartTransform::layer_norm: return at::layer_norm(part, {part.size(1)}, rows.norm_weight, rows.norm_bias, rows.norm_eps);
    default: return part;
  }
}

/// x in the precision of bfloat16; its gradient goes through as it is.
struct Rounded : torch::autograd::Function<Rounded> {
  static Tensor forward(torch::autograd::AutogradContext*, Tensor const& x) { return x.to(at::kBFloat16).to(x.scalar_type()); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list const& gradient) {
    return {gradient[0]};
  }
};
/// x as it is; its gradient in the precision of bfloat16.
struct RoundedGradient : torch::autograd::Function<RoundedGradient> {
  static Tensor forward(torch::autograd::AutogradContext*, Tensor const& x) { return x.view_as(x); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list const& gradient) {
    return {Rounded::apply(gradient[0])};
  }
};

/// x · weightᵀ + bias, multiplied as `products` says, forward and backward.
inline Tensor linear(Products products, Tensor const& x, Tensor const& weight, Tensor const& bias = {}) {
  if (products == Products::float32 || x.scalar_type() != at::kFloat) return at::linear(x, weight, bias);
  auto const z = RoundedGradient::apply(at::linear(Rounded::apply(x), Rounded::apply(weight)));
  return bias.defined() ? z + bias : z.clone();  // may be changed in place, unlike what a function returned
}

/// All layers but the first, in torch operations; `z` is a temporary that is overwritten.
inline Tensor from_first_layer(Tensor z, MlpRows const& rows, MlpLayers const& mlp) {
  for (std::size_t i = 1; i < mlp.weights.size(); ++i)
    z = linear(mlp.products, at::relu_(z), mlp.weights[i], mlp.biases.empty() ? Tensor() : mlp.biases[i]);
  if (mlp.final_relu) z = at::relu_(z);
  return rows.residual ? z + rows.given.front() : z;
}

/// In torch operations, the first layer split by part: for other devices and dtypes. Memory O(R · h).
/// `more` [R, h] is added to it.
inline Tensor gathered_mlp_by_operations(MlpRows const& rows, MlpLayers const& mlp, std::vector<Tensor> const& more = {}) {
  auto const& first = mlp.weights.front();
  auto z = at::zeros({rows_of(rows), first.size(0)}, first.options().requires_grad(false));
  if (!mlp.biases.empty()) z = z + mlp.biases.front();
  std::int64_t column = 0;
  auto const next = [&](std::int64_t width) { return first.narrow(1, std::exchange(column, column + width), width); };
  for (auto const& part : rows.gathered) z = z + linear(mlp.products, part.values, next(part.values.size(1))).index_select(0, part.index);
  for (auto const& part : rows.given) {
    auto const weight = next(part.size(1));
    z = mlp.products == Products::float32 ? at::addmm(z, transformed(rows, part), weight.t())
                                          : z + linear(mlp.products, transformed(rows, part), weight);
  }
  for (auto const& part : more) z = z + part;
  return from_first_layer(std::move(z), rows, mlp);
}

inline bool runs_in_tiles(MlpRows const& rows, MlpLayers const& mlp) {
  auto const& like = mlp.weights.front();
  auto const fits = [&](Tensor const& part) { return part.device().is_cpu() && part.scalar_type() == like.scalar_type(); };
  return fits(like) && (like.scalar_type() == at::kFloat || like.scalar_type() == at::kDouble) &&
         std::ranges::all_of(rows.gathered, [&](auto const& part) { return fits(part.values); }) && std::ranges::all_of(rows.given, fits);
}

/// A given part's share of the first layer, as far as its gradient goes: zeros [R, h] without memory that stand for part · weightᵀ. What comes
/// back to them becomes the gradient of the part, and does so just before the part's own maker runs.
struct LatePart : torch::autograd::Function<LatePart> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor const& part, Tensor const& weight, Products products) {
    context->save_for_backward({weight});
    context->saved_data["products"] = std::int64_t(products);
    return at::zeros({1, 1}, weight.options()).expand({part.size(0), weight.size(0)});
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list const& gradient);

  static Tensor of(Tensor const& part, Tensor const& weight, Products products) {
    auto share = apply(part, weight, products);
    auto* const maker = part.grad_fn().get();
    if (share.grad_fn())  // the engine runs the latest first, so what nobody made comes last
      share.grad_fn()->set_sequence_nr(maker != nullptr ? maker->sequence_nr() : 0);
    return share;
  }
};

/// A call as one list of tensors and one of indices, in the order of `MlpTiles`.
struct PackedMlp {
  MlpPlan plan;
  std::vector<Tensor> tensors, indices;

  PackedMlp(MlpRows const& rows, MlpLayers const& mlp, Tensor const& target, std::int64_t targets)
      : plan{.rows = rows_of(rows),
             .gathered = std::int64_t(rows.gathered.size()),
             .given = std::int64_t(rows.given.size()),
             .layers = std::int64_t(mlp.weights.size()),
             .bias = !mlp.biases.empty(),
             .final_relu = mlp.final_relu,
             .residual = rows.residual,
             .late = rows.late_gradients,
             .transform = rows.transform,
             .eps = rows.norm_eps,
             .targets = targets,
             .products = mlp.products} {
    for (auto const& part : rows.gathered) tensors.push_back(part.values), indices.push_back(part.index);
    tensors.insert(tensors.end(), rows.given.begin(), rows.given.end());
    if (rows.transform == PartTransform::layer_norm) tensors.insert(tensors.end(), {rows.norm_weight, rows.norm_bias});
    tensors.insert(tensors.end(), mlp.weights.begin(), mlp.weights.end());
    tensors.insert(tensors.end(), mlp.biases.begin(), mlp.biases.end());
    if (rows.late_gradients) {
      auto const& first = mlp.weights.front();
      std::int64_t column = first.size(1);
      for (auto const& part : rows.given) column -= part.size(1);
      for (auto const& part : rows.given)
        tensors.push_back(LatePart::of(part, first.narrow(1, std::exchange(column, column + part.size(1)), part.size(1)), mlp.products));
    }
    if (targets >= 0) indices.push_back(target);
  }

  /// The way back, then {values} or {values, sums} in torch operations.
  static std::vector<Tensor> by_operations(MlpPlan const& plan, at::TensorList tensors, at::TensorList indices) {
    auto const* next = tensors.begin();
    MlpRows rows{.transform = plan.transform, .norm_eps = plan.eps, .residual = plan.residual};
    for (std::int64_t g = 0; g < plan.gathered; ++g) rows.gathered.push_back({*next++, indices[std::size_t(g)]});
    for (std::int64_t k = 0; k < plan.given; ++k) rows.given.push_back(*next++);
    if (plan.transform == PartTransform::layer_norm) rows.norm_weight = *next++, rows.norm_bias = *next++;
    MlpLayers mlp{.final_relu = plan.final_relu, .products = plan.products};
    for (std::int64_t l = 0; l < plan.layers; ++l) mlp.weights.push_back(*next++);
    if (plan.bias) mlp.biases.assign(next, next + plan.layers), next += plan.layers;
    auto const values = gathered_mlp_by_operations(rows, mlp, {next, tensors.end()});
    if (plan.targets < 0) return {values};
    return {values, sum_at(values, indices.back(), plan.targets)};
  }
};

/// The tiles as a function with a gradient. A gradient that is to be differentiated again is made of torch operations.
struct GatheredMlp : torch::autograd::Function<GatheredMlp> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, MlpPlan const& plan, at::TensorList tensors,
                                                at::TensorList indices) {
    auto made = in_tiles(plan, tensors, indices, [](auto const& tiles) { return tiles.forward(); });
    std::vector<Tensor> kept(tensors.begin(), tensors.end());
    kept.insert(kept.end(), indices.begin(), indices.end());
    if (plan.final_relu) kept.push_back(made[0]);
    context->save_for_backward(std::move(kept));
    context->saved_data["plan"] = plan.numbers();
    context->saved_data["eps"] = plan.eps;
    context->saved_data["tensors"] = std::int64_t(tensors.size());
    return made;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list const& gradient) {
    auto const plan = MlpPlan::from(context->saved_data["plan"].toIntVector(), context->saved_data["eps"].toDouble());
    auto const saved = context->get_saved_variables();
    at::TensorList const all(saved);
    auto const count = std::size_t(context->saved_data["tensors"].toInt());
    auto const tensors = all.slice(0, count), indices = all.slice(count, std::size_t(plan.gathered + (plan.targets >= 0)));
    std::vector<bool> wanted(count);
    for (std::size_t i = 0; i < count; ++i) wanted[i] = context->needs_input_grad(i) && !plan.is_late(i);
    auto out = at::GradMode::is_enabled() ? differentiable(plan, tensors, indices, gradient, wanted)
                                          : in_tiles(plan, tensors, indices, [&](auto&& tiles) {
                                              return tiles.backward(plan.final_relu ? saved.back() : Tensor(), gradient[0],
                                                                    gradient.size() > 1 ? gradient[1] : Tensor(), wanted);
                                            });
    out.insert(out.begin(), Tensor());  // of the plan
    out.resize(1 + count + indices.size());
    return out;
  }

 private:
  template <class Do>
  static std::vector<Tensor> in_tiles(MlpPlan const& plan, at::TensorList tensors, at::TensorList indices, Do const& what) {
    at::NoGradGuard no_grad;
    if (tensors.back().scalar_type() == at::kFloat && plan.products == Products::bfloat16)
      return what(MlpTiles<float, Products::bfloat16>(plan, tensors, indices));
    if (tensors.back().scalar_type() == at::kFloat) return what(MlpTiles<float>(plan, tensors, indices));
    return what(MlpTiles<double>(plan, tensors, indices));
  }

  static std::vector<Tensor> differentiable(MlpPlan const& plan, at::TensorList tensors, at::TensorList indices,
                                            std::vector<Tensor> const& gradient, std::vector<bool> const& wanted) {
    std::vector<Tensor> made, up, by, inputs;
    for (auto const& t : tensors) inputs.push_back(t.view_as(t));  // none made of another: the gradients are partial ones
    auto const outputs = PackedMlp::by_operations(plan, inputs, indices);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (gradient[i].defined()) made.push_back(outputs[i]), up.push_back(gradient[i]);
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (wanted[i]) by.push_back(inputs[i]);
    auto const found = torch::autograd::grad(made, by, up, std::nullopt, /*create_graph=*/true, /*allow_unused=*/true);
    std::vector<Tensor> out(tensors.size());
    for (std::size_t i = 0, k = 0; i < out.size(); ++i)
      if (wanted[i]) out[i] = found[k++];
    return out;
  }
};

inline std::vector<Tensor> run_in_tiles(MlpRows const& rows, MlpLayers const& mlp, Tensor const& target, std::int64_t targets) {
  PackedMlp const packed(rows, mlp, target, targets);
  return GatheredMlp::apply(packed.plan, at::TensorList(packed.tensors), at::TensorList(packed.indices));
}

inline torch::autograd::variable_list LatePart::backward(torch::autograd::AutogradContext* context,
                                                         torch::autograd::variable_list const& gradient) {
  if (!context->needs_input_grad(0)) return {Tensor(), Tensor(), Tensor()};
  auto const weight = context->get_saved_variables().front().t();
  auto const products = Products(context->saved_data["products"].toInt());
  if (at::GradMode::is_enabled()) return {linear(products, gradient[0], weight), Tensor(), Tensor()};
  return {run_in_tiles({.given = {gradient[0]}}, {.weights = {weight}, .products = products}, {}, -1).front(), Tensor(), Tensor()};
}

}  // namespace detail

/// MLP(rows): the plain reference of `gathered_mlp`. [R, o]. Memory O(R · (in + layers · h)).
inline Tensor gathered_mlp_reference(MlpRows const& rows, MlpLayers const& mlp) {
  detail::check_gathered_mlp(rows, mlp);
  std::vector<Tensor> parts;
  for (auto const& part : rows.gathered) parts.push_back(part.values.index_select(0, part.index));
  for (auto const& part : rows.given) parts.push_back(detail::transformed(rows, part));
  auto const z = detail::linear(mlp.products, at::cat(parts, 1), mlp.weights.front(), mlp.biases.empty() ? Tensor() : mlp.biases.front());
  return detail::from_first_layer(z.clone(), rows, mlp);
}

/// MLP(rows), value and gradients of `gathered_mlp_reference`: [R, o].
///
/// The first layer is split by part: what is gathered is multiplied once a source row. On the CPU, in float or double, tiles of some hundred
/// rows go through all layers at once; the backward pass computes the hidden layers again. Memory O(R · o) for the output and, per thread,
/// O(N · h) in the backward pass; nothing but inputs is kept for it. The same bits for the same number of threads. Other devices and dtypes
/// run in torch operations, with O(R · h) memory a layer; so does a gradient of a gradient.
inline Tensor gathered_mlp(MlpRows const& rows, MlpLayers const& mlp) {
  detail::check_gathered_mlp(rows, mlp);
  if (!detail::runs_in_tiles(rows, mlp)) return detail::gathered_mlp_by_operations(rows, mlp);
  return detail::run_in_tiles(rows, mlp, {}, -1).front();
}

/// The same, and the sum of its rows at their targets [R] in 0 … targets − 1, in the same pass.
inline Messages gathered_mlp_and_sum(MlpRows const& rows, MlpLayers const& mlp, Tensor const& target, std::int64_t targets) {
  detail::check_gathered_mlp(rows, mlp);
  check(target.dim() == 1 && target.size(0) == detail::rows_of(rows), "gathered_mlp: expected {} targets, got {}", detail::rows_of(rows),
        shape_text(target));
  if (detail::runs_in_tiles(rows, mlp)) {
    auto made = detail::run_in_tiles(rows, mlp, target, targets);
    return {std::move(made[0]), std::move(made[1])};
  }
  auto values = detail::gathered_mlp_by_operations(rows, mlp);
  auto sums = sum_at(values, target, targets);
  return {std::move(values), std::move(sums)};
}

}  // namespace dew
