// SPDX-License-Identifier: BSL-1.0
// A stage reads a key that nothing before it writes.
// expect: this_stage_reads_a_key_that_no_earlier_stage_and_no_source_writes<dew::Scorer, dew::EdgeFeatures>
#include "compile_fail/stages.hpp"
#include "dew/pipeline/trained.hpp"

int main() {
  using namespace dew;
#ifdef CORRECTED
  Pipeline pipeline{Builder{}, Scorer{}};
#else
  Pipeline pipeline{Scorer{}};
#endif
  Trained trained(pipeline, some_hits(), 1);
}
