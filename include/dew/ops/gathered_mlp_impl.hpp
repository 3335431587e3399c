// SPDX-License-Identifier: BSL-1.0
// The body of ops/gathered_mlp.hpp on the CPU: tiles of rows that go through all layers, forward and backward.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/ops/gathered_mlp_nodes.hpp"
#include "dew/ops/gathered_mlp_operands.hpp"
#include "dew/ops/gathered_mlp_plan.hpp"
#include "dew/ops/row_loops.hpp"
#include "dew/ops/tile_loops.hpp"

namespace dew::detail {

/// One call on one set of tensors. `tensors`: gathered values, given parts, the norm's weight and bias, weights, biases, and, where the plan
/// says `late`, what stands for each given part in the first layer; `indices`: one for each gathered part, then the targets.
///
/// Buffers and weights stand in rows of whole vectors (`tile::pad`), with zeros behind the last column. With products in bfloat16 what they
/// read stands a second time, or only, as halves; the rest is the same.
template <class T, Products PRODUCTS = Products::float32>
class MlpTiles : MlpOperands<T, PRODUCTS> {
  using Operands = MlpOperands<T, PRODUCTS>;
  using Operands::add_transposed, Operands::cdata, Operands::data, Operands::halves, Operands::multiply, Operands::operand,
      Operands::padded, Operands::read, Operands::rounds, Operands::rows;
  using typename Operands::ConstRows, typename Operands::HalfRows, typename Operands::Operand, typename Operands::Right,
      typename Operands::Rows;

 public:
  MlpTiles(MlpPlan const& plan, at::TensorList tensors, at::TensorList indices) : plan_(plan) {
    auto next = tensors.begin();
    auto const take = [&](std::int64_t n, std::vector<Tensor>& to) {
      for (std::int64_t i = 0; i < n; ++i, ++next) to.push_back(next->detach().contiguous());
    };
    take(plan.gathered, gathered_);
    take(plan.given, given_);
    take(norms(), norm_);
    take(plan.layers, weights_);
    take(plan.bias ? plan.layers : 0, biases_);
    for (auto const& index : indices) {
      check(index.scalar_type() == at::kLong && index.device().is_cpu(), "gathered_mlp: expected an index of int64, got {}",
            at::toString(index.scalar_type()));
      indices_.push_back(index.contiguous());
    }
    std::int64_t column = 0, widest = 1;
    for (auto const& part : gathered_) gathered_column_.push_back(std::exchange(column, column + part.size(1)));
    for (auto const& part : given_) given_column_.push_back(std::exchange(column, column + part.size(1)));
    for (auto const& weight : weights_) widest = std::max({widest, weight.size(0)});
    for (auto const& part : given_) widest = std::max(widest, part.size(1));
    tile_ = std::clamp<std::int64_t>(tile_elements / tile::pad<T>(widest), 2, 16) * 12;
    if (rounds) tile_ = std::max<std::int64_t>(tile_ / 32, 1) * 32;
    auto const tiles = (plan.rows + tile_ - 1) / tile_;
    parts_ = std::clamp<std::int64_t>(at::get_num_threads(), 1, std::max<std::int64_t>(1, tiles));
    for (std::int64_t p = 0; p <= parts_; ++p) bounds_.push_back(std::min(plan.rows, tiles * p / parts_ * tile_));

    for (auto const& bias : biases_) padded_bias_.push_back(padded(bias.unsqueeze(0)));
    for (std::size_t k = 0; k < given_.size(); ++k) given_forward_.emplace_back(columns(weights_[0], given_column_[k], given_[k]).t());
    for (std::size_t l = 1; l < weights_.size(); ++l) forward_.emplace_back(weights_[l].t());
    for (std::size_t g = 0; g < gathered_.size(); ++g)
      products_.push_back(nodes().products(gathered_[g], columns(weights_[0], gathered_column_[g], gathered_[g]),
                                           g == 0 && plan.bias ? cdata(padded_bias_[0]) : nullptr));
  }

