// SPDX-License-Identifier: BSL-1.0
// Object condensation as its paper has it, arXiv:2002.03605: the potential of equation (8) and the β term of equation (9).
// N hits whose truth is known, K objects (particles with a hit of interest), x the latent coordinates [N, d], q = artanh²β + q_min, a(k) an
// object's hit of largest charge, d_jk = ‖x_j − x_a(k)‖. Hits with an unknown particle (id −1) take no part.
#pragma once
#include <string_view>

#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/sum.hpp"

namespace dew {

/// (1/N) Σ_j q_j Σ_k q_a(k)·(j ∈ k ? d_jk² : max(0, 1 − d_jk)): `Attraction` + `Repulsion`, each divided by N, with one choice of objects
/// and one weight. Time O(N·K·d) at worst, memory O((N + K)·d). No object: 0, with a zero gradient.
struct PaperPotential {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double q_min = 0.01;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
                              DEW_OPTION(q_min, "", "least charge of a hit; small: beta decides, large: all hits count alike"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "paper_potential";
  using Reads = Keys<Latent, Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const& x = event[key::latent];
    auto const q = detail::charge(event[key::beta], options.q_min);
    auto const objects = condensation_objects(q, event[key::particle_id], hits_of_interest(event, options.pt_min_gev, options.eta_max));
    if (detail::no_objects(objects)) return detail::zero_of(x);
    auto const hits = (event[key::particle_id] >= 0).nonzero().squeeze(1);
    return (attraction_sum(x, q, objects) + repulsion_sum(x, q, objects, hits)) / double(hits.size(0));
  }
  bool operator==(PaperPotential const&) const = default;
};
static_assert(Loss<PaperPotential>);

/// mean_k (1 − β_a(k)) + s_B · (mean of β over noise hits, id 0): `Coward` + s_B · `Noise`. Time and memory O(N).
struct PaperBeta {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    double noise_scale = 1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with more pt"),
                              DEW_OPTION(eta_max, "", "and with a smaller |eta|"),
                              DEW_OPTION(noise_scale, "", "s_B, the weight of noise hits; 0: they count nothing"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "paper_beta";
  using Reads = Keys<Beta, ParticleId, Reconstructable, Pt, Eta>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    Coward const coward{{.pt_min_gev = options.pt_min_gev, .eta_max = options.eta_max}};
    return coward(event) + options.noise_scale * Noise{}(event);
  }
  bool operator==(PaperBeta const&) const = default;
};
static_assert(Loss<PaperBeta>);

/// What both terms share.
struct PaperCondensationOptions {
  double pt_min_gev = 0.9;
  double eta_max = 4;
  double q_min = 0.01;
  double noise_scale = 1;
};

/// The paper's loss without its payload (`ObjectProperties` is that): `fit<Condenser>(paper_condensation({.q_min = 0.1}), …)`.
inline Sum<PaperPotential, PaperBeta> paper_condensation(PaperCondensationOptions const& o = {}) {
  return PaperPotential{{.pt_min_gev = o.pt_min_gev, .eta_max = o.eta_max, .q_min = o.q_min}} +
         PaperBeta{{.pt_min_gev = o.pt_min_gev, .eta_max = o.eta_max, .noise_scale = o.noise_scale}};
}

}  // namespace dew
