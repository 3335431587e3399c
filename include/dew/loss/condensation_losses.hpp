// SPDX-License-Identifier: BSL-1.0
// The terms of object condensation: attraction, repulsion, coward, noise.
// N hits whose truth is known, K objects (particles with a hit of interest), x the latent coordinates [N, d], q = artanh²β + q_min the
// charge, a(k) an object's hit of largest charge. Hits with an unknown particle (id -1) take no part. From arXiv:2002.03605.
#pragma once
#include <array>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/ops/condensation_repulsion.hpp"

namespace dew {

/// What the sum of attraction or repulsion is divided by.
enum class CondensationNorm {
  hits,   ///< hits: a sum over objects, a mean over hits. What learns: the force on a hit does not shrink with the number of objects
  pairs,  ///< about the number of pairs, as in the Python system
};
constexpr auto names_of(CondensationNorm) { return std::array{"hits", "pairs"}; }

namespace detail {
using CondensationTruth = Keys<ParticleId, Reconstructable, Pt, Eta>;

/// Hits of interest [N]: of a reconstructable particle with pt > `pt_min_gev` and |η| < `eta_max`.
inline Tensor hits_of_interest(RecordOf<CondensationTruth> const& event, double pt_min_gev, double eta_max) {
  return (event[key::particle_id] > 0)
      .logical_and_(event[key::reconstructable])
      .logical_and_(event[key::pt] > pt_min_gev)
      .logical_and_(event[key::eta].abs() < eta_max);
}
/// 0, whose gradient is 0 too.
inline Tensor zero_of(Tensor const& x) { return x.narrow(0, 0, 0).sum(); }

inline bool no_objects(CondensationObjects const& objects) {
  if (objects.count() > 0) return false;
  TORCH_WARN_ONCE("an event without hits of interest: its condensation loss is 0");
  return true;
}
inline Tensor charge(Tensor const& beta, double q_min) { return at::atanh(beta).square() + q_min; }
}  // namespace detail

/// Σ_k Σ_{j ∈ k} q_j q_a(k) ‖x_j − x_a(k)‖², divided by N (`hits`) or by the hits of interest − K (`pairs`). Time and memory O(N·d).
struct Attraction {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double q_min = 1;
    CondensationNorm norm = CondensationNorm::hits;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
                              DEW_OPTION(q_min, "", "least charge of a hit; small: beta decides, large: all hits count alike"),
                              DEW_OPTION(norm, "", "what the sum is divided by"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "attraction";
  using Reads = Keys<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::latent];
    auto const q = detail::charge(event[key::beta], options.q_min);
    auto const interest = detail::hits_of_interest(event, options.pt_min_gev, options.eta_max);
    auto const objects = condensation_objects(q, event[key::particle_id], interest);
    if (detail::no_objects(objects)) return detail::zero_of(x);
    auto const norm = options.norm == CondensationNorm::pairs ? double(interest.sum().item<std::int64_t>() - objects.count()) + 1e-9
                                                              : double((event[key::particle_id] >= 0).sum().item<std::int64_t>());
    return attraction_sum(x, q, objects) / norm;
  }
  bool operator==(Attraction const&) const = default;
};
static_assert(Loss<Attraction>);

/// Σ_k Σ_{j ∉ k} q_j q_a(k) max(0, 1 − ‖x_j − x_a(k)‖) over all hits, noise and low-pt ones too, divided by N (`hits`) or by (K − 1)·N
/// (`pairs`; N for one object). In training it can take `sample_hits` hits drawn anew each time; N is then their number. Time O(N·K·d),
/// memory O((N + K)·d): no N × K matrix.
struct Repulsion {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double q_min = 1;
    CondensationNorm norm = CondensationNorm::hits;
    std::int64_t sample_hits = 0;
    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"), DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
          DEW_OPTION(q_min, "", "least charge of a hit; small: beta decides, large: all hits count alike"),
          DEW_OPTION(norm, "", "what the sum is divided by"), DEW_OPTION(sample_hits, "", "hits drawn at each training step; 0: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "repulsion";
  using Reads = Keys<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event, Context const& context) const {
    auto const& x = event[key::latent];
    auto const q = detail::charge(event[key::beta], options.q_min);
    auto const objects =
        condensation_objects(q, event[key::particle_id], detail::hits_of_interest(event, options.pt_min_gev, options.eta_max));
    if (detail::no_objects(objects)) return detail::zero_of(x);
    auto hits = (event[key::particle_id] >= 0).nonzero().squeeze(1);
    if (context.training && options.sample_hits > 0 && options.sample_hits < hits.size(0))
      hits = hits.index_select(0, at::randperm(hits.size(0), context.generator(), hits.options()).narrow(0, 0, options.sample_hits));
    double const n = double(hits.size(0)), k = double(objects.count());
    auto const norm = options.norm == CondensationNorm::pairs && k > 1 ? (k - 1) * n + 1e-9 : n;
    return repulsion_sum(x, q, objects, hits) / norm;
  }
  bool operator==(Repulsion const&) const = default;
};
static_assert(Loss<Repulsion>);

/// Mean over objects of 1 − β at their condensation hits: asks each object for one hit with a β near 1. Time and memory O(N).
struct Coward {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "coward";
  using Reads = Keys<Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const& beta = event[key::beta];
    auto const objects =
        condensation_objects(beta, event[key::particle_id], detail::hits_of_interest(event, options.pt_min_gev, options.eta_max));
    if (detail::no_objects(objects)) return detail::zero_of(beta);
    return (1 - beta.index_select(0, objects.alpha)).mean();
  }
  bool operator==(Coward const&) const = default;
};
static_assert(Loss<Coward>);

/// Mean of β over noise hits (id 0); 0 where there is none. Time and memory O(N).
struct Noise {
  struct Options {
    static constexpr auto describe() { return hana::make_tuple(); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "noise";
  using Reads = Keys<Beta, ParticleId>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const noise = event[key::beta].index_select(0, (event[key::particle_id] == 0).nonzero().squeeze(1));
    return noise.size(0) > 0 ? noise.mean() : noise.sum();
  }
  bool operator==(Noise const&) const = default;
};
static_assert(Loss<Noise>);

}  // namespace dew
