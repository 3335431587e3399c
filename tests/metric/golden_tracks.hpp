// SPDX-License-Identifier: BSL-1.0
// The reference label sets scored in other styles, as records.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dew/metric/track_matching.hpp"
#include "support/golden.hpp"

namespace dew::test {

struct GoldenTracks {
  nlohmann::json expected, config;
  std::map<std::string, RecordOf<TrackMatching::Reads>> by_labels;
};

/// `tracking_metrics_other_styles.safetensors`; empty where it is absent.
inline std::optional<GoldenTracks> golden_tracks() {
  auto const file = golden("tracking_metrics_other_styles");
  if (!file) return std::nullopt;
  auto const& t = file->tensors;
  GoldenTracks out{nlohmann::json::parse(file->metadata.at("expected")), nlohmann::json::parse(file->metadata.at("config")), {}};
  auto const id = t.at("particle_id"), ids = std::get<0>(id.masked_select(id > 0).sort());
  auto const [truth_id, which, hits] = at::unique_consecutive(ids, false, true);
  std::vector<std::int64_t> first;  // a hit of each particle
  for (std::int64_t p = 0; p < truth_id.size(0); ++p) first.push_back((id == truth_id[p]).nonzero()[0][0].item<std::int64_t>());
  auto const of = [&](char const* name) { return t.at(name).index_select(0, at::tensor(first, at::kLong)); };
  for (auto const& [name, labels] : t)
    if (name.starts_with("labels."))
      out.by_labels.emplace(name.substr(7), Record{key::label = labels, key::particle_id = id, key::truth_id = truth_id,
                                                   key::truth_hits = hits, key::truth_pt = of("pt"), key::truth_eta = of("eta"),
                                                   key::truth_reconstructable = of("reconstructable") > 0});
  return out;
}

}  // namespace dew::test
