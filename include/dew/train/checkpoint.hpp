// SPDX-License-Identifier: BSL-1.0
// A saved moment of a training: weights, optimiser and where it stands.
#pragma once
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dew/core/torch.hpp"

namespace dew {

/// Where a training stands: everything beside weights and optimiser that going on needs.
struct TrainingState {
  std::size_t part = 0;  ///< the running fit or scan of the plan
  int epoch = 0;
  std::int64_t position = 0;  ///< events of the epoch that are done
  std::int64_t step = 0;      ///< optimiser steps of this fit
  double seconds = 0;         ///< spent, over all runs
  double fit_began = 0;       ///< `seconds` when this fit began
  double allotted = 0;        ///< seconds given to this fit; 0: by epochs
  double epoch_loss = 0;      ///< sums over the epoch so far
  std::vector<double> epoch_terms;
  double best = std::numeric_limits<double>::infinity();
  int epochs_since_best = 0;
  std::map<std::string, std::string> tuned;  ///< options that scans have set so far

  nlohmann::json json() const {
    auto const number = [](double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); };
    auto terms = nlohmann::json::array();
    for (auto const term : epoch_terms) terms.push_back(number(term));
    return {{"part", part},
            {"epoch", epoch},
            {"position", position},
            {"step", step},
            {"seconds", seconds},
            {"fit_began", fit_began},
            {"allotted", allotted},
            {"epoch_loss", epoch_loss},
            {"epoch_terms", terms},
            {"best", number(best)},
            {"epochs_since_best", epochs_since_best},
            {"tuned", tuned}};
  }
  static TrainingState from(nlohmann::json const& j) {
    TrainingState s;
    j.at("part").get_to(s.part), j.at("epoch").get_to(s.epoch), j.at("position").get_to(s.position), j.at("step").get_to(s.step),
        j.at("seconds").get_to(s.seconds);
    j.at("fit_began").get_to(s.fit_began), j.at("allotted").get_to(s.allotted), j.at("epoch_loss").get_to(s.epoch_loss),
        s.epoch_terms.clear();
    for (auto const& term : j.at("epoch_terms")) s.epoch_terms.push_back(term.is_null() ? std::nan("") : term.get<double>());
    if (!j.at("best").is_null()) j.at("best").get_to(s.best);
    j.at("epochs_since_best").get_to(s.epochs_since_best), j.at("tuned").get_to(s.tuned);
    return s;
  }
};

/// A saved moment of a training. The trainer hands one to its `Saver` after each epoch and each part, and when it is stopped.
struct Checkpoint {
  std::map<std::string, Tensor> weights, optimiser;
  std::map<std::string, Tensor> best;  ///< weights of the running fit's best validation loss; empty without one
  TrainingState state;
};

}  // namespace dew
