// SPDX-License-Identifier: BSL-1.0
// The hinge embedding loss in two terms: attraction along given true pairs, repulsion of near hits of different particles.
// N hits, x the embedding [N, d], d_ij = ‖x_i − x_j‖, I the hits of interest. Hits with an unknown particle (id −1) take no part. The loss of
// arXiv:2309.16754 and arXiv:2312.03823, metric learning.
//
//     HingeAttraction{} + 0.4 * HingeRepulsion{{.radius = 1}}
#pragma once
#include <array>
#include <cmath>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"
#include "dew/loss/hits_of_interest.hpp"
#include "dew/ops/radius_neighbours.hpp"

namespace dew {

/// What the sum of the repulsion is divided by.
enum class HingeNorm {
  n_hits_oi,    ///< hits of interest
  n_rep_edges,  ///< pairs that repel
  n_att_edges,  ///< true pairs that attract
};
constexpr auto names_of(HingeNorm) { return std::array{"n_hits_oi", "n_rep_edges", "n_att_edges"}; }

namespace detail {
/// The columns of `true_edge_index` that attract [A]: from a hit of interest to a hit that is known.
inline Tensor attracting_pairs(Tensor const& true_edge_index, Tensor const& of_interest, Tensor const& particle_id) {
  return of_interest.index_select(0, true_edge_index.select(0, 0))
      .logical_and_(particle_id.index_select(0, true_edge_index.select(0, 1)) >= 0)
      .nonzero()
      .squeeze(1);
}
/// d^p. Below 1 the gradient at d = 0 would be infinite.
inline Tensor hinge_power(Tensor const& distance, double power, std::string_view name) {
  check(power >= 1 && std::isfinite(power), ErrorKind::usage, "{}.power: expected a number of at least 1, got {}", name, power);
  return power == 1 ? distance : distance.pow(power);
}
}  // namespace detail

/// Σ d_ij^p / (A + 1e-9) over the A given true pairs (i, j) with i ∈ I: pulls hits of a particle together. Reads `hit_embedding` [N, d] and
/// `true_edge_index` [2, T] (`TruePairs` writes it), one direction a pair. The gradient at d = 0 is 0. O(T·d) time and memory.
struct HingeAttraction {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double power = 1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "hits of interest are those of particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"), DEW_OPTION(power, "", "of the distance; at least 1"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "hinge_attraction";
  using Reads = Keys<HitEmbedding, TrueEdgeIndex, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const& edges = event[key::true_edge_index];
    auto const interest = hits_of_interest(event, options.pt_min_gev, options.eta_max);
    auto const pairs = edges.index_select(1, detail::attracting_pairs(edges, interest, event[key::particle_id]));  // [2, A]
    auto const distance = detail::pair_distances(event[key::hit_embedding], pairs[0], pairs[1]);
    return detail::hinge_power(distance, options.power, name).sum() / (double(pairs.size(1)) + 1e-9);
  }
  bool operator==(HingeAttraction const&) const = default;
};
static_assert(Loss<HingeAttraction>);

/// Σ max(0, r − d_ij^p) / (norm + 1e-9) over the ordered pairs (i, j) of hits with different ids, i ∈ I and d_ij < r: pushes other
/// particles' hits, noise too, out of reach. Two hits of interest count twice; two noise hits have one id and do not repel. With
/// `rep_oi_only` off, i is any hit. Reads `hit_embedding` [N, d] and, for its number of pairs alone, `true_edge_index` [2, T].
///
/// The M pairs within r are found by a tree search (`radius_neighbours`: on the CPU, no gradient), their distances are computed again with
/// one; never all pairs. Time O(N log N + M·d) in few dimensions, memory O(N·d + M·d): for an untrained embedding whose hits all lie within
/// r, M is near N². Throws `Error` for an embedding that is not finite and options that make no sense.
struct HingeRepulsion {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double radius = 1;
    double power = 1;
    HingeNorm norm = HingeNorm::n_hits_oi;
    bool rep_oi_only = true;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "hits of interest are those of particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"), DEW_OPTION(radius, "", "hits nearer than this repel"),
                              DEW_OPTION(power, "", "of the distance; at least 1"), DEW_OPTION(norm, "", "what the sum is divided by"),
                              DEW_OPTION(rep_oi_only, "", "pairs have a hit of interest as their first hit; false: any hit"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "hinge_repulsion";
  using Reads = Keys<HitEmbedding, TrueEdgeIndex, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    check(options.radius > 0, ErrorKind::usage, "{}.radius: expected a radius above 0, got {}", name, options.radius);
    auto const &x = event[key::hit_embedding], &id = event[key::particle_id];
    auto const interest = hits_of_interest(event, options.pt_min_gev, options.eta_max);
    auto const known = (id >= 0).nonzero().squeeze(1);
    auto const near = radius_neighbours(x.index_select(0, known), options.radius).edge_index();  // [2, M] j → i, places in `known`
    auto const j = known.index_select(0, near[0]), i = known.index_select(0, near[1]);
    auto repels = id.index_select(0, i) != id.index_select(0, j);
    if (options.rep_oi_only) repels.logical_and_(interest.index_select(0, i));
    auto const pairs = repels.nonzero().squeeze(1);
    auto const distance = detail::pair_distances(x, i.index_select(0, pairs), j.index_select(0, pairs));
    auto const sum = at::relu(options.radius - detail::hinge_power(distance, options.power, name)).sum();
    return sum / (norm(event, interest, pairs.size(0)) + 1e-9);
  }
  bool operator==(HingeRepulsion const&) const = default;

 private:
  double norm(RecordOf<Reads> const& event, Tensor const& interest, std::int64_t repelling) const {
    switch (options.norm) {
      case HingeNorm::n_rep_edges: return double(repelling);
      case HingeNorm::n_att_edges:
        return double(detail::attracting_pairs(event[key::true_edge_index], interest, event[key::particle_id]).size(0));
      default: return double(interest.sum().item<std::int64_t>());
    }
  }
};
static_assert(Loss<HingeRepulsion>);

}  // namespace dew
