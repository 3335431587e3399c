// SPDX-License-Identifier: BSL-1.0
// A stage returns a record without a key that its Writes promise.
// expect: this_stage_does_not_return_every_key_that_its_Writes_promises<Forgetful, dew::Record<dew::Latent> >
#include "compile_fail/stages.hpp"
#include "dew/pipeline/trained.hpp"

struct Forgetful {
  static constexpr std::string_view name = "forgetful";
  using Reads = dew::Keys<dew::Position>;
#ifdef CORRECTED
  using Writes = dew::Keys<dew::Latent>;
#else
  using Writes = dew::Keys<dew::Latent, dew::Beta>;
#endif
  auto operator()(dew::RecordOf<Reads> const& event) const { return dew::Record{dew::key::latent = event[dew::key::position]}; }
};
int main() { dew::Trained trained(dew::Pipeline{Forgetful{}}, dew::some_hits(), 1); }
