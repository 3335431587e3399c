// SPDX-License-Identifier: BSL-1.0
// A whole study: stages one after the other, how they are trained and what scores them. The program has the commands
// simulate, train, evaluate, run, export, options, runs and submit, a flag for every option of every part, and --help:
//     tracking simulate --out events --select 1-20
//     tracking train --events events --train 1-18 --validate 19-20 --out run
#include <dew/dew.hpp>

using namespace dew;

int main(int argc, char** argv) {
  auto pipeline = Pipeline{GeometricGraph{{.phi_slope_max = 0.002, .z0_max_mm = 100}},  // a graph on the hits
                           EdgeClassifier{{.hidden = 64, .layers = 3}},                 // which edges are right?
                           Condenser{{.latent = 8, .layers = 4}},                       // hits of one particle together
                           Dbscan{{.eps = 0.5, .min_points = 1}}};                      // tracks

  return App{"tracking", pipeline}
      .events(TrackMl{})
      .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 5}),
             fit<Condenser>(Attraction{} + Repulsion{} + 0.1 * Coward{} + 0.1 * Noise{}, {.epochs = 20}),
             scan<Dbscan>(maximise("tracking.pt0.9.double_majority")))  // each stage in turn, the earlier ones frozen
      .evaluate(TrackingMetrics{})
      .run(argc, argv);  // only here is the command line read: by then every option is known, so --help and typos work
}