  /// {values} or {values, sums}
  std::vector<Tensor> forward() const {
    auto values = at::empty({plan_.rows, out_width()}, weights_[0].options());
    std::vector<Tensor> sums(plan_.targets >= 0 ? std::size_t(parts_) : 0);
    each_part(parts_, [&](std::int64_t part) {
      Scratch scratch(*this, false);
      if (plan_.targets >= 0) sums[std::size_t(part)] = at::zeros({plan_.targets, out_width()}, values.options());
      for (auto begin = bounds_[std::size_t(part)]; begin < bounds_[std::size_t(part) + 1]; begin += tile_) {
        auto const n = std::min(tile_, plan_.rows - begin);
        auto const out = out_width();
        T* const to = data(values) + begin * out;
        bool const whole = out == tile::pad<T>(out);
        Rows const last = whole ? Rows{to, out} : rows(scratch.out);
        run_layers(scratch, begin, n, last);
        if (!whole) tile::copy<false>(to, out, n, out, last.data, last.stride);
        if (plan_.residual) tile::copy<true>(to, out, n, out, cdata(given_[0]) + begin * out, out);
        if (plan_.targets >= 0)
          tile::scatter_add(data(sums[std::size_t(part)]), n, out, to, out, rows_of(indices_.back(), begin, n, plan_.targets));
      }
    });
    if (plan_.targets < 0) return {values};
    return {values, sum_of(sums)};
  }

  /// The gradients of `tensors`; undefined where `wanted` says no. `values`: the output, needed for a final ReLU. A gradient of the output that
  /// nobody else holds becomes the memory of a given part's.
  std::vector<Tensor> backward(Tensor const& values, Tensor const& grad_values, Tensor const& grad_sums, std::vector<bool> const& wanted) {
    auto const options = weights_[0].options();
    bool const may_be_overwritten = is_held_once(grad_values);
    Upstream up{values, grad_values.defined() ? grad_values.contiguous() : grad_values,
                grad_sums.defined() ? grad_sums.contiguous() : grad_sums};
    std::vector<Tensor> grad_given(given_.size());
    for (std::size_t k = 0; k < given_.size(); ++k) {
      if (wanted[gathered_.size() + k]) {
        bool const overwrites = may_be_overwritten && !up.is_overwritten && given_[k].sizes() == up.by_values.sizes();
        up.is_overwritten |= overwrites;
        grad_given[k] = overwrites ? up.by_values : at::empty(given_[k].sizes(), options);
      }
      given_back_.emplace_back(columns(weights_[0], given_column_[k], given_[k]));
    }
    for (std::size_t l = 1; l < weights_.size(); ++l) back_.emplace_back(weights_[l]);
    auto grad_first = plan_.late ? at::empty({plan_.rows, width(0)}, options) : Tensor();
    std::vector<Gradients> parts(static_cast<std::size_t>(parts_));
    each_part(parts_, [&](std::int64_t part) {
      Scratch scratch(*this, true);
      auto& sums = parts[std::size_t(part)];
      make(sums);
      for (auto begin = bounds_[std::size_t(part)]; begin < bounds_[std::size_t(part) + 1]; begin += tile_)
        backward_tile(scratch, begin, std::min(tile_, plan_.rows - begin), up, grad_given, grad_first, sums);
    });
    auto sum = std::move(parts[0]);
    for (std::size_t p = 1; p < parts.size(); ++p) sum.add(parts[p]);

    std::vector<Tensor> out;
    auto first = at::empty_like(weights_[0]);
    for (std::size_t g = 0; g < gathered_.size(); ++g) {
      auto by_weight = columns(first, gathered_column_[g], gathered_[g]);
      out.push_back(
          nodes().gradients(gathered_[g], columns(weights_[0], gathered_column_[g], gathered_[g]), sum.scattered[g], by_weight, wanted[g]));
    }
    for (std::size_t k = 0; k < given_.size(); ++k)
      columns(first, given_column_[k], given_[k]).copy_(sum.given[k].narrow(0, 0, width(0)).narrow(1, 0, given_[k].size(1)));
    out.insert(out.end(), grad_given.begin(), grad_given.end());
    out.insert(out.end(), sum.norm.begin(), sum.norm.end());
    out.push_back(first);
    for (std::size_t l = 1; l < weights_.size(); ++l)
      out.push_back(sum.weights[l - 1].narrow(0, 0, width(l)).narrow(1, 0, weights_[l].size(1)).contiguous());
    for (std::size_t l = 0; l < biases_.size(); ++l) out.push_back(sum.biases[l].narrow(0, 0, width(l)));
    out.resize(wanted.size(), grad_first);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (!wanted[i]) out[i] = Tensor();
    return out;
  }

