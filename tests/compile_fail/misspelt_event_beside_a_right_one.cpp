// SPDX-License-Identifier: BSL-1.0
// A callback listens to an event, and to something that is none: a misspelt name that happens to be declared.
// expect: this_callback_has_an_on_for_something_that_is_no_event_of_a_training<Listener>
#include "dew/train/callbacks.hpp"

struct StepEndd;

struct Listener {
  void on(dew::EpochEnded const&) {}
#ifdef CORRECTED
  void on(dew::StepEnded const&) {}
#else
  void on(StepEndd const&) {}
#endif
};
int main() { dew::Callbacks{}.add(Listener{}); }
