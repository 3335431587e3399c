// SPDX-License-Identifier: BSL-1.0
// The body of ops/gathered_mlp.hpp on the CPU: tiles of rows that go through all layers, forward and backward.
#pragma once
#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/simd.hpp"
#include "dew/core/torch_nn.hpp"

namespace dew {

/// What the given parts of an MLP's rows go through before its first layer.
enum class PartTransform { none, relu, layer_norm };

namespace detail {

/// Loops over a tile of `rows` rows of `width` numbers.
namespace tile {

template <class T>
DEW_SIMD inline void gather_add(T* z, std::int64_t rows, std::int64_t width, T const* table, std::int64_t const* index) {
  for (std::int64_t r = 0; r < rows; ++r, z += width) {
    T const* from = table + index[r] * width;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) z[c] += from[c];
  }
}

template <class T>
DEW_SIMD inline void scatter_add(T* table, std::int64_t rows, std::int64_t width, T const* z, std::int64_t const* index) {
  for (std::int64_t r = 0; r < rows; ++r, z += width) {
    T* to = table + index[r] * width;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) to[c] += z[c];
  }
}

/// All rows the same: a bias.
template <class T>
DEW_SIMD inline void fill(T* z, std::int64_t rows, std::int64_t width, T const* bias) {
  for (std::int64_t r = 0; r < rows; ++r, z += width)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) z[c] = bias[c];
}

template <class T>
DEW_SIMD inline void relu(T* z, T const* from, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) z[i] = from[i] < T(0) ? T(0) : from[i];  // keeps NaN
}

/// Zero where the ReLU's output is: its backward pass.
template <class T>
DEW_SIMD inline void mask(T* gradient, T const* activation, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) gradient[i] = activation[i] <= T(0) ? T(0) : gradient[i];
}

template <class T>
DEW_SIMD inline void add(T* to, T const* from, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
}

template <class T>
DEW_SIMD inline void column_sums(T* sums, std::int64_t rows, std::int64_t width, T const* z) {
  for (std::int64_t r = 0; r < rows; ++r, z += width)
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) sums[c] += z[c];
}

/// y = x̂ · weight + bias with x̂ = (x − mean) / √(variance + eps); x̂ and 1/√… are kept when asked for.
template <class T>
DEW_SIMD inline void layer_norm(T* y, T* normal, T* inverse, T const* x, std::int64_t rows, std::int64_t width, T const* weight,
                                T const* bias, T eps) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += width, normal += width) {
    T sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < width; ++c) sum += x[c];
    T const mean = sum / T(width);
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < width; ++c) squares += (x[c] - mean) * (x[c] - mean);
    T const scale = T(1) / std::sqrt(squares / T(width) + eps);
    inverse[r] = scale;
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) {
      normal[c] = (x[c] - mean) * scale;
      y[c] = normal[c] * weight[c] + bias[c];
    }
  }
}

/// Its backward pass, in place: the gradient by y becomes that by x; those by weight and bias are added up.
template <class T>
DEW_SIMD inline void layer_norm_backward(T* gradient, T const* normal, T const* inverse, std::int64_t rows, std::int64_t width,
                                         T const* weight, T* grad_weight, T* grad_bias) {
  for (std::int64_t r = 0; r < rows; ++r, gradient += width, normal += width) {
    T sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
    for (std::int64_t c = 0; c < width; ++c) {
      T const g = gradient[c];
      grad_bias[c] += g;
      grad_weight[c] += g * normal[c];
      sum += g * weight[c];
      along += g * weight[c] * normal[c];
    }
    T const mean = sum / T(width), slope = along / T(width);
#pragma omp simd
    for (std::int64_t c = 0; c < width; ++c) gradient[c] = inverse[r] * (gradient[c] * weight[c] - mean - normal[c] * slope);
  }
}

}  // namespace tile

/// Everything about a call of `gathered_mlp` that is no tensor.
struct MlpPlan {
  std::int64_t rows = 0, gathered = 0, given = 0, layers = 0;
  bool bias = false, final_relu = false, residual = false;
  PartTransform transform = PartTransform::none;
  double eps = 0;
  std::int64_t targets = -1;  ///< −1: no sums

  std::vector<std::int64_t> numbers() const {
    return {rows, gathered, given, layers, bias, final_relu, residual, std::int64_t(transform), targets};
  }
  static MlpPlan from(std::vector<std::int64_t> const& n, double eps) {
    return {n[0], n[1], n[2], n[3], n[4] != 0, n[5] != 0, n[6] != 0, PartTransform(n[7]), eps, n[8]};
  }
};

