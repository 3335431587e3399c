// SPDX-License-Identifier: BSL-1.0
// A member of an options aggregate is not described.
// expect: describe_does_not_name_every_member_of_these_options<Cutter::Options>
#include "compile_fail/stages.hpp"

struct Cutter {
  struct Options {
    double threshold = 0.5;
    double forgotten = 1;
    static constexpr auto describe() {
      using dew::hana::make_tuple;
#ifdef CORRECTED
      return make_tuple(DEW_OPTION(threshold, "", "edges above it are kept"), DEW_OPTION(forgotten, "", "remembered"));
#else
      return make_tuple(DEW_OPTION(threshold, "", "edges above it are kept"));
#endif
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
};
int main() { return int(dew::print(Cutter{}.options).size()); }