 private:
  static constexpr std::int64_t tile_elements = 512;  // a dozen rows, times this, over the widest layer

  /// The buffers of one thread: what a tile is in each layer, and its gradient. Operands are halves in bfloat16.
  struct Scratch {
    std::vector<Tensor> activations, gradients;  // [tile, width] of each layer but the last (operands); gradients: of the last, too
    std::vector<Tensor> grad_operands;           // the gradients as operands, where these are halves
    std::vector<Tensor> given, grad_given;       // transformed, or of a width that is no whole vector
    std::vector<Tensor> given_operands;          // where operands are halves
    Tensor first, out;                           // sums on the way to the first layer's output; of a width that is no whole vector
    Tensor normal, inverse;                      // [tile, m], [tile] of the layer norm
    std::vector<tile::Lookup> lookups;
    tile::Workspace space;
    std::optional<tile::Registers> registers;

    Scratch(MlpTiles const& of, bool backward) {
      auto const make = [&](std::int64_t width) { return at::zeros({of.tile_, tile::pad<T>(width)}, of.weights_[0].options()); };
      auto const operand = [&](std::int64_t width) { return rounds ? halves(of.tile_, width) : make(width); };
      for (std::size_t l = 0; l < of.weights_.size(); ++l) {
        if (l + 1 < of.weights_.size()) activations.push_back(operand(of.width(l)));
        if (backward) gradients.push_back(make(of.width(l)));
        if (backward && rounds) grad_operands.push_back(operand(of.width(l)));
      }
      if (!backward) out = make(of.out_width());
      for (auto const& part : of.given_) {
        given.push_back(make(part.size(1)));
        if (rounds) given_operands.push_back(operand(part.size(1)));
        if (backward) grad_given.push_back(make(part.size(1)));
      }
      if (of.plan_.transform == PartTransform::layer_norm) normal = make(of.given_[0].size(1)), inverse = make(1);
      if (rounds) first = make(of.width(0)), registers.emplace();
    }
  };

  /// What one thread adds up. Given parts and weights: in whole vectors.
  struct Gradients {
    std::vector<Tensor> scattered, given, norm, weights, biases;
    void add(Gradients const& other) {
      auto const add_all = [](std::vector<Tensor>& to, std::vector<Tensor> const& from) {
        for (std::size_t i = 0; i < to.size(); ++i) to[i].add_(from[i]);
      };
      add_all(scattered, other.scattered), add_all(given, other.given), add_all(norm, other.norm);
      add_all(weights, other.weights), add_all(biases, other.biases);
    }
  };

  /// What the backward pass starts from.
  struct Upstream {
    Tensor values, by_values, by_sums;
    bool is_overwritten = false;  // rows of `by_values`, once a tile has read them
  };
  static bool is_held_once(Tensor const& t) { return t.defined() && t.use_count() == 1 && t.storage().use_count() == 1; }

  std::int64_t norms() const { return plan_.transform == PartTransform::layer_norm ? 2 : 0; }
  std::int64_t out_width() const { return weights_.back().size(0); }
  std::int64_t width(std::size_t layer) const { return weights_[layer].size(0); }
  MlpNodes<T, PRODUCTS> nodes() const { return {tile_, parts_}; }

  /// The columns of `weight` that a part is multiplied with.
  static Tensor columns(Tensor const& weight, std::int64_t first, Tensor const& part) { return weight.narrow(1, first, part.size(1)); }

  void make(Gradients& sums) const {
    auto const zeros = [&](std::int64_t n, std::int64_t width) { return at::zeros({n, width}, weights_[0].options()); };
    for (auto const& part : gathered_) sums.scattered.push_back(zeros(part.size(0), width(0)));
    auto const zeros_for_sums = [&](std::int64_t a, std::int64_t b) { return Operands::zeros_for_sums(a, b, weights_[0].options()); };
    for (auto const& part : given_) sums.given.push_back(zeros_for_sums(width(0), part.size(1)));
    for (auto const& part : norm_) sums.norm.push_back(at::zeros_like(part));
    for (std::size_t l = 1; l < weights_.size(); ++l) sums.weights.push_back(zeros_for_sums(width(l), weights_[l].size(1)));
    for (auto const& bias : padded_bias_) sums.biases.push_back(at::zeros_like(bias[0]));
  }

