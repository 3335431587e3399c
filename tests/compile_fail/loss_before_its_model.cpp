// SPDX-License-Identifier: BSL-1.0
// A loss reads what a later model writes.
// expect: this_loss_reads_a_key_that_is_not_there_behind_the_stage_it_trains<dew::Coward
// expect: dew::EdgeClassifier, dew::Beta>
#include "dew/event/simulated_detector.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/loss/condensation_losses.hpp"
#include "dew/model/condenser.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/train/trainer.hpp"

int main() {
  using namespace dew;
  SimulatedDetector source{{.particles = 20}};
  Trained trained(Pipeline{GeometricGraph{}, EdgeClassifier{}, Condenser{}}, source.labelled(1), 1);
  Trainer trainer(trained, source, std::tuple{}, {.train = {1}});
#ifdef CORRECTED
  trainer.run(fit<Condenser>(Coward{}));
#else
  trainer.run(fit<EdgeClassifier>(Coward{}));
#endif
}
