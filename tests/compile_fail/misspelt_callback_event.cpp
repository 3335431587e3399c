// SPDX-License-Identifier: BSL-1.0
// A callback listens to an event whose name is misspelt.
// expect: 'dew::EpochEnd' has not been declared
#include "dew/train/callbacks.hpp"

struct Listener {
#ifdef CORRECTED
  void on(dew::EpochEnded const&) {}
#else
  void on(dew::EpochEnd const&) {}
#endif
};
int main() { dew::Callbacks{}.add(Listener{}); }
