// SPDX-License-Identifier: BSL-1.0
// A policy does not write a key that its Writes promise: the record is built without it.
// expect: this_record_needs_a_tensor_for_each_of_its_keys_but_one_is_missing<dew::Beta, dew::Record<dew::Latent, dew::Beta> >
#include "compile_fail/stages.hpp"

struct Half {
  static constexpr std::string_view name = "half";
  using Reads = dew::Keys<dew::Position>;
  using Writes = dew::Keys<dew::Latent, dew::Beta>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event) const {
    using namespace dew;
#ifdef CORRECTED
    return RecordOf<Writes>{key::latent = event[key::position], key::beta = at::rand({event.rows<Hits>()})};
#else
    return RecordOf<Writes>{key::latent = event[key::position]};
#endif
  }
};
int main() { return int(Half{}(dew::some_hits()).rows<dew::Hits>()); }
