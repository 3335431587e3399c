// SPDX-License-Identifier: BSL-1.0
// The terms of object condensation: attraction, repulsion, coward, noise.
// N hits whose truth is known, K objects (particles with a hit of interest), x the latent coordinates [N, d], q = artanh²β + q_min the
// charge, a(k) an object's hit of largest charge. Hits with an unknown particle (id -1) take no part. From arXiv:2002.03605.
//
// `keep_particles` below 1: at each training step a particle is an object only with that probability, with all its hits, and the same
// particles are in all terms of a sum. What was dropped is no object, but its hits still repel as noise does; K, the hits of interest and
// the mean of the coward term run over what was kept, N does not change. Saves time where repulsion from many objects is slow.
#pragma once
#include <array>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/loss/hits_of_interest.hpp"
#include "dew/ops/condensation_attraction.hpp"
#include "dew/ops/condensation_repulsion.hpp"
#include "dew/ops/repulsive_pairs.hpp"

namespace dew {

/// What the sum of attraction or repulsion is divided by.
enum class CondensationNorm {
  hits,   ///< hits: a sum over objects, a mean over hits. What learns: the force on a hit does not shrink with the number of objects
  pairs,  ///< about the number of pairs, as in the Python system
};
constexpr auto names_of(CondensationNorm) { return std::array{"hits", "pairs"}; }

namespace detail {
inline bool no_objects(CondensationObjects const& objects) {
  if (objects.count() > 0) return false;
  TORCH_WARN_ONCE("an event without hits of interest: its condensation loss is 0");
  return true;
}
inline Tensor charge(Tensor const& beta, double q_min) { return at::atanh(beta).square() + q_min; }

/// Hits of interest [N] of the objects of this step.
template <class Options>
Tensor hits_of_objects(RecordOf<InterestTruth> const& event, Options const& options, Context const& context) {
  return of_kept_particles(hits_of_interest(event, options.pt_min_gev, options.eta_max), event[key::particle_id], options.keep_particles,
                           context);
}
}  // namespace detail

/// Σ_k Σ_{j ∈ k} q_j q_a(k) ‖x_j − x_a(k)‖², divided by N (`hits`) or by the hits of interest − K (`pairs`). Time and memory O(N·d).
struct Attraction {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double q_min = 1;
    CondensationNorm norm = CondensationNorm::hits;
    double keep_particles = 1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
                              DEW_OPTION(q_min, "", "least charge of a hit; small: beta decides, large: all hits count alike"),
                              DEW_OPTION(norm, "", "what the sum is divided by"),
                              DEW_OPTION(keep_particles, "", "share of objects kept at a training step, the same in all terms; 1: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "attraction";
  using Reads = Keys<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event, Context const& context = {}) const {
    auto const& x = event[key::latent];
    auto const q = detail::charge(event[key::beta], options.q_min);
    auto const interest = detail::hits_of_objects(event, options, context);
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
///
/// `max_pairs` M bounds what the gradient is made of: where in training the n pairs (j, k) nearer than 1 are more, each is kept with
/// probability M/n and the norm is times M/n, so that the expected value is the same. Needs no N × K matrix either, and finds the pairs by
/// tiles, twice. For devices where tiles with gradients are slow; on the CPU the sum over all pairs is faster.
struct Repulsion {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double q_min = 1;
    CondensationNorm norm = CondensationNorm::hits;
    std::int64_t sample_hits = 0;
    double keep_particles = 1;
    std::int64_t max_pairs = 0;
    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"), DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
          DEW_OPTION(q_min, "", "least charge of a hit; small: beta decides, large: all hits count alike"),
          DEW_OPTION(norm, "", "what the sum is divided by"), DEW_OPTION(sample_hits, "", "hits drawn at each training step; 0: all"),
          DEW_OPTION(keep_particles, "", "share of objects kept at a training step, the same in all terms; 1: all"),
          DEW_OPTION(max_pairs, "", "about how many repulsive pairs are kept at a training step; 0: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "repulsion";
  using Reads = Keys<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event, Context const& context) const {
    check(options.max_pairs >= 0, ErrorKind::usage, "{}.max_pairs: expected a number of at least 0, got {}", name, options.max_pairs);
    auto const& x = event[key::latent];
    auto const q = detail::charge(event[key::beta], options.q_min);
    auto const objects = condensation_objects(q, event[key::particle_id], detail::hits_of_objects(event, options, context));
    if (detail::no_objects(objects)) return detail::zero_of(x);
    auto hits = (event[key::particle_id] >= 0).nonzero().squeeze(1);
    if (context.training && options.sample_hits > 0 && options.sample_hits < hits.size(0))
      hits = hits.index_select(0, at::randperm(hits.size(0), context.generator(), hits.options()).narrow(0, 0, options.sample_hits));
    double const n = double(hits.size(0)), k = double(objects.count());
    auto const norm = options.norm == CondensationNorm::pairs && k > 1 ? (k - 1) * n + 1e-9 : n;
    if (context.training && options.max_pairs > 0)
      if (auto const some = choose_repulsive_pairs(x, objects, hits, options.max_pairs, context.generator(1)); some.hit.defined())
        return sum_over(some, x, q, objects) / (norm * double(options.max_pairs) / double(some.count));
    return repulsion_sum(x, q, objects, hits) / norm;
  }
  bool operator==(Repulsion const&) const = default;

 private:
  static Tensor sum_over(RepulsivePairs const& pairs, Tensor const& x, Tensor const& q, CondensationObjects const& objects) {
    auto const centre = objects.alpha.index_select(0, pairs.object);
    auto const distance = detail::pair_distances(x, pairs.hit, centre);
    return (q.index_select(0, pairs.hit) * q.index_select(0, centre) * at::relu(1 - distance)).sum();
  }
};
static_assert(Loss<Repulsion>);

/// Mean over objects of 1 − β at their condensation hits: asks each object for one hit with a β near 1. Time and memory O(N).
struct Coward {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double keep_particles = 1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
                              DEW_OPTION(keep_particles, "", "share of objects kept at a training step, the same in all terms; 1: all"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "coward";
  using Reads = Keys<Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event, Context const& context = {}) const {
    auto const& beta = event[key::beta];
    auto const objects = condensation_objects(beta, event[key::particle_id], detail::hits_of_objects(event, options, context));
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
