// SPDX-License-Identifier: BSL-1.0
// The options that every program has.
#pragma once
#include <cstdint>
#include <string>

#include "dew/core/options.hpp"

namespace dew {

/// The options that every program has, at the top of its configuration file.
struct AppOptions {
  std::string train = {}, validate = {};
  double minutes = 0;
  int epochs = 0;
  std::int64_t seed = 1;
  std::string device = "cpu";
  int threads = 0;
  std::string cache = {};
  double cache_gb = 4;

  using Options = AppOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(train, "", "events to train on, such as 1000-1069,1075; empty: nine tenths of the source's"),
        DEW_OPTION(validate, "",
                   "events to validate and scan on; empty: the last tenth of the source's when train is empty too, else none"),
        DEW_OPTION(minutes, "min", "time budget of the whole training, shared between the stages; 0: epochs decide"),
        DEW_OPTION(epochs, "", "epochs of every trained stage; 0: as each fit says"), DEW_OPTION(seed, "", "fixes every random number"),
        DEW_OPTION(device, "", "cpu or cuda"), DEW_OPTION(threads, "", "threads; 0: as many as there are cores"),
        DEW_OPTION(cache, "", "folder for built graphs; empty: in the run folder"),
        DEW_OPTION(cache_gb, "GB", "memory for events behind frozen stages"));
  }
  bool operator==(AppOptions const&) const = default;
};

}  // namespace dew
