// SPDX-License-Identifier: BSL-1.0
// Which hits losses and metrics ask about. N hits.
#pragma once
#include "dew/event/schema.hpp"

namespace dew {

/// What the truth must say for it.
using InterestTruth = Keys<ParticleId, Reconstructable, Pt, Eta>;

/// Hits of interest [N]: of a reconstructable particle with pt > `pt_min_gev` and |η| < `eta_max`.
inline Tensor hits_of_interest(RecordOf<InterestTruth> const& event, double pt_min_gev, double eta_max) {
  return (event[key::particle_id] > 0)
      .logical_and_(event[key::reconstructable])
      .logical_and_(event[key::pt] > pt_min_gev)
      .logical_and_(event[key::eta].abs() < eta_max);
}

}  // namespace dew
