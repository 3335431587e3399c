// SPDX-License-Identifier: BSL-1.0
// Types choose behaviour when a program is compiled; AnyOf leaves a choice for when it runs: --clusterer.choice connected_components. Two
// stages of one type get names, which address them in fit<"coarse">(...) and in options: here a small edge classifier throws out most
// edges, a cut drops them, and a second one looks closer at the rest.
#include <dew/dew.hpp>

using namespace dew;

FitOptions const how{.epochs = 8, .learning_rate = 5e-3, .warmup_steps = 5};

int run(std::vector<char const*> words) {
  words.insert(words.begin(), "choose");
  auto pipeline = Pipeline{GeometricGraph{},                                             // a wide graph
                           named<"coarse">(EdgeClassifier{{.hidden = 8, .layers = 1}}),  // which edges are hopeless?
                           ScoreCut{{.threshold = 0.1}},
                           named<"fine">(EdgeClassifier{{.hidden = 16, .layers = 2}}),  // which of the others are right?
                           Condenser{{.latent = 4, .hidden = 32, .layers = 2}},
                           named<"clusterer">(AnyOf{Dbscan{{.eps = 0.3}}, ConnectedComponents{{.score_min = 0.3}}})};
  return App{"choose", pipeline}
      .events(SimulatedDetector{{.particles = 100}})
      .train(fit<"coarse">(FocalLoss{}, how), fit<"fine">(FocalLoss{}, how), fit<Condenser>(Attraction{} + Repulsion{}, how))
      .evaluate(TrackingMetrics{{.pt_cuts_gev = {0.9}, .pt_bins_gev = {}, .eta_bins = {}}})
      .run(int(words.size()), words.data());
}

int main() {
  int status = run({"train", "--train", "1-20", "--validate", "21-22", "--out", "run", "--force", "--quiet"});
  double tracks[2] = {};
  for (int i = 0; status == 0 && i < 2; ++i) {  // one run, two ways to make tracks of it
    char const* choice = i == 0 ? "dbscan" : "connected_components";
    status = run({"evaluate", "--run", "run", "--select", "21-22", "--clusterer.choice", choice, "--json", "score.json", "--quiet"});
    if (status == 0) tracks[i] = nlohmann::json::parse(read_file("score.json")).at("tracking.pt0.9.tracks").get<double>();
  }
  if (status != 0) return status;
  fmt::print("tracks for pt > 0.9 GeV: {} with DBSCAN, {} with connected components\n", tracks[0], tracks[1]);
  bool const refused = run({"evaluate", "--run", "run", "--clusterer.choice", "guess"}) == 2;  // an unknown choice is bad usage
  return refused && tracks[0] != tracks[1] ? 0 : 1;
}
