// SPDX-License-Identifier: BSL-1.0
// The event schema: the keys that sources, graph builders, models, clusterers and metrics share.
// N hits, E edges, P particles, d latent dimension. Lengths in mm, momenta in GeV, angles in rad.
#pragma once
#include "dew/core/key.hpp"
#include "dew/core/record.hpp"

namespace dew {

// ---- what a detector gives: known for every event ---------------------------------------------------------------------------------
struct HitId : Key<"hit_id", Hits, Kind::integer, Shape<>, "", "the hit's number in its file"> {};                              // [N]
struct Position : Key<"position", Hits, Kind::real, Shape<3>, "mm", "x, y, z"> {};                                              // [N, 3]
struct Layer : Key<"layer", Hits, Kind::integer, Shape<>, "", "the hit's layer, as its geometry numbers them"> {};              // [N]
struct HitFeatures : Key<"hit_features", Hits, Kind::real, Shape<any>, "", "what models read of a hit, scaled to order 1"> {};  // [N, f]

// ---- what is known of simulated events (id > 0 a particle, 0 noise, -1 unknown) -------------------------------------------------------
struct ParticleId : Key<"particle_id", Hits, Kind::integer, Shape<>, "", "the hit's particle; 0 noise, -1 unknown"> {};  // [N]
struct Pt : Key<"pt", Hits, Kind::real, Shape<>, "GeV", "transverse momentum of the hit's particle; 0 without one"> {};  // [N]
struct Eta : Key<"eta", Hits, Kind::real, Shape<>, "", "pseudorapidity of the hit's particle; 0 without one"> {};        // [N]
struct Reconstructable : Key<"reconstructable", Hits, Kind::boolean, Shape<>, "", "the hit's particle left hits on at least 3 layers"> {
};  // [N]

// The particles themselves, fixed when the event is loaded: hits that a stage drops later still count against the tracks. Rows are the
// particles (id > 0) that left a selected hit, sorted by id.
struct TruthId : Key<"truth_id", Particles, Kind::integer, Shape<>, "", "the particle's number, ascending"> {};                     // [P]
struct TruthPt : Key<"truth_pt", Particles, Kind::real, Shape<>, "GeV", "the particle's transverse momentum"> {};                   // [P]
struct TruthEta : Key<"truth_eta", Particles, Kind::real, Shape<>, "", "the particle's pseudorapidity"> {};                         // [P]
struct TruthHits : Key<"truth_hits", Particles, Kind::integer, Shape<>, "", "the particle's selected hits"> {};                     // [P]
struct TruthReconstructable : Key<"truth_reconstructable", Particles, Kind::boolean, Shape<>, "", "hits on at least 3 layers"> {};  // [P]

// What only some truths say; where one does not, the values say so.
struct Weight : Key<"weight", Hits, Kind::real, Shape<>, "", "the hit's weight in the TrackML score; 0 where unknown"> {};  // [N]
struct TruthWeight : Key<"truth_weight", Particles, Kind::real, Shape<>, "", "sum of the weights of the particle's selected hits"> {
};  // [P]
struct TruthRadius
    : Key<"truth_radius", Particles, Kind::real, Shape<>, "mm", "distance from the beam line where it was made; -1 where unknown"> {
};  // [P]
struct TruthCharge : Key<"truth_charge", Particles, Kind::real, Shape<>, "e", "the particle's charge; 0 where unknown"> {};  // [P]
struct TruthPrimary : Key<"truth_primary", Particles, Kind::integer, Shape<>, "",
                          "1: made in a collision, 0: later, from another particle; -1 where unknown"> {};  // [P]

// ---- graphs -----------------------------------------------------------------------------------------------------------------------
struct EdgeIndex
    : Key<"edge_index", Edges, Kind::integer, Shape<2>, "row", "source and target hit; a message flows to the target"> {  // [2, E]
  using PointsInto = Hits;
  static constexpr int row_dim = 1;
  static constexpr bool drops_row = true;
};
struct EdgeFeatures : Key<"edge_features", Edges, Kind::real, Shape<any>, "", "what models read of an edge, scaled to order 1"> {
};  // [E, f]
struct EdgeTruth : Key<"edge_truth", Edges, Kind::boolean, Shape<>, "", "both ends belong to one particle"> {};  // [E]

/// The row domain of pairs of hits that belong together.
struct TrueEdges { static constexpr std::string_view name = "true_edges"; };  ///< one row a pair of hits of one particle
struct TrueEdgeIndex
    : Key<"true_edge_index", TrueEdges, Kind::integer, Shape<2>, "row", "two hits of one particle, in one direction"> {  // [2, T]
  using PointsInto = Hits;
  static constexpr int row_dim = 1;
  static constexpr bool drops_row = true;
};

// ---- what models and clusterers write ---------------------------------------------------------------------------------------------
struct EdgeScore : Key<"edge_score", Edges, Kind::real, Shape<>, "", "the edge classifier's w in (0, 1)"> {};                     // [E]
struct NodeEmbedding : Key<"node_embedding", Hits, Kind::real, Shape<any>, "", "the edge classifier's last node embedding"> {};   // [N, h]
struct EdgeEmbedding : Key<"edge_embedding", Edges, Kind::real, Shape<any>, "", "the edge classifier's last edge embedding"> {};  // [E, h]
struct Latent : Key<"latent", Hits, Kind::real, Shape<any>, "", "the condenser's coordinates"> {};                                // [N, d]
struct Beta : Key<"beta", Hits, Kind::real, Shape<>, "", "condensation likelihood in (0, 1)"> {};                                 // [N]
struct Label : Key<"label", Hits, Kind::integer, Shape<>, "", "the hit's track; -1 for none"> {};                                 // [N]

struct HitEmbedding
    : Key<"hit_embedding", Hits, Kind::real, Shape<any>, "", "coordinates in which hits of one particle are near each other"> {};  // [N, d]
struct Properties : Key<"properties", Hits, Kind::real, Shape<any>, "", "what a model says of the hit's particle, scaled to order 1"> {
};  // [N, p]
struct TrueProperties
    : Key<"true_properties", Hits, Kind::real, Shape<any>, "", "the same of the hit's true particle, in the same columns"> {};  // [N, p]

/// The objects of the keys, in a namespace of their own so that a local variable called `beta` hides nothing.
namespace key {
inline constexpr Of<HitId> hit_id;
inline constexpr Of<Position> position;
inline constexpr Of<Layer> layer;
inline constexpr Of<HitFeatures> hit_features;
inline constexpr Of<ParticleId> particle_id;
inline constexpr Of<Pt> pt;
inline constexpr Of<Eta> eta;
inline constexpr Of<Reconstructable> reconstructable;
inline constexpr Of<TruthId> truth_id;
inline constexpr Of<TruthPt> truth_pt;
inline constexpr Of<TruthEta> truth_eta;
inline constexpr Of<TruthHits> truth_hits;
inline constexpr Of<TruthReconstructable> truth_reconstructable;
inline constexpr Of<Weight> weight;
inline constexpr Of<TruthWeight> truth_weight;
inline constexpr Of<TruthRadius> truth_radius;
inline constexpr Of<TruthCharge> truth_charge;
inline constexpr Of<TruthPrimary> truth_primary;
inline constexpr Of<EdgeIndex> edge_index;
inline constexpr Of<EdgeFeatures> edge_features;
inline constexpr Of<EdgeTruth> edge_truth;
inline constexpr Of<TrueEdgeIndex> true_edge_index;
inline constexpr Of<EdgeScore> edge_score;
inline constexpr Of<NodeEmbedding> node_embedding;
inline constexpr Of<EdgeEmbedding> edge_embedding;
inline constexpr Of<Latent> latent;
inline constexpr Of<Beta> beta;
inline constexpr Of<Label> label;
inline constexpr Of<HitEmbedding> hit_embedding;
inline constexpr Of<Properties> properties;
inline constexpr Of<TrueProperties> true_properties;
}  // namespace key

/// What every source gives for a bare event.
using HitKeys = Keys<HitId, Position, Layer, HitFeatures>;
/// What it adds where the truth is known.
using TruthKeys = Keys<ParticleId, Pt, Eta, Reconstructable, TruthId, TruthPt, TruthEta, TruthHits, TruthReconstructable>;
/// What it may add besides: metrics that use these only may read them.
using TruthDetailKeys = Keys<Weight, TruthWeight, TruthRadius, TruthCharge, TruthPrimary>;
using HitRecord = RecordOf<HitKeys>;
using LabelledRecord = RecordOf<UnionOf<HitKeys, TruthKeys>>;
using DetailedRecord = RecordOf<UnionOf<HitKeys, TruthKeys, TruthDetailKeys>>;  ///< narrows to a `LabelledRecord`

}  // namespace dew
