// SPDX-License-Identifier: BSL-1.0
// The bodies of ops/condensation_repulsion.hpp: the CPU kernel and the tiles of torch operations.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "dew/core/simd.hpp"
#include "dew/core/task_queue.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/ops/condensation.hpp"
#include "dew/ops/kd_tree.hpp"

namespace dew::detail {

struct RepulsionResult {
  Tensor sum;             // scalar
  Tensor grad_x, grad_q;  // [N, d], [N]; undefined when they were not asked for
};

/// Tiles of `rows` hits against all objects, each by the plain reference and its own backward pass. Any device.
inline RepulsionResult repulsion_tiled(Tensor const& x, Tensor const& q, Tensor const& object, Tensor const& alpha, Tensor const& hits,
                                       bool with_gradient, std::int64_t rows = 2048) {
  RepulsionResult out{at::zeros({}, x.options().dtype(at::kDouble)), {}, {}};
  if (with_gradient) out.grad_x = at::zeros_like(x), out.grad_q = at::zeros_like(q);
  for (std::int64_t begin = 0; begin < hits.size(0); begin += rows) {
    auto const tile = hits.narrow(0, begin, std::min(rows, hits.size(0) - begin));
    at::AutoGradMode grad(with_gradient);
    // the rows that this tile needs, as leaves: its hits, then the objects' condensation hits
    auto const all = at::cat({tile, alpha});
    auto const tile_x = x.detach().index_select(0, all).requires_grad_(with_gradient),
               tile_q = q.detach().index_select(0, all).requires_grad_(with_gradient);
    CondensationObjects const objects{object.index_select(0, all), at::arange(tile.size(0), all.size(0), alpha.options())};
    auto const sum = repulsion_sum_reference(tile_x, tile_q, objects, at::arange(tile.size(0), tile.options()));
    if (with_gradient) {
      auto const gradient = torch::autograd::grad({sum}, {tile_x, tile_q});
      at::NoGradGuard no_grad;
      out.grad_x.index_add_(0, all, gradient[0]);
      out.grad_q.index_add_(0, all, gradient[1]);
    }
    out.sum += sum.detach();
  }
  out.sum = out.sum.to(x.scalar_type());
  return out;
}

/// Boxes side by side, `lanes` of them coordinate by coordinate, so that one instruction looks at several.
template <class T, std::int64_t lanes>
struct BoxRows {
  std::int64_t count, dim;
  std::vector<T> low, high;  // [(count + lanes − 1) / lanes][dim][lanes]; nowhere behind the last one

  BoxRows(std::int64_t count_, std::int64_t dim_)
      : count(count_),
        dim(dim_),
        low(std::size_t(rows() * dim * lanes), std::numeric_limits<T>::max()),
        high(std::size_t(rows() * dim * lanes), std::numeric_limits<T>::lowest()) {}
  std::int64_t rows() const { return (count + lanes - 1) / lanes; }
  /// Makes a box so large that it holds another one, in a coordinate.
  void include(std::int64_t box, std::int64_t c, T its_low, T its_high) {
    auto const at = std::size_t((box / lanes * dim + c) * lanes + box % lanes);
    low[at] = std::min(low[at], its_low), high[at] = std::max(high[at], its_high);
  }
  /// Boxes that hold `lanes` of these each.
  BoxRows around() const {
    BoxRows out(rows(), dim);
    for (std::int64_t box = 0; box < count; ++box)
      for (std::int64_t c = 0; c < dim; ++c) {
        auto const at = std::size_t((box / lanes * dim + c) * lanes + box % lanes);
        out.include(box / lanes, c, low[at], high[at]);
      }
    return out;
  }
};

/// Objects in tiles of `lanes` that are near each other, coordinate by coordinate, so that one instruction handles several of them.
template <class T>
struct ObjectTiles {
  static constexpr std::int64_t lanes = KdTree::leaf_size;
  std::int64_t count, tiles, dim;
  std::vector<std::int64_t> order;  // [tiles · lanes] number of the object; −1 behind the last
  std::vector<std::int64_t> place;  // [count] where an object stands in `order`
  std::vector<T> centre;            // [tiles][dim][lanes]
  std::vector<T> charge;            // [tiles][lanes], 0 behind the last object
  BoxRows<T, lanes> boxes, groups;  // of the tiles, and of `lanes` tiles each

