// SPDX-License-Identifier: BSL-1.0
// A small program that several test files run, compiled once.
#pragma once
#include <functional>

#include "dew/train/callbacks.hpp"

namespace dew::test {

/// What a test does in the midst of a program's training.
struct Listener {
  std::function<void(StepEnded const&)> step_ended;
  std::function<void(TrainingEnded const&)> training_ended;
  void on(StepEnded const& e) const {
    if (step_ended) step_ended(e);
  }
  void on(TrainingEnded const& e) const {
    if (training_ended) training_ended(e);
  }
};

/// `tiny`: a geometric graph, an edge classifier that trains for `epochs`, connected components with a scan over three values; events from any
/// source. Returns the exit status.
int tiny_program(int argc, char const* const* argv, int epochs, Listener const& listener = {});

}  // namespace dew::test