  /// Rows begin … begin + n of an index, all of them in 0 … count − 1.
  static std::int64_t const* rows_of(Tensor const& index, std::int64_t begin, std::int64_t n, std::int64_t count) {
    auto const* rows = index.const_data_ptr<std::int64_t>() + begin;
    for (std::int64_t r = 0; r < n; ++r)
      check(rows[r] >= 0 && rows[r] < count, "gathered_mlp: index {} is out of range: there are {} rows", rows[r], count);
    return rows;
  }

  tile::LayerNorm<T> layer_norm(Scratch& scratch) const {
    return {.width = given_[0].size(1),
            .weight = cdata(norm_[0]),
            .bias = cdata(norm_[1]),
            .eps = T(plan_.eps),
            .normal = data(scratch.normal),
            .stride = scratch.normal.size(1)};
  }

  /// A given part's rows as the first layer reads them; `whole`: in whole vectors.
  ConstRows given(Scratch& scratch, std::size_t k, std::int64_t begin, std::int64_t n, bool whole) const {
    auto const width = given_[k].size(1);
    auto const from = read(given_[k], begin);
    auto const to = rows(scratch.given[k]);
    switch (plan_.transform) {
      case PartTransform::relu: tile::relu(to.data, to.stride, n, width, from.data, from.stride); break;
      case PartTransform::layer_norm:
        if (width == to.stride) tile::layer_norm(layer_norm(scratch), n, to.data, data(scratch.inverse), from.data);
        else
          tile::layer_norm_of_any_width(to.data, data(scratch.normal), to.stride, data(scratch.inverse), from.data, n, width,
                                        cdata(norm_[0]), cdata(norm_[1]), T(plan_.eps));
        break;
      case PartTransform::none:
        if (!whole || width == to.stride) return from;
        tile::copy<false>(to.data, to.stride, n, width, from.data, from.stride);
    }
    return {to.data, to.stride};
  }

  /// The same as an operand.
  Operand given_operand(Scratch& scratch, std::size_t k, std::int64_t begin, std::int64_t n, bool whole) const {
    return operand(given(scratch, k, begin, n, whole && !rounds), n, given_[k].size(1), scratch.given_operands, k);
  }

  /// All layers; the hidden ones stay in `scratch`. The last is written to `out`, or left out where that is nowhere.
  void run_layers(Scratch& scratch, std::int64_t begin, std::int64_t n, Rows out) const {
    auto const layers = weights_.size();
    auto const relu_after = [&](std::size_t l) { return l + 1 < layers || plan_.final_relu; };
    auto const bias = [&](std::size_t l) { return plan_.bias ? cdata(padded_bias_[l]) : nullptr; };
    auto const left_out = [&](std::size_t l) { return l + 1 == layers && out.data == nullptr; };
    if constexpr (rounds) {
      auto const hidden = [&](std::size_t l) { return l + 1 < layers ? operand(scratch.activations[l]) : HalfRows{}; };
      auto const last = [&](std::size_t l) { return l + 1 < layers ? Rows{} : out; };
      if (!left_out(0)) first_layer_rounded(scratch, begin, n, last(0), hidden(0), relu_after(0), bias(0));
      for (std::size_t l = 1; l < layers && !left_out(l); ++l)
        multiply({.rows = n, .bias = bias(l), .relu = relu_after(l)}, operand(scratch.activations[l - 1]), forward_[l - 1], scratch.space,
                 last(l), hidden(l), width(l));
    } else {
      auto const place = [&](std::size_t l) { return l + 1 == layers ? out : rows(scratch.activations[l]); };
      if (!left_out(0)) first_layer(scratch, begin, n, place(0), relu_after(0), bias(0));
      for (std::size_t l = 1; l < layers && !left_out(l); ++l)
        multiply({.rows = n, .bias = bias(l), .relu = relu_after(l)}, read(scratch.activations[l - 1]), forward_[l - 1], scratch.space,
                 place(l));
    }
  }

