// SPDX-License-Identifier: BSL-1.0
// A metric reads a key that no stage of the pipeline writes.
// expect: this_metric_reads_a_key_that_no_stage_and_no_source_writes<Scores, dew::EdgeScore>
#include "compile_fail/stages.hpp"
#include "dew/train/measure.hpp"

struct Scores {
  static constexpr std::string_view name = "scores";
  using Reads = dew::Keys<dew::EdgeScore>;
  dew::Figures operator()(dew::RecordOf<Reads> const& event) const { return {{"mean", event[dew::key::edge_score].mean().item<double>()}}; }
};
int main() {
  using namespace dew;
#ifdef CORRECTED
  Trained trained(Pipeline{Builder{}, Scorer{}}, some_hits(), 1);
#else
  Trained trained(Pipeline{Builder{}}, some_hits(), 1);
#endif
  Summary summary;
  measure(trained, some_hits(), 1, std::tuple{Scores{}}, summary);
}
