// SPDX-License-Identifier: BSL-1.0
// find_tracks: the complete program, with a recipe that learns in minutes on two cores.
#include <dew/dew.hpp>

using namespace dew;

int main(int argc, char** argv) {
  auto pipeline = Pipeline{
      PeriodicFeatures{},                                          // hits without a jump in phi
      GeometricGraph{{.phi_slope_max = 0.002, .z0_max_mm = 100}},  // a graph on them
      ScaledEdges{},
      EdgeClassifier{{.hidden = 32, .layers = 3}},  // which edges are right?
      ScoreCut{{.threshold = 0.3}},
      OrphanMask{},  // no hits without edges
      Symmetries{},  // turned and mirrored in training
      Condenser{
          {.latent = 12, .hidden = 48, .layers = 5, .score_min = 0, .initial_scale = 0.1, .smoothing = 5, .products = Products::bfloat16}},
      Dbscan{{.eps = 0.3, .min_points = 1}}};  // tracks

  return App{"find_tracks", pipeline}
      .about("find_tracks: from hits to tracks with a graph network and object condensation")
      .events(TrackMl{}, ActsCsv{}, SafetensorsEvents{})
      .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 10, .share = 0.62, .learning_rate = 5e-3, .validate_every = 5}),
             fit<Condenser>(5 * Attraction{} + Repulsion{} + weighted(0, Coward{}) + weighted(0, Noise{}),
                            {.epochs = 20, .share = 0.36, .learning_rate = 4e-3, .validate_every = 5}),
             scan<Dbscan>({.metric = "tracking.pt0.9.double_majority", .share = 0.02},
                          {.eps_min = 0.1, .eps_max = 0.6, .eps_steps = 26, .min_points = {1, 2}}))
      .evaluate(GraphMetrics{}, EdgeMetrics{}, ComponentTracking{}, TrackingMetrics{})
      .run(argc, argv);
}
