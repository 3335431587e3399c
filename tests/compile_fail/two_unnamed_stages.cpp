// SPDX-License-Identifier: BSL-1.0
// Two unnamed stages of one type.
// expect: two_stages_have_this_name_so_give_one_another_with_named<dew::Scorer>
#include "compile_fail/stages.hpp"

int main() {
  using namespace dew;
#ifdef CORRECTED
  Pipeline pipeline{Builder{}, named<"coarse">(Scorer{}), Scorer{}};
#else
  Pipeline pipeline{Builder{}, Scorer{}, Scorer{}};
#endif
  return int(pipeline.names.size());
}
