// SPDX-License-Identifier: BSL-1.0
// How good can tracks become on this graph? A classifier that looks up the truth, with errors at chosen rates, bounds what a trained one can
// bring, before any time is spent on training. Any stage can be swapped like this; because this one reads the truth, the pipeline scores
// labelled events only, and labels(hits) on bare hits would not compile.
#include <dew/dew.hpp>

using namespace dew;

double double_majority(PerfectEdgeClassifier::Options const& errors) {
  SimulatedDetector const events{{.particles = 300}};
  auto pipeline = Pipeline{GeometricGraph{}, PerfectEdgeClassifier{errors}, ConnectedComponents{}};
  Trained const finder{pipeline, events.labelled(1), /*seed=*/1};
  Summary summary;
  for (int event = 1; event <= 5; ++event) measure(finder, events.labelled(event), event, std::tuple{TrackingMetrics{}}, summary);
  return summary.mean("tracking.pt0.9.double_majority");
}

int main() {
  auto const best = double_majority({}), misses = double_majority({.tpr = 0.9}), merges = double_majority({.tnr = 0.95});
  fmt::print("double majority for pt > 0.9 GeV with connected components\n");
  fmt::print("  every edge right              {:.3f}\n", best);
  fmt::print("  one true edge in 10 is lost   {:.3f}\n", misses);
  fmt::print("  one false edge in 20 is kept  {:.3f}\n", merges);
  return best > 0.9 && misses < best && merges < best ? 0 : 1;
}
