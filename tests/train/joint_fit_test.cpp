// SPDX-License-Identifier: BSL-1.0
// Edge classifier and condenser trained together, through the condenser's cut on the score.
#include <doctest/doctest.h>

#include <set>

#include "dew/event/simulated_detector.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/model/condenser.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/train/trainer.hpp"

using namespace dew;

namespace {
auto fresh() {
  return Trained(Pipeline{GeometricGraph{}, EdgeClassifier{{.hidden = 6, .layers = 1}},
                          Condenser{{.latent = 3, .hidden = 6, .layers = 1, .score_min = 0.3}}},
                 SimulatedDetector{{.particles = 40}}.labelled(1), 5);
}
template <class Trained, class... Part> auto trained_by(Trained trained, Part const&... parts) {
  Trainer trainer(trained, SimulatedDetector{{.particles = 40}}, std::tuple{}, {.train = {1, 2}});
  CHECK(trainer.run(parts...));
  return trained.clone();
}
/// The stages whose weights differ.
std::set<std::string> changed(auto const& a, auto const& b) {
  std::set<std::string> stages;
  auto const before = a.tensors(), after = b.tensors();
  for (auto const& [name, t] : before)
    if (!at::equal(t, after.at(name))) stages.insert(name.substr(0, name.find('.')));
  return stages;
}
FitOptions const options{.epochs = 2, .warmup_steps = 1};
using Stages = std::set<std::string>;
}  // namespace

TEST_CASE("classifier and condenser are trained together, to the losses of both") {
  auto const before = fresh();
  auto const after = trained_by(fresh(), fit<EdgeClassifier, Condenser>(FocalLoss{} + Attraction{} + Repulsion{}, options));
  CHECK(changed(before, after) == Stages{"condenser", "edge_classifier"});
}

TEST_CASE("the condensation loss alone reaches the classifier through the scores of the edges that it keeps") {
  auto const before = fresh();
  auto const after = trained_by(fresh(), fit<EdgeClassifier, Condenser>(Attraction{} + Repulsion{}, options));
  CHECK(changed(before, after) == Stages{"condenser", "edge_classifier"});
}

TEST_CASE("a condenser trained by itself leaves the classifier as it is, whatever its loss") {
  auto const before = fresh();
  auto const after = trained_by(fresh(), fit<Condenser>(FocalLoss{} + Attraction{} + Repulsion{}, options));
  CHECK(changed(before, after) == Stages{"condenser"});
}
