// SPDX-License-Identifier: BSL-1.0
// A small program with three parts to train, for tests that start it several times at once.
#include "dew/app/app.hpp"
#include "dew/cluster/dbscan.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/model/condenser.hpp"
#include "dew/model/edge_classifier.hpp"

using namespace dew;

int main(int argc, char** argv) {
  return App{"small", Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 8, .layers = 1}},
                               Condenser{{.latent = 3, .hidden = 8, .layers = 1}}, Dbscan{}}}
      .events(TrackMl{})
      .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 6, .warmup_steps = 3, .events_per_step = 4}),
             fit<Condenser>(Attraction{} + Repulsion{}, {.epochs = 6, .warmup_steps = 3, .events_per_step = 4, .keep_best = true}),
             scan<Dbscan>(maximise("tracking.pt0.9.double_majority"), {.eps_min = 0.1, .eps_max = 0.9, .eps_steps = 5}))
      .evaluate(EdgeMetrics{}, TrackingMetrics{})
      .run(argc, argv);
}
