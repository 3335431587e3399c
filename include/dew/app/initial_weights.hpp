// SPDX-License-Identifier: BSL-1.0
// A training that begins with the weights of a run: --init and --init_stages.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/safetensors.hpp"
#include "dew/pipeline/trained.hpp"
#include "dew/train/run_folder.hpp"

namespace dew {

namespace detail {
/// Loads one stage's weights, all of them, from a run of any pipeline with that stage; its options have to be those of the run, and those
/// that are younger as their structs say.
template <class P> void load_stage(Trained<P>& to, SafeTensors const& from, std::string const& stage, std::string const& run) {
  auto const of_stage = [&](auto named) {
    std::erase_if(named, [&](auto const& one) { return !one.first.starts_with(stage + "."); });
    return named;
  };
  auto const weights = of_stage(to.tensors());
  check(!weights.empty(), ErrorKind::usage, "--init_stages: no stage '{}' has weights; the stages are {}", stage,
        fmt::join(P::names, ", "));
  auto const said = from.metadata.find("dew.options");
  check(said != from.metadata.end(), ErrorKind::input, "{}: does not say the options of its stages", run);
  auto const there = with_younger_options(nlohmann::json::parse(said->second), to.pipeline);
  auto const here = nlohmann::json::parse(to.metadata().at("dew.options"));
  auto const options = of_stage(here.template get<std::map<std::string, nlohmann::json>>());
  for (auto const& [path, value] : options)
    check(there.contains(path) && there.at(path) == value, ErrorKind::input, "{}: {} is {} there and {} here", run, path,
          there.contains(path) ? there.at(path).dump() : "unknown", value.dump());
  copy_by_name(of_stage(from.tensors), weights, run);
}
}  // namespace detail

/// Puts the weights of a run into a pipeline: of these stages, or of all where none is named; then the run is one of the same pipeline.
template <class P> void take_weights(Trained<P>& trained, std::string const& run, std::vector<std::string> const& stages) {
  if (stages.empty()) {
    trained.load_tensors(load(trained.pipeline, run).tensors(), run);
    return;
  }
  auto const from = read_safetensors(RunFolder(run).model());
  for (auto const& stage : stages) detail::load_stage(trained, from, stage, run);
}

}  // namespace dew
