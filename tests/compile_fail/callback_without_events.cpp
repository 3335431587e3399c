// SPDX-License-Identifier: BSL-1.0
// A callback has no on(…) that a trainer calls.
// expect: this_callback_has_no_on_for_any_event_of_a_training<Listener>
#include "dew/train/callbacks.hpp"

struct Listener {
#ifdef CORRECTED
  void on(dew::EpochEnded const&) {}
#else
  void epoch_ended(dew::EpochEnded const&) {}
#endif
};
int main() { dew::Callbacks{}.add(Listener{}); }
