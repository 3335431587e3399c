// SPDX-License-Identifier: BSL-1.0
// A stage is addressed that the pipeline does not have.
// expect: this_pipeline_has_no_stage_of_that_type_or_name<dew::ByName<
#include "compile_fail/stages.hpp"

int main() {
  using namespace dew;
  Pipeline pipeline{Builder{}, named<"coarse">(Scorer{})};
#ifdef CORRECTED
  return int(pipeline.get<ByName<"coarse">>().name.size());
#else
  return int(pipeline.get<ByName<"corse">>().name.size());
#endif
}
