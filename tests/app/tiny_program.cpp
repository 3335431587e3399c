// SPDX-License-Identifier: BSL-1.0
#include "app/tiny_program.hpp"

#include "dew/app/app.hpp"
#include "dew/cluster/connected_components.hpp"
#include "dew/event/acts.hpp"
#include "dew/event/safetensors_events.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/model/edge_classifier.hpp"

namespace dew::test {

int tiny_program(int argc, char const* const* argv, int epochs, Listener const& listener) {
  return App{"tiny", Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 8, .layers = 1}}, ConnectedComponents{{.score_min = 0.5}}}}
      .events(TrackMl{}, ActsCsv{}, SafetensorsEvents{})
      .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = epochs}),
             scan<ConnectedComponents>(maximise("tracking.pt0.9.double_majority"), {.steps = 3}))
      .evaluate(EdgeMetrics{}, TrackingMetrics{})
      .with(listener)
      .run(argc, argv);
}

}  // namespace dew::test
