// SPDX-License-Identifier: BSL-1.0
// Condensation: which objects an event has, and the sums of object condensation as plain torch operations.
// N hits, K objects, d latent dimension. Hits j, objects k, and the condensation hit a(k) of an object.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// The objects of an event.
struct CondensationObjects {
  Tensor object;  ///< [N] the number of the hit's object, 0 … K − 1 in the order of the particles' ids; −1 for a hit of none
  Tensor alpha;   ///< [K] each object's condensation hit: the one of largest charge, the first of equals
  std::int64_t count() const { return alpha.size(0); }
};

namespace detail {
/// Small numbers for some of the many values that an id can have, by open addressing.
class IdNumbers {
 public:
  /// For at most n different ids.
  explicit IdNumbers(std::size_t n) : bits_(int(std::bit_width(2 * n + 2))), slots_(std::size_t(1) << bits_, Slot{0, -1}) {}
  void insert(std::int64_t id) {
    auto& slot = slots_[at(id)];
    if (slot.number < 0) slot = {id, 0}, ids_.push_back(id);
  }
  /// Numbers the ids in ascending order; returns how many there are.
  std::int64_t number() {
    std::sort(ids_.begin(), ids_.end());
    for (std::size_t k = 0; k < ids_.size(); ++k) slots_[at(ids_[k])].number = std::int64_t(k);
    return std::int64_t(ids_.size());
  }
  /// −1 for an id that is not there.
  std::int64_t of(std::int64_t id) const { return slots_[at(id)].number; }

 private:
  struct Slot { std::int64_t id, number; };
  /// The slot that the id has, or would have.
  std::size_t at(std::int64_t id) const {
    auto i = std::size_t(std::uint64_t(id) * 0x9e3779b97f4a7c15 >> (64 - bits_));  // Fibonacci hashing
    while (slots_[i].number >= 0 && slots_[i].id != id) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  int bits_;
  std::vector<Slot> slots_;
  std::vector<std::int64_t> ids_;
};

template <class T>
CondensationObjects condensation_objects_cpu(Tensor const& charge, Tensor const& particle_id, Tensor const& of_interest) {
  auto const n = particle_id.size(0);
  auto const* q = charge.const_data_ptr<T>();
  auto const* id = particle_id.const_data_ptr<std::int64_t>();
  auto const* interest = of_interest.const_data_ptr<bool>();
  IdNumbers numbers(std::size_t(std::count(interest, interest + n, true)));
  for (std::int64_t j = 0; j < n; ++j)
    if (interest[j]) numbers.insert(id[j]);
  auto const count = numbers.number();
  CondensationObjects out{at::empty({n}, particle_id.options()), at::full({count}, -1, particle_id.options())};
  auto* object = out.object.mutable_data_ptr<std::int64_t>();
  auto* alpha = out.alpha.mutable_data_ptr<std::int64_t>();
  auto const larger = [](T a, T b) { return a > b || (std::isnan(a) && !std::isnan(b)); };  // as a sort in LibTorch
  for (std::int64_t j = 0; j < n; ++j) {
    auto const k = object[j] = numbers.of(id[j]);
    if (k >= 0 && (alpha[k] < 0 || larger(q[j], q[alpha[k]]))) alpha[k] = j;
  }
  return out;
}

/// The same by sorting, on any device. O(N log N).
inline CondensationObjects condensation_objects_sorted(Tensor const& charge, Tensor const& particle_id, Tensor const& of_interest) {
  auto const chosen = particle_id.index_select(0, of_interest.nonzero().squeeze(1));
  auto const ids = std::get<0>(at::unique_consecutive(std::get<0>(at::sort(chosen))));  // [K]
  auto const count = ids.size(0);
  if (count == 0) return {at::full_like(particle_id, -1), at::empty({0}, particle_id.options())};
  auto const place = at::searchsorted(ids, particle_id).clamp_max_(count - 1);
  auto const object = at::where(ids.index_select(0, place) == particle_id, place, at::scalar_tensor(-1, place.options()));
  // two stable sorts: by object, and within an object by falling charge
  auto const by_charge = at::argsort(charge, /*stable=*/true, /*dim=*/0, /*descending=*/true);
  auto const [sorted, by_object] = at::sort(object.index_select(0, by_charge), /*stable=*/true, /*dim=*/0, /*descending=*/false);
  auto const first = at::searchsorted(sorted, at::arange(count, place.options()));
  return {object, by_charge.index_select(0, by_object.index_select(0, first))};
}
}  // namespace detail

/// Objects are the particles with a hit of interest; all of a particle's hits are its object's. charge [N] real, particle_id [N] int64,
/// of_interest [N] bool. Time O(N + K log K) on the CPU, O(N log N) elsewhere. No gradient.
inline CondensationObjects condensation_objects(Tensor const& charge, Tensor const& particle_id, Tensor const& of_interest) {
  at::NoGradGuard no_grad;
  auto const q = charge.detach();
  bool const on_cpu = q.device().is_cpu() && particle_id.device().is_cpu() && of_interest.device().is_cpu();
  bool const known = (q.scalar_type() == at::kFloat || q.scalar_type() == at::kDouble) && particle_id.scalar_type() == at::kLong &&
                     of_interest.scalar_type() == at::kBool;
  if (!on_cpu || !known) return detail::condensation_objects_sorted(q, particle_id, of_interest);
  check(q.dim() == 1 && particle_id.sizes() == q.sizes() && of_interest.sizes() == q.sizes(),
        "condensation_objects: expected charge, particle_id and of_interest [N], got {}, {} and {}", shape_text(q), shape_text(particle_id),
        shape_text(of_interest));
  auto const made = q.scalar_type() == at::kFloat ? detail::condensation_objects_cpu<float> : detail::condensation_objects_cpu<double>;
  return made(q.contiguous(), particle_id.contiguous(), of_interest.contiguous());
}

/// Σ_k Σ_{j ∈ k} q_j q_a(k) ‖x_j − x_a(k)‖². x [N, d], q [N] → scalar. The plain reference of
/// `attraction_sum` (ops/condensation_attraction.hpp). Time and memory O(N·d): the sum has one term a hit.
inline Tensor attraction_sum_reference(Tensor const& x, Tensor const& q, CondensationObjects const& objects) {
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