  ObjectTiles(Tensor const& x, Tensor const& q, Tensor const& alpha)
      : count(alpha.size(0)), tiles((count + lanes - 1) / lanes), dim(x.size(1)), boxes(tiles, dim), groups(0, dim) {
    auto const* hit = alpha.const_data_ptr<std::int64_t>();
    KdTree const tree(x.index_select(0, alpha));
    order.resize(std::size_t(tiles * lanes), -1);
    place.resize(std::size_t(count));
    centre.assign(std::size_t(tiles * dim * lanes), std::numeric_limits<T>::max());
    charge.assign(std::size_t(tiles * lanes), T(0));
    for (std::int64_t i = 0; i < count; ++i) {
      auto const object = tree.original(std::int32_t(i));
      order[std::size_t(i)] = object;
      place[std::size_t(object)] = i;
      charge[std::size_t(i)] = q.const_data_ptr<T>()[hit[object]];
      for (std::int64_t c = 0; c < dim; ++c)
        centre[std::size_t((i / lanes * dim + c) * lanes + i % lanes)] = T(tree.point(std::int32_t(i))[c]);
    }
    for (std::int64_t t = 0; t < tiles; ++t) {
      auto const* box = tree.box(tree.leaves()[std::size_t(t)]);
      for (std::int64_t c = 0; c < dim; ++c) boxes.include(t, c, T(box[c]), T(box[dim + c]));
    }
    groups = boxes.around();
  }
};

/// What one chunk of hits adds up: its own sums, so that the result does not depend on which thread ran it.
struct RepulsionChunk {
  double sum = 0;
  std::vector<double> grad_centre;  // [tiles][dim][lanes]
  std::vector<double> grad_charge;  // [tiles][lanes]
};

template <class T>
DEW_SIMD inline void repulsion_chunk(ObjectTiles<T> const& o, T const* x, T const* q, std::int64_t const* object, std::int64_t const* hits,
                                     std::int64_t begin, std::int64_t end, T* grad_x, T* grad_q, RepulsionChunk& out) {
  constexpr auto lanes = ObjectTiles<T>::lanes;
  bool const with_gradient = grad_x != nullptr;
  auto const d = o.dim;
  auto const width = std::size_t(d * lanes);
  std::vector<T> grad_hit(width), near_centre(with_gradient ? o.centre.size() : 0), near_charge(with_gradient ? o.charge.size() : 0);
  if (with_gradient) out.grad_centre.assign(o.centre.size(), 0), out.grad_charge.assign(o.charge.size(), 0);
  std::vector<std::int32_t> terms(with_gradient ? std::size_t(o.tiles) : 0, 0);  // of each tile's sums
  auto const flush = [&](std::int64_t tile) {                                    // few terms in T, then on in double
    for (auto i = std::size_t(tile) * width; i < std::size_t(tile + 1) * width; ++i)
      out.grad_centre[i] += double(std::exchange(near_centre[i], T(0)));
    for (auto i = std::size_t(tile * lanes); i < std::size_t((tile + 1) * lanes); ++i)
      out.grad_charge[i] += double(std::exchange(near_charge[i], T(0)));
    terms[std::size_t(tile)] = 0;
  };
  // which boxes of a row are nearer than 1 to a point, as bits
  auto const near = [&](BoxRows<T, lanes> const& boxes, T const* point, std::int64_t row) __attribute__((always_inline)) {
    alignas(64) T square[lanes] = {};
    for (std::int64_t c = 0; c < d; ++c) {
      T const value = point[c];
      T const *low = boxes.low.data() + (row * d + c) * lanes, *high = boxes.high.data() + (row * d + c) * lanes;
#pragma omp simd
      for (std::int64_t b = 0; b < lanes; ++b) {
        T const below = low[b] - value, above = value - high[b], further = below > above ? below : above;
        T const gap = further > T(0) ? further : T(0);
        square[b] += gap * gap;
      }
    }
    std::uint32_t bits = 0;
#pragma omp simd reduction(| : bits)
    for (int b = 0; b < int(lanes); ++b) bits |= std::uint32_t(square[b] < T(1)) << b;
    auto const left = boxes.count - row * lanes;
    return left < lanes ? bits & ((1U << left) - 1) : bits;
  };
  for (auto m = begin; m < end; ++m) {
    auto const j = hits[m];
    T const* xj = x + j * d;
    T const qj = q[j];
    auto const own = object[j] >= 0 ? o.place[std::size_t(object[j])] : -1;
    double sum = 0;
    std::fill(grad_hit.begin(), grad_hit.end(), T(0));
    for (std::int64_t row = 0; row < o.groups.rows(); ++row)
      for (auto near_groups = near(o.groups, xj, row); near_groups != 0; near_groups &= near_groups - 1) {
        auto const group = row * lanes + std::countr_zero(near_groups);
        for (auto near_tiles = near(o.boxes, xj, group); near_tiles != 0; near_tiles &= near_tiles - 1) {
          auto const tile = group * lanes + std::countr_zero(near_tiles);
          T const* centre = o.centre.data() + std::size_t(tile) * width;
          alignas(64) T square[lanes] = {};
          bool far = false;
          for (std::int64_t c = 0; c < d && !far;) {
            for (auto const stop = std::min(d, c + 4); c < stop; ++c) {
              T const value = xj[c];
#pragma omp simd
              for (std::int64_t b = 0; b < lanes; ++b) square[b] += (value - centre[c * lanes + b]) * (value - centre[c * lanes + b]);
            }
            int any = 0;
#pragma omp simd reduction(| : any)
            for (std::int64_t b = 0; b < lanes; ++b) any |= square[b] < T(1);
            far = any == 0;
          }
          if (far) continue;
          T const* charge = o.charge.data() + tile * lanes;
          alignas(64) T overlap[lanes], pull[lanes];  // max(0, 1 − distance); charge / distance
          for (std::int64_t b = 0; b < lanes; ++b) overlap[b] = std::sqrt(std::min(square[b], T(1)));
#pragma omp simd
          for (std::int64_t b = 0; b < lanes; ++b) {
            T const distance = overlap[b];
            bool const pulls = distance > T(0) && distance < T(1);
            pull[b] = (pulls ? charge[b] : T(0)) / (pulls ? distance : T(1));
            overlap[b] = T(1) - distance;
          }
          if (own >= tile * lanes && own < (tile + 1) * lanes) overlap[own - tile * lanes] = pull[own - tile * lanes] = T(0);
          T here = 0;
#pragma omp simd reduction(+ : here)
          for (std::int64_t b = 0; b < lanes; ++b) here += charge[b] * overlap[b];
          sum += double(here);
          if (!with_gradient) continue;
          T* to_charge = near_charge.data() + tile * lanes;
          T* to_centre = near_centre.data() + std::size_t(tile) * width;
#pragma omp simd
          for (std::int64_t b = 0; b < lanes; ++b) to_charge[b] += qj * overlap[b];
          for (std::int64_t c = 0; c < d; ++c) {
            T const value = xj[c];
            T* to_hit = grad_hit.data() + c * lanes;
#pragma omp simd
            for (std::int64_t b = 0; b < lanes; ++b) {
              T const g = qj * pull[b] * (value - centre[c * lanes + b]);
              to_centre[c * lanes + b] += g;
              to_hit[b] -= g;
            }
          }
          if (++terms[std::size_t(tile)] == 256) flush(tile);
        }
      }
    out.sum += double(qj) * sum;
    if (with_gradient) {
      grad_q[j] += T(sum);
      for (std::int64_t c = 0; c < d; ++c)
        grad_x[j * d + c] += T(std::accumulate(grad_hit.begin() + c * lanes, grad_hit.begin() + (c + 1) * lanes, 0.0));
    }
  }
  for (std::int64_t tile = 0; with_gradient && tile < o.tiles; ++tile) flush(tile);
}

template <class T>
RepulsionResult repulsion_cpu_of(Tensor const& x, Tensor const& q, Tensor const& object, Tensor const& alpha, Tensor const& hits,
                                 bool with_gradient) {
  constexpr std::int64_t chunks = 16;  // fixed: the sums are the same for any number of threads
  RepulsionResult out;
  if (with_gradient) out.grad_x = at::zeros_like(x), out.grad_q = at::zeros_like(q);
  auto const finite = [](T const* data, std::int64_t n) {
    return std::all_of(data, data + n, [](T value) { return std::isfinite(value); });
  };
  if (!finite(x.const_data_ptr<T>(), x.numel()) || !finite(q.const_data_ptr<T>(), q.numel())) {
    out.sum = at::full({}, std::numeric_limits<double>::quiet_NaN(), x.options());
    if (with_gradient) out.grad_x.fill_(out.sum), out.grad_q.fill_(out.sum);
    return out;
  }
  ObjectTiles<T> const tiles(x, q, alpha);
  std::array<RepulsionChunk, chunks> parts;
  auto const m = hits.size(0);
  T* grad_x = with_gradient ? out.grad_x.template data_ptr<T>() : nullptr;
  T* grad_q = with_gradient ? out.grad_q.template data_ptr<T>() : nullptr;
  auto const* x_data = x.const_data_ptr<T>();
  auto const* q_data = q.const_data_ptr<T>();
  auto const* object_data = object.const_data_ptr<std::int64_t>();
  auto const* hits_data = hits.const_data_ptr<std::int64_t>();
  share_tasks(chunks, [&](TaskQueue& tasks) {
    while (auto const task = tasks.take()) {
      auto const i = task->number;
      repulsion_chunk<T>(tiles, x_data, q_data, object_data, hits_data, m * i / chunks, m * (i + 1) / chunks, grad_x, grad_q,
                         parts[std::size_t(i)]);
    }
  });
  double sum = 0;
  for (auto const& part : parts) sum += part.sum;
  out.sum = at::scalar_tensor(sum, x.options());
  if (!with_gradient) return out;
  auto const* alpha_data = alpha.const_data_ptr<std::int64_t>();
  constexpr auto lanes = ObjectTiles<T>::lanes;
  auto const d = tiles.dim;
  at::parallel_for(0, tiles.count, 64, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      auto const hit = alpha_data[tiles.order[std::size_t(i)]];
      auto const tile = i / lanes, lane = i % lanes;
      double to_charge = 0;
      for (auto const& part : parts) to_charge += part.grad_charge[std::size_t(i)];
      grad_q[hit] += T(to_charge);
      for (std::int64_t c = 0; c < d; ++c) {
        double to_centre = 0;
        for (auto const& part : parts) to_centre += part.grad_centre[std::size_t((tile * d + c) * lanes + lane)];
        grad_x[hit * d + c] += T(to_centre);
      }
    }
  });
  return out;
}

/// The CPU kernel. A coordinate or charge that is not finite makes everything not-a-number. Hits may not be named twice in `hits`: each
/// writes its own row of the gradients.
inline RepulsionResult repulsion_cpu(Tensor const& x, Tensor const& q, Tensor const& object, Tensor const& alpha, Tensor const& hits,
                                     bool with_gradient) {
  auto const run = [&](auto type) {
    return repulsion_cpu_of<decltype(type)>(x.contiguous(), q.contiguous(), object.contiguous(), alpha.contiguous(), hits.contiguous(),
                                            with_gradient);
  };
  check(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble, "repulsion_sum: expected float or double, got {}",
        at::toString(x.scalar_type()));
  return x.scalar_type() == at::kFloat ? run(float{}) : run(double{});
}

}  // namespace dew::detail
