// SPDX-License-Identifier: BSL-1.0
// A record is asked for a key that it does not hold.
// expect: this_record_does_not_hold_the_key<dew::Beta, dew::Record<dew::Position> >
#include "compile_fail/stages.hpp"

int main() {
  using namespace dew;
#ifdef CORRECTED
  return int(some_hits().with(key::beta = at::rand({5}))[key::beta].size(0));
#else
  return int(some_hits()[key::beta].size(0));
#endif
}
