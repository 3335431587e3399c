// SPDX-License-Identifier: BSL-1.0
// A random choice among the pairs of hits and objects that repel each other, without a hits × objects matrix.
// N hits, K objects, d latent dimension, M pairs that are chosen.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "dew/core/torch.hpp"
#include "dew/ops/condensation.hpp"

namespace dew {

/// Pairs of a hit and another object's condensation hit, nearer than 1.
struct RepulsivePairs {
  std::int64_t count = 0;  ///< how many there are
  Tensor hit, object;      ///< [M] those that were chosen: row of the hit, number of the object; undefined when there was nothing to choose
};

/// Counts the pairs (hit j of `hits` [m], object k) with j ∉ k and ‖x_j − x_a(k)‖ < 1, and where there are more than `most` ≥ 1 keeps each
/// with probability most/count. x [N, d]. Works on tiles of `rows` hits, twice: time O(m·K·d), memory O(rows·K + M). No gradient. The
/// choice follows from the generator and the order of `hits`.
inline RepulsivePairs choose_repulsive_pairs(Tensor const& x, CondensationObjects const& objects, Tensor const& hits, std::int64_t most,
                                             at::Generator const& generator, std::int64_t rows = 2048) {
  check(most >= 1, ErrorKind::usage, "choose_repulsive_pairs: expected at least one pair to keep, got {}", most);
  at::NoGradGuard no_grad;
  auto const centres = x.index_select(0, objects.alpha);
  auto const numbers = at::arange(objects.count(), hits.options());
  auto const each_tile = [&](auto&& use) {  // use(rows of x, [rows, K] whether they repel)
    for (std::int64_t begin = 0; begin < hits.size(0); begin += rows) {
      auto const tile = hits.narrow(0, begin, std::min(rows, hits.size(0) - begin));
      auto const near = at::cdist(x.index_select(0, tile), centres, 2.0, /*compute_mode: never by a matrix product*/ 2) < 1;
      use(tile, near.logical_and(objects.object.index_select(0, tile).unsqueeze(1) != numbers));
    }
  };
  RepulsivePairs out;
  each_tile([&](Tensor const&, Tensor const& repels) { out.count += repels.sum().item<std::int64_t>(); });
  if (out.count <= most) return out;
  std::vector<Tensor> hit, object;
  double const share = double(most) / double(out.count);
  each_tile([&](Tensor const& tile, Tensor const& repels) {
    auto const pair = repels.nonzero();  // [pairs of the tile, 2]
    auto const chosen =
        pair.index_select(0, (at::rand({pair.size(0)}, generator, x.options().requires_grad(false)) < share).nonzero().squeeze(1));
    hit.push_back(tile.index_select(0, chosen.select(1, 0)));
    object.push_back(chosen.select(1, 1));
  });
  out.hit = at::cat(hit), out.object = at::cat(object);
  return out;
}

}  // namespace dew
