// SPDX-License-Identifier: BSL-1.0
// MlpNodes: the products that ops/gathered_mlp.hpp makes once a row that is gathered from, and not once a row that gathers.
#pragma once
#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "dew/core/torch_nn.hpp"
#include "dew/ops/gathered_mlp_operands.hpp"

namespace dew::detail {

/// Calls `what(part)` for 0 … parts − 1, each in one thread.
template <class Do>
void each_part(std::int64_t parts, Do const& what) {
  at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
    at::AutoDispatchBelowADInplaceOrView guard;
    for (auto part = first; part < last; ++part) what(part);
  });
}

/// In the order of the parts; the first one is changed.
inline Tensor sum_of(std::vector<Tensor> const& parts) {
  auto sum = parts[0];
  for (std::size_t p = 1; p < parts.size(); ++p) sum.add_(parts[p]);
  return sum;
}

/// N nodes; h width of the first layer.
template <class T, Products PRODUCTS>
class MlpNodes : MlpOperands<T, PRODUCTS> {
  using Operands = MlpOperands<T, PRODUCTS>;
  using Operands::add_transposed, Operands::data, Operands::halves, Operands::multiply, Operands::operand, Operands::read, Operands::rounds;
  using typename Operands::Operand, typename Operands::Right;

 public:
  /// `most`: rows that are rounded at once. `parts`: that the way back is done in.
  MlpNodes(std::int64_t most, std::int64_t parts) : most_(most), parts_(parts) {}

  /// values · weightᵀ + bias, where there is one: [N, h] in whole vectors. weight [h, n].
  Tensor products(Tensor const& values, Tensor const& weight, T const* bias) const {
    Right const right(weight.t());
    auto out = at::empty({values.size(0), right.columns()}, values.options());
    at::parallel_for(0, values.size(0), 1024, [&](std::int64_t begin, std::int64_t end) {
      Buffers tile(most_, values.size(1), 0);
      for (auto first = begin, n = first; first < end; first += n) {
        n = tile.rows(end - first);
        multiply({.rows = n, .bias = bias}, tile.values(values, first, n), right, tile.space,
                 {data(out) + first * out.size(1), out.size(1)});
      }
    });
    return out;
  }

  /// Of the products of a gathered part, given the sums of their gradients [N, h]: the gradient by its weight, and by its values if wanted.
  Tensor gradients(Tensor const& values, Tensor const& weight, Tensor const& scattered, Tensor& by_weight, bool wanted) const {
    if constexpr (!rounds) {
      by_weight.copy_(at::mm(scattered.t(), values));
      return wanted ? at::mm(scattered, weight) : Tensor();
    } else {
      Right const back(weight);
      auto const nodes = values.size(0), m = values.size(1), h = weight.size(0), per_part = (nodes + parts_ - 1) / parts_;
      auto out = wanted ? at::empty({nodes, back.columns()}, values.options()) : Tensor();
      std::vector<Tensor> sums(static_cast<std::size_t>(parts_));
      each_part(parts_, [&](std::int64_t part) {
        auto& sum = sums[std::size_t(part)] = Operands::zeros_for_sums(h, m, values.options());
        Buffers tile(most_, m, h);
        auto const end = std::min(nodes, (part + 1) * per_part);
        for (auto first = part * per_part, n = first; first < end; first += n) {
          n = tile.rows(end - first);
          auto const up = tile.gradients(scattered, first, n);
          add_transposed(sum, n, up, h, tile.values(values, first, n), m, tile.space);
          if (wanted) multiply({.rows = n}, up, back, tile.space, {data(out) + first * out.size(1), out.size(1)});
        }
      });
      by_weight.copy_(sum_of(sums).narrow(0, 0, h).narrow(1, 0, m));
      return wanted ? out.narrow(1, 0, m).contiguous() : out;
    }
  }

 private:
  /// Rows of nodes as operands: all at once where these are the rows themselves, else in tiles that are rounded.
  struct Buffers {
    std::vector<Tensor> buffers;  // of values, of gradients
    std::int64_t most;
    tile::Workspace space;
    std::optional<tile::Registers> registers;

    Buffers(std::int64_t most_rows, std::int64_t values, std::int64_t gradients) : most(most_rows) {
      if constexpr (rounds) {
        buffers = {halves(most, values), halves(most, gradients)};
        registers.emplace();
      }
    }
    std::int64_t rows(std::int64_t left) const { return rounds ? std::min(left, most) : left; }
    Operand values(Tensor const& from, std::int64_t first, std::int64_t n) const {
      return operand(read(from, first), n, from.size(1), buffers, 0);
    }
    Operand gradients(Tensor const& from, std::int64_t first, std::int64_t n) const {
      return operand(read(from, first), n, from.size(1), buffers, 1);
    }
  };

  std::int64_t most_, parts_;
};

}  // namespace dew::detail