/// One call on one set of tensors. `tensors`: gathered values, given parts, the norm's weight and bias, weights, biases; `indices`: one for
/// each gathered part, then the targets.
template <class T>
class MlpTiles {
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
    std::int64_t column = 0;
    for (auto const& part : gathered_) gathered_column_.push_back(std::exchange(column, column + part.size(1)));
    for (auto const& part : given_) given_column_.push_back(std::exchange(column, column + part.size(1)));
    std::int64_t widest = 1;
    for (auto const& weight : weights_) widest = std::max({widest, weight.size(0)});
    for (auto const& part : given_) widest = std::max(widest, part.size(1));
    tile_ = std::clamp<std::int64_t>(65536 / widest, 64, 1024);
    auto const tiles = (plan.rows + tile_ - 1) / tile_;
    parts_ = std::clamp<std::int64_t>(at::get_num_threads(), 1, std::max<std::int64_t>(1, tiles));
    for (std::int64_t p = 0; p <= parts_; ++p) bounds_.push_back(std::min(plan.rows, tiles * p / parts_ * tile_));
    for (std::size_t g = 0; g < gathered_.size(); ++g)
      products_.push_back(at::mm(gathered_[g], weights_[0].narrow(1, gathered_column_[g], gathered_[g].size(1)).t()));
  }

  /// {values} or {values, sums}
  std::vector<Tensor> forward() const {
    auto values = at::empty({plan_.rows, out_width()}, weights_[0].options());
    std::vector<Tensor> sums(plan_.targets >= 0 ? std::size_t(parts_) : 0);
    each_part([&](std::int64_t part) {
      Scratch scratch(*this, false);
      if (plan_.targets >= 0) sums[std::size_t(part)] = at::zeros({plan_.targets, out_width()}, values.options());
      for (auto begin = bounds_[std::size_t(part)]; begin < bounds_[std::size_t(part) + 1]; begin += tile_) {
        auto const n = std::min(tile_, plan_.rows - begin);
        auto out = values.narrow(0, begin, n);
        run_layers(scratch, begin, n, &out);
        if (plan_.residual) tile::add(data(out), cdata(given_[0]) + begin * out_width(), n * out_width());
        if (plan_.targets >= 0)
          tile::scatter_add(data(sums[std::size_t(part)]), n, out_width(), cdata(out), rows_of(indices_.back(), begin, n, plan_.targets));
      }
    });
    if (plan_.targets < 0) return {values};
    return {values, reduced(sums)};
  }

  /// The gradients of `tensors`; undefined where `wanted` says no. `values`: the output, needed for a final ReLU.
  std::vector<Tensor> backward(Tensor const& values, Tensor const& grad_values, Tensor const& grad_sums,
                               std::vector<bool> const& wanted) const {
    auto const options = weights_[0].options();
    std::vector<Tensor> grad_given(given_.size());
    for (std::size_t k = 0; k < given_.size(); ++k)
      if (wanted[gathered_.size() + k]) grad_given[k] = at::empty(given_[k].sizes(), options);
    auto const by_values = grad_values.defined() ? grad_values.contiguous() : grad_values,
               by_sums = grad_sums.defined() ? grad_sums.contiguous() : grad_sums;
    std::vector<Gradients> parts(static_cast<std::size_t>(parts_));
    each_part([&](std::int64_t part) {
      Scratch scratch(*this, true);
      auto& sums = parts[std::size_t(part)];
      make(sums);
      for (auto begin = bounds_[std::size_t(part)]; begin < bounds_[std::size_t(part) + 1]; begin += tile_)
        backward_tile(scratch, begin, std::min(tile_, plan_.rows - begin), values, by_values, by_sums, grad_given, sums);
    });
    auto sum = std::move(parts[0]);
    for (std::size_t p = 1; p < parts.size(); ++p) sum.add(parts[p]);

    std::vector<Tensor> out;
    for (std::size_t g = 0; g < gathered_.size(); ++g) {
      auto const columns = [&](Tensor const& of) { return of.narrow(1, gathered_column_[g], gathered_[g].size(1)); };
      columns(sum.weights[0]).copy_(at::mm(sum.scattered[g].t(), gathered_[g]));
      out.push_back(wanted[g] ? at::mm(sum.scattered[g], columns(weights_[0])) : Tensor());
    }
    for (auto* list : {&grad_given, &sum.norm, &sum.weights, &sum.biases}) out.insert(out.end(), list->begin(), list->end());
    for (std::size_t i = 0; i < out.size(); ++i)
      if (!wanted[i]) out[i] = Tensor();
    return out;
  }

 private:
  /// The buffers of one thread: what a tile is in each layer, and its gradient.
  struct Scratch {
    std::vector<Tensor> activations, gradients;  // [tile, width] of each layer but the last; gradients: of the last, too
    std::vector<Tensor> given;                   // transformed
    Tensor normal, inverse;                      // [tile, m], [tile] of the layer norm

    Scratch(MlpTiles const& of, bool backward) {
      auto const make = [&](std::int64_t width) { return at::empty({of.tile_, width}, of.weights_[0].options()); };
      for (std::size_t l = 0; l < of.weights_.size(); ++l) {
        if (l + 1 < of.weights_.size()) activations.push_back(make(of.weights_[l].size(0)));
        if (backward) gradients.push_back(make(of.weights_[l].size(0)));
      }
      if (of.plan_.transform == PartTransform::none) return;
      for (auto const& part : of.given_) given.push_back(make(part.size(1)));
      if (of.plan_.transform == PartTransform::layer_norm) normal = make(of.given_[0].size(1)), inverse = make(1);
    }
  };

  /// What one thread adds up.
  struct Gradients {
    std::vector<Tensor> scattered, norm, weights, biases;
    void add(Gradients const& other) {
      auto const add_all = [](std::vector<Tensor>& to, std::vector<Tensor> const& from) {
        for (std::size_t i = 0; i < to.size(); ++i) to[i].add_(from[i]);
      };
      add_all(scattered, other.scattered), add_all(norm, other.norm), add_all(weights, other.weights), add_all(biases, other.biases);
    }
  };

  static T* data(Tensor& t) { return t.template data_ptr<T>(); }
  static T const* cdata(Tensor const& t) { return t.template const_data_ptr<T>(); }
  std::int64_t norms() const { return plan_.transform == PartTransform::layer_norm ? 2 : 0; }
  std::int64_t out_width() const { return weights_.back().size(0); }

  template <class Do>
  void each_part(Do const& what) const {
    at::parallel_for(0, parts_, 1, [&](std::int64_t first, std::int64_t last) {
      at::AutoDispatchBelowADInplaceOrView guard;
      for (auto part = first; part < last; ++part) what(part);
    });
  }

  static Tensor reduced(std::vector<Tensor> const& parts) {
    auto sum = parts[0];
    for (std::size_t p = 1; p < parts.size(); ++p) sum.add_(parts[p]);
    return sum;
  }

  void make(Gradients& sums) const {
    auto const options = weights_[0].options();
    for (auto const& part : gathered_) sums.scattered.push_back(at::zeros({part.size(0), weights_[0].size(0)}, options));
    auto const like = [](std::vector<Tensor> const& from, std::vector<Tensor>& to) {
      for (auto const& tensor : from) to.push_back(at::zeros_like(tensor));
    };
    like(norm_, sums.norm), like(weights_, sums.weights), like(biases_, sums.biases);
  }

  /// Rows begin … begin + n of an index, all of them in 0 … count − 1.
  static std::int64_t const* rows_of(Tensor const& index, std::int64_t begin, std::int64_t n, std::int64_t count) {
    auto const* rows = index.const_data_ptr<std::int64_t>() + begin;
    for (std::int64_t r = 0; r < n; ++r)
      check(rows[r] >= 0 && rows[r] < count, "gathered_mlp: index {} is out of range: there are {} rows", rows[r], count);
    return rows;
  }

  /// A given part's rows as the first layer reads them.
  Tensor given(Scratch& scratch, std::size_t k, std::int64_t begin, std::int64_t n) const {
    auto const width = given_[k].size(1);
    auto const* from = cdata(given_[k]) + begin * width;
    if (plan_.transform == PartTransform::none) return given_[k].narrow(0, begin, n);
    auto to = scratch.given[k].narrow(0, 0, n);
    if (plan_.transform == PartTransform::relu) tile::relu(data(to), from, n * width);
    else
      tile::layer_norm(data(to), data(scratch.normal), data(scratch.inverse), from, n, width, cdata(norm_[0]), cdata(norm_[1]),
                       T(plan_.eps));
    return to;
  }

  /// All layers; the hidden ones stay in `scratch`. The last is written to `out`, or left out.
  void run_layers(Scratch& scratch, std::int64_t begin, std::int64_t n, Tensor* out) const {
    auto const layers = weights_.size();
    for (std::size_t l = 0; l < layers; ++l) {
      bool const last = l + 1 == layers;
      if (last && out == nullptr) return;
      auto z = last ? *out : scratch.activations[l].narrow(0, 0, n);
      auto const width = weights_[l].size(0);
      // A product that adds to what is there needs no pass of its own over the tile: the bias and the gathered parts are there first.
      bool fresh = !plan_.bias;
      if (plan_.bias) tile::fill(data(z), n, width, cdata(biases_[l]));
      auto const add_product = [&](Tensor const& of, Tensor const& weight) {
        if (std::exchange(fresh, false)) at::mm_out(z, of, weight);
        else z.addmm_(of, weight);
      };
      if (l > 0) add_product(scratch.activations[l - 1].narrow(0, 0, n), weights_[l].t());
      else {
        if (fresh && !gathered_.empty()) z.zero_(), fresh = false;
        for (std::size_t g = 0; g < gathered_.size(); ++g)
          tile::gather_add(data(z), n, width, cdata(products_[g]), rows_of(indices_[g], begin, n, gathered_[g].size(0)));
        for (std::size_t k = 0; k < given_.size(); ++k)
          if (auto const part = given(scratch, k, begin, n); part.size(1) > 0)
            add_product(part, weights_[0].narrow(1, given_column_[k], part.size(1)).t());
        if (fresh) z.zero_();
      }
      if (!last || plan_.final_relu) tile::relu(data(z), cdata(z), n * width);
    }
  }

  void backward_tile(Scratch& scratch, std::int64_t begin, std::int64_t n, Tensor const& values, Tensor const& by_values,
                     Tensor const& by_sums, std::vector<Tensor>& grad_given, Gradients& sums) const {
    run_layers(scratch, begin, n, nullptr);
    if (weights_.size() == 1)
      for (std::size_t k = 0; k < given_.size(); ++k) given(scratch, k, begin, n);
    auto const out = out_width();
    auto top = scratch.gradients.back().narrow(0, 0, n);
    if (by_values.defined()) top.copy_(by_values.narrow(0, begin, n));
    else top.zero_();
    if (by_sums.defined()) tile::gather_add(data(top), n, out, cdata(by_sums), rows_of(indices_.back(), begin, n, plan_.targets));
    if (plan_.final_relu) tile::mask(data(top), cdata(values) + begin * out, n * out);

    auto g = top;
    for (auto l = weights_.size() - 1; l > 0; --l) {
      auto const below = scratch.activations[l - 1].narrow(0, 0, n);
      sums.weights[l].addmm_(g.t(), below);
      if (plan_.bias) tile::column_sums(data(sums.biases[l]), n, g.size(1), cdata(g));
      auto next = scratch.gradients[l - 1].narrow(0, 0, n);
      at::mm_out(next, g, weights_[l]);
      tile::mask(data(next), cdata(below), next.numel());
      g = next;
    }

    if (plan_.bias) tile::column_sums(data(sums.biases[0]), n, g.size(1), cdata(g));
    for (std::size_t i = 0; i < gathered_.size(); ++i)
      tile::scatter_add(data(sums.scattered[i]), n, g.size(1), cdata(g), indices_[i].template const_data_ptr<std::int64_t>() + begin);
    for (std::size_t k = 0; k < given_.size(); ++k) {
      auto const width = given_[k].size(1);
      auto const columns = [&](Tensor const& of) { return of.narrow(1, given_column_[k], width); };
      bool const transformed = plan_.transform != PartTransform::none;
      if (width == 0) continue;
      columns(sums.weights[0]).addmm_(g.t(), transformed ? scratch.given[k].narrow(0, 0, n) : given_[k].narrow(0, begin, n));
      if (!grad_given[k].defined() && norm_.empty()) continue;
      auto to = grad_given[k].defined() ? grad_given[k].narrow(0, begin, n) : at::empty({n, width}, weights_[0].options());
      at::mm_out(to, g, columns(weights_[0]));
      if (plan_.transform == PartTransform::relu) tile::mask(data(to), cdata(given_[k]) + begin * width, n * width);
      if (!norm_.empty())
        tile::layer_norm_backward(data(to), cdata(scratch.normal), cdata(scratch.inverse), n, width, cdata(norm_[0]), data(sums.norm[0]),
                                  data(sums.norm[1]));
      if (plan_.residual && k == 0) tile::add(data(to), cdata(top), n * width);
    }
  }

  MlpPlan plan_;
  std::vector<Tensor> gathered_, given_, norm_, weights_, biases_, indices_, products_;
  std::vector<std::int64_t> gathered_column_, given_column_, bounds_;
  std::int64_t tile_ = 0, parts_ = 1;
};

}  // namespace detail
}  // namespace dew
