// SPDX-License-Identifier: BSL-1.0
// Losses on the scores of edges: binary cross entropy, focal loss, haughty focal loss.
// E edges, w the score, y the truth. An edge with an unknown end (particle id -1) is left out; without any edge the loss is 0.
#pragma once
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

namespace detail {
/// What edge losses are made of, for the edges whose ends are both known.
struct JudgedEdges {
  Tensor score;  // [E] w
  Tensor truth;  // [E] y as reals
  Tensor loud;   // [E] y, but 0 where the edge's source has pt ≤ `pt_min_gev`
};

inline JudgedEdges judged_edges(RecordOf<Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt>> const& event, double pt_min_gev) {
  auto const source = event[key::edge_index].select(0, 0), target = event[key::edge_index].select(0, 1);
  auto const known = event[key::particle_id] >= 0;
  auto const judged = known.index_select(0, source).logical_and(known.index_select(0, target)).nonzero().squeeze(1);
  auto score = event[key::edge_score].index_select(0, judged);
  auto truth = event[key::edge_truth].index_select(0, judged).to(score.scalar_type());
  auto loud = truth;
  if (pt_min_gev > 0) loud = truth * (event[key::pt].index_select(0, source.index_select(0, judged)) > pt_min_gev);
  return {std::move(score), std::move(truth), std::move(loud)};
}

/// The mean, and 0 with a zero gradient for no edges.
inline Tensor mean_or_zero(Tensor const& terms) { return terms.numel() > 0 ? terms.mean() : terms.sum(); }

/// Mean of −a·p₊·(1 − w)^γ·y·ln w − (1 − a)·w^γ·(1 − y)·ln(1 − w). Logarithms of 0 are those of the smallest number, so that 0 · ln 0 is 0.
inline Tensor focal(Tensor const& w, Tensor const& y, Tensor const& positive_weight, double alpha, double gamma) {
  constexpr double smallest = 1.2e-38;
  auto const v = 1 - w;
  auto const positive = alpha * positive_weight * v.pow(gamma) * y * at::log(w.clamp_min(smallest));
  auto const negative = (1 - alpha) * w.pow(gamma) * (1 - y) * at::log(v.clamp_min(smallest));
  return -mean_or_zero(positive + negative);
}
}  // namespace detail

/// Mean of −y·ln w − (1 − y)·ln(1 − w), logarithms clamped at −100. Time and memory O(E).
/// Not for very unequal classes with a network that soon gets the many right: see `FocalLoss`.
struct BinaryCrossEntropy {
  struct Options {
    double pt_min_gev = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "edges whose source has at most this pt count as false; 0: all as they are"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "bce";
  using Reads = Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const edges = detail::judged_edges(event, options.pt_min_gev);
    return edges.score.numel() > 0 ? at::binary_cross_entropy(edges.score, edges.loud) : edges.score.sum();
  }
  bool operator==(BinaryCrossEntropy const&) const = default;
};
static_assert(Loss<BinaryCrossEntropy>);

/// Mean of −a·(1 − w)^γ·y·ln w − (1 − a)·w^γ·(1 − y)·ln(1 − w): edges that are already right count little. From arXiv:1708.02002. Time and
/// memory O(E). The scores are no probabilities (with a < ½ they are low): a cut has to be looked for.
struct FocalLoss {
  struct Options {
    double alpha = 0.25;
    double gamma = 2;
    double positive_weight = 1;
    double pt_min_gev = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(alpha, "", "weight of true edges; false ones have 1 - alpha"),
                              DEW_OPTION(gamma, "", "how little well-judged edges count; 0: as in cross entropy"),
                              DEW_OPTION(positive_weight, "", "another factor for true edges"),
                              DEW_OPTION(pt_min_gev, "GeV", "edges whose source has at most this pt count as false; 0: all as they are"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "focal";
  using Reads = Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const edges = detail::judged_edges(event, options.pt_min_gev);
    return detail::focal(edges.score, edges.loud, at::full({}, options.positive_weight, edges.score.options()), options.alpha,
                         options.gamma);
  }
  bool operator==(FocalLoss const&) const = default;
};
static_assert(Loss<FocalLoss>);

/// `FocalLoss` in which a true edge of low pt counts nothing, whatever its score: y is kept and p₊ is the truth above `pt_min_gev`. Time
/// and memory O(E). Not for scores that must be low where pt is low: with it they are what the network likes.
struct HaughtyFocalLoss {
  struct Options {
    double alpha = 0.25;
    double gamma = 2;
    double pt_min_gev = 0.9;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(alpha, "", "weight of true edges; false ones have 1 - alpha"),
                              DEW_OPTION(gamma, "", "how little well-judged edges count; 0: as in cross entropy"),
                              DEW_OPTION(pt_min_gev, "GeV", "true edges whose source has at most this pt count nothing; 0: all count"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "haughty_focal";
  using Reads = Keys<EdgeScore, EdgeTruth, EdgeIndex, ParticleId, Pt>;

  Tensor operator()(RecordOf<Reads> const& event) const {
    auto const edges = detail::judged_edges(event, options.pt_min_gev);
    return detail::focal(edges.score, edges.truth, edges.loud, options.alpha, options.gamma);
  }
  bool operator==(HaughtyFocalLoss const&) const = default;
};
static_assert(Loss<HaughtyFocalLoss>);

}  // namespace dew