  void gather_products(std::int64_t begin, std::int64_t n, Rows z) const {
    for (std::size_t g = 0; g < gathered_.size(); ++g) {
      auto const* index = rows_of(indices_[g], begin, n, gathered_[g].size(0));
      auto const from = read(products_[g]);
      if (g == 0) tile::gather<false>(z.data, z.stride, n, from.stride, from.data, from.stride, index);  // with the bias
      else tile::gather<true>(z.data, z.stride, n, from.stride, from.data, from.stride, index);
    }
  }

  void first_layer(Scratch& scratch, std::int64_t begin, std::int64_t n, Rows z, bool relu, T const* bias) const {
    gather_products(begin, n, z);
    for (std::size_t k = 0; k < given_.size(); ++k) {
      bool const adds = k > 0 || !gathered_.empty();
      multiply({.rows = n, .bias = adds ? nullptr : bias, .add = adds, .relu = relu && k + 1 == given_.size()},
               given(scratch, k, begin, n, false), given_forward_[k], scratch.space, z);
    }
    if (given_.empty() && relu) tile::relu(z.data, z.stride, n, width(0), z.data, z.stride);
  }

  /// The same to `z` or, rounded, to `to`. The first given part's product looks the gathered ones' products up.
  void first_layer_rounded(Scratch& scratch, std::int64_t begin, std::int64_t n, Rows z, HalfRows to, bool relu, T const* bias) const {
    if (given_.empty()) {
      auto const sum = z.data != nullptr ? z : rows(scratch.first);
      gather_products(begin, n, sum);
      if (relu) tile::relu(sum.data, sum.stride, n, width(0), sum.data, sum.stride);
      if (to.data != nullptr) tile::round_rows(to.data, to.stride, n, width(0), sum.data, sum.stride);
      return;
    }
    scratch.lookups.clear();
    for (std::size_t g = 0; g < gathered_.size(); ++g)
      scratch.lookups.push_back({cdata(products_[g]), products_[g].size(1), rows_of(indices_[g], begin, n, gathered_[g].size(0))});
    auto const sum = z.data != nullptr ? z : given_.size() > 1 ? rows(scratch.first) : Rows{};
    for (std::size_t k = 0; k < given_.size(); ++k) {
      bool const last = k + 1 == given_.size();
      multiply({.rows = n, .bias = gathered_.empty() && k == 0 ? bias : nullptr, .add = k > 0, .relu = relu && last},
               given_operand(scratch, k, begin, n, false), given_forward_[k], scratch.space, sum, last ? to : HalfRows{}, width(0),
               scratch.lookups);
      scratch.lookups.clear();
    }
  }

  /// The gradient of a tile of the output.
  ConstRows top(Scratch& scratch, std::int64_t begin, std::int64_t n, Upstream const& up) const {
    auto const out = out_width();
    auto const to = rows(scratch.gradients.back());
    if (up.by_values.defined() && !up.by_sums.defined() && !plan_.final_relu && !up.is_overwritten) return read(up.by_values, begin);
    if (up.by_values.defined()) tile::copy<false>(to.data, to.stride, n, out, cdata(up.by_values) + begin * out, out);
    if (up.by_sums.defined()) {
      auto const* index = rows_of(indices_.back(), begin, n, plan_.targets);
      if (up.by_values.defined()) tile::gather<true>(to.data, to.stride, n, out, cdata(up.by_sums), out, index);
      else tile::gather<false>(to.data, to.stride, n, out, cdata(up.by_sums), out, index);
    }
    if (plan_.final_relu) tile::mask(to.data, to.stride, n, out, cdata(up.values) + begin * out, out);
    return {to.data, to.stride};
  }

