// SPDX-License-Identifier: BSL-1.0
// A callback gives a state for checkpoints, but cannot take it back.
// expect: this_callback_has_a_state_but_no_restore_of_it_or_no_name<Listener>
#include "dew/train/callbacks.hpp"

struct Listener {
  static constexpr std::string_view name = "listener";
  int epochs = 0;
  void on(dew::EpochEnded const&) { ++epochs; }
  dew::CallbackState state() const { return {.values = epochs}; }
#ifdef CORRECTED
  void restore(dew::CallbackState const& kept) { kept.values.get_to(epochs); }
#endif
};
int main() { dew::Callbacks{}.add(Listener{}); }
