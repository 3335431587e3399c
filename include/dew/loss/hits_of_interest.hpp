// SPDX-License-Identifier: BSL-1.0
// What losses on hits share: which particles are kept in a training step, a zero with a gradient.
// N hits.
#pragma once
#include <cstdint>

#include "dew/core/policy.hpp"
#include "dew/event/hits_of_interest.hpp"

namespace dew::detail {

/// Those of `of_interest` [N] whose particle is kept in this training step: each particle, with all its hits, with probability `keep`.
/// A particle's draw follows from the context's shared seed, epoch and event and from its id alone, so that all terms of a sum, whatever
/// their names and cuts, keep the same particles, and the order of the hits is of no account. Without training, and with 1, all are kept.
/// O(N).
inline Tensor of_kept_particles(Tensor const& of_interest, Tensor const& particle_id, double keep, Context const& context) {
  check(keep > 0 && keep <= 1, ErrorKind::usage, "keep_particles: expected a probability above 0 and at most 1, got {}", keep);
  if (!context.training || keep == 1) return of_interest;
  auto const step =
      mix_seed(mix_seed(mix_seed(context.shared_seed, std::uint64_t(context.epoch)), std::uint64_t(context.event)), "keep_particles");
  auto const id = particle_id.to(at::kCPU).contiguous();
  auto kept = at::empty(id.sizes(), at::kBool);
  auto const* ids = id.const_data_ptr<std::int64_t>();
  auto* out = kept.mutable_data_ptr<bool>();
  for (std::int64_t i = 0; i < id.size(0); ++i) out[i] = double(mix_seed(step, std::uint64_t(ids[i])) >> 11) * 0x1p-53 < keep;
  return of_interest.logical_and(kept.to(of_interest.device()));
}

/// 0, whose gradient is 0 too.
inline Tensor zero_of(Tensor const& x) { return x.narrow(0, 0, 0).sum(); }

/// ‖x_a − x_b‖ of pairs of rows [M], whose gradient is 0 where the distance is 0.
inline Tensor pair_distances(Tensor const& x, Tensor const& a, Tensor const& b) {
  return at::linalg_vector_norm(x.index_select(0, a) - x.index_select(0, b), 2, at::IntArrayRef{1});
}

}  // namespace dew::detail