  void backward_tile(Scratch& scratch, std::int64_t begin, std::int64_t n, Upstream const& up, std::vector<Tensor>& grad_given,
                     Tensor& grad_first, Gradients& sums) const {
    run_layers(scratch, begin, n, {});
    auto const last = top(scratch, begin, n, up);
    auto const totals = [&](std::size_t l) { return plan_.bias ? data(sums.biases[l]) : nullptr; };
    auto g = last;
    auto a = operand(last, n, out_width(), scratch.grad_operands, weights_.size() - 1);
    if (plan_.bias) tile::column_sums(totals(weights_.size() - 1), n, out_width(), g.data, g.stride);
    for (auto l = weights_.size() - 1; l > 0; --l) {
      auto const below = operand(scratch.activations[l - 1]);
      add_transposed(sums.weights[l - 1], n, a, width(l), below, width(l - 1), scratch.space);
      auto const next = rows(scratch.gradients[l - 1]);
      if constexpr (rounds) {
        auto const halves = operand(scratch.grad_operands[l - 1]);
        bool const read_as_floats = l == 1 && (!gathered_.empty() || plan_.late);
        multiply({.rows = n, .mask = below, .totals = totals(l - 1)}, a, back_[l - 1], scratch.space, read_as_floats ? next : Rows{},
                 halves, width(l - 1));
        a = halves;
      } else {
        multiply({.rows = n, .mask = below}, a, back_[l - 1], scratch.space, next);
        if (plan_.bias) tile::column_sums(totals(l - 1), n, width(l - 1), next.data, next.stride);
        a = {next.data, next.stride};
      }
      g = {next.data, next.stride};
    }

    if (grad_first.defined()) tile::copy<false>(data(grad_first) + begin * width(0), width(0), n, width(0), g.data, g.stride);
    for (std::size_t i = 0; i < gathered_.size(); ++i)
      tile::scatter_add(data(sums.scattered[i]), n, width(0), g.data, g.stride,
                        indices_[i].template const_data_ptr<std::int64_t>() + begin);
    for (std::size_t k = 0; k < given_.size(); ++k) {
      add_transposed(sums.given[k], n, a, width(0), given_again(scratch, k, begin, n), given_[k].size(1), scratch.space);
      if (grad_given[k].defined() || !norm_.empty()) backward_given(scratch, k, begin, n, a, last, grad_given[k], sums);
    }
  }

  /// A given part as an operand in whole vectors, where `run_layers` may have made it.
  Operand given_again(Scratch& scratch, std::size_t k, std::int64_t begin, std::int64_t n) const {
    bool const made = weights_.size() > 1 && (rounds || plan_.transform != PartTransform::none);
    if (!made) return given_operand(scratch, k, begin, n, true);
    return operand(rounds ? scratch.given_operands[k] : scratch.given[k]);
  }

  void backward_given(Scratch& scratch, std::size_t k, std::int64_t begin, std::int64_t n, Operand g, ConstRows last, Tensor& gradient,
                      Gradients& sums) const {
    auto const m = given_[k].size(1);
    bool const direct = gradient.defined() && m == tile::pad<T>(m);
    T* const out = gradient.defined() ? data(gradient) + begin * m : nullptr;
    auto const to = direct ? Rows{out, m} : rows(scratch.grad_given[k]);
    multiply({.rows = n}, g, given_back_[k], scratch.space, to);
    if (plan_.transform == PartTransform::relu) tile::mask(to.data, to.stride, n, m, cdata(given_[k]) + begin * m, m);
    if (!norm_.empty()) {
      T *const grad_weight = data(sums.norm[0]), *const grad_bias = data(sums.norm[1]);
      if (m == tile::pad<T>(m))
        tile::layer_norm_backward(layer_norm(scratch), n, to.data, to.stride, cdata(scratch.inverse), grad_weight, grad_bias);
      else
        tile::layer_norm_backward_of_any_width(to.data, to.stride, cdata(scratch.normal), scratch.normal.size(1), cdata(scratch.inverse), n,
                                               m, cdata(norm_[0]), grad_weight, grad_bias);
    }
    if (plan_.residual && k == 0) tile::copy<true>(to.data, to.stride, n, m, last.data, last.stride);
    if (!direct && out != nullptr) tile::copy<false>(out, m, n, m, to.data, to.stride);
  }

  MlpPlan plan_;
  std::vector<Tensor> gathered_, given_, norm_, weights_, biases_, indices_;
  std::vector<Tensor> products_, padded_bias_;
  std::vector<Right> given_forward_, forward_, given_back_, back_;
  std::vector<std::int64_t> gathered_column_, given_column_, bounds_;
  std::int64_t tile_ = 0, parts_ = 1;
};

}  // namespace dew::detail
