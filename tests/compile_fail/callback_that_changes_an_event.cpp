// SPDX-License-Identifier: BSL-1.0
// A callback takes an event by a reference that is not const, and would never be called.
// expect: this_callback_has_an_on_that_takes_an_event_without_const<Listener>
#include "dew/train/callbacks.hpp"

struct Listener {
  void on(dew::EpochEnded const&) {}
#ifdef CORRECTED
  void on(dew::StepEnded const&) {}
#else
  void on(dew::StepEnded&) {}
#endif
};
int main() { dew::Callbacks{}.add(Listener{}); }
