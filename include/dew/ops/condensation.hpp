// SPDX-License-Identifier: BSL-1.0
// Condensation: which objects an event has, and the sums of object condensation as plain torch operations.
// N hits, K objects, d latent dimension. Hits j, objects k, and the condensation hit a(k) of an object.
#pragma once
#include <tuple>
#include <utility>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// The objects of an event.
struct CondensationObjects {
  Tensor object;  ///< [N] the number of the hit's object, 0 … K − 1 in the order of the particles' ids; −1 for a hit of none
  Tensor alpha;   ///< [K] each object's condensation hit: the one of largest charge, the first of equals
  std::int64_t count() const { return alpha.size(0); }
};

/// Objects are the particles with a hit of interest; all of a particle's hits are its object's. charge [N] real, particle_id [N],
/// of_interest [N] bool. Time O(N log N). No gradient.
inline CondensationObjects condensation_objects(Tensor const& charge, Tensor const& particle_id, Tensor const& of_interest) {
  at::NoGradGuard no_grad;
  auto const chosen = particle_id.index_select(0, of_interest.nonzero().squeeze(1));
  auto const ids = std::get<0>(at::unique_consecutive(std::get<0>(at::sort(chosen))));  // [K]
  auto const count = ids.size(0);
  if (count == 0) return {at::full_like(particle_id, -1), at::empty({0}, particle_id.options())};
  auto const place = at::searchsorted(ids, particle_id).clamp_max_(count - 1);
  auto const object = at::where(ids.index_select(0, place) == particle_id, place, at::scalar_tensor(-1, place.options()));
  // two stable sorts: by object, and within an object by falling charge
  auto const by_charge = at::argsort(charge.detach(), /*stable=*/true, /*dim=*/0, /*descending=*/true);
  auto const [sorted, by_object] = at::sort(object.index_select(0, by_charge), /*stable=*/true, /*dim=*/0, /*descending=*/false);
  auto const first = at::searchsorted(sorted, at::arange(count, place.options()));
  return {object, by_charge.index_select(0, by_object.index_select(0, first))};
}

/// Σ_k Σ_{j ∈ k} q_j q_a(k) ‖x_j − x_a(k)‖². x [N, d], q [N] → scalar. Time and memory O(N·d): the sum has one term a hit.
inline Tensor attraction_sum(Tensor const& x, Tensor const& q, CondensationObjects const& objects) {
  auto const hits = (objects.object >= 0).nonzero().squeeze(1);
  auto const centres = objects.alpha.index_select(0, objects.object.index_select(0, hits));
  auto const difference = x.index_select(0, hits) - x.index_select(0, centres);
  return (q.index_select(0, hits) * q.index_select(0, centres) * difference.square().sum(1)).sum();
}

/// Σ_k Σ_{j ∈ hits, j ∉ k} q_j q_a(k) max(0, 1 − ‖x_j − x_a(k)‖), whose gradient is 0 where the distance is 0. x [N, d], q [N], hits [M]
/// rows → scalar. The plain reference of `repulsion_sum` (ops/condensation_repulsion.hpp). Time O(M·K·d), memory O(M·K).
inline Tensor repulsion_sum_reference(Tensor const& x, Tensor const& q, CondensationObjects const& objects, Tensor const& hits) {
  auto const centres = x.index_select(0, objects.alpha);
  auto const distance =
      at::cdist(x.index_select(0, hits), centres, 2.0, /*compute_mode: never by a matrix product, which is inexact near 0*/ 2);  // [M, K]
  auto const own = objects.object.index_select(0, hits).unsqueeze(1) == at::arange(objects.count(), hits.options());
  auto const weight = q.index_select(0, hits).unsqueeze(1) * q.index_select(0, objects.alpha);
  return (weight * at::relu(1 - distance)).masked_fill(own, 0).sum();
}

}  // namespace dew
