// SPDX-License-Identifier: BSL-1.0
// One stage trained again, the other kept: a first run trains both; a second starts from its weights (--init), leaves the edge classifier as
// it is (0 epochs) and trains the condenser with another weight in its loss. The same two lines work in a shell. What is frozen stays the
// same to the last bit: the two model files are compared at the end.
#include <dew/dew.hpp>

using namespace dew;

int run(std::vector<char const*> words) {
  words.insert(words.begin(), "retrain");
  auto pipeline = Pipeline{GeometricGraph{{.phi_slope_max = 0.002}}, EdgeClassifier{{.hidden = 16, .layers = 2}},
                           Condenser{{.latent = 4, .hidden = 32, .layers = 2}}, Dbscan{}};
  return App{"retrain", pipeline}
      .events(SimulatedDetector{{.particles = 150}})
      .train(fit<EdgeClassifier>(FocalLoss{}), fit<Condenser>(Attraction{} + Repulsion{}))
      .evaluate(TrackingMetrics{{.pt_cuts_gev = {0.9}, .pt_bins_gev = {}, .eta_bins = {}}})
      .run(int(words.size()), words.data());
}

int main() {
  int status = run({"train", "--train", "1-4", "--validate", "5", "--epochs", "2", "--out", "first", "--force", "--quiet"});
  if (status != 0) return status;
  status = run({"train", "--train", "1-4", "--validate", "5", "--epochs", "2", "--out", "second", "--force", "--quiet",  // as before, but
                "--init", "first", "--edge_classifier.fit.epochs", "0", "--condenser.loss.repulsion.weight", "2"});
  if (status != 0) return status;

  auto const first = read_safetensors("first/model.safetensors"), second = read_safetensors("second/model.safetensors");
  int kept = 0, learned = 0, wrong = 0;
  for (auto const& [name, weights] : first.tensors) {
    bool const equal = at::equal(weights, second.tensors.at(name));
    (equal ? kept : learned) += 1;
    wrong += equal != name.starts_with("edge_classifier.");
  }
  fmt::print("tensors that are the same to the last bit: {} (the edge classifier's); that have learned: {} (the condenser's)\n", kept,
             learned);
  return wrong == 0 && kept > 0 && learned > 0 ? 0 : 1;
}
