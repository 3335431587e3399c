// SPDX-License-Identifier: BSL-1.0
// The command run: tracks of events, a CSV file each.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "dew/app/each_event.hpp"
#include "dew/app/prediction.hpp"
#include "dew/core/values.hpp"
#include "dew/train/run_folder.hpp"

namespace dew {

namespace detail {
/// All hits of an event, those that the pipeline does not see too.
template <class Source> std::vector<std::int64_t> every_hit(Source const& source, std::int64_t id, Tensor const& seen) {
  if constexpr (requires { source.all_hit_ids(id); }) return source.all_hit_ids(id);
  else return values_of<std::int64_t>(seen);
}
/// A line for each of these hits; `hit_id` [N] and `labels` [N] are what the pipeline says. Adds the tracks to `tracks`.
inline std::string tracks_csv(std::vector<std::int64_t> const& hits, Tensor const& hit_id, Tensor const& labels, std::size_t& tracks) {
  std::unordered_map<std::int64_t, std::int64_t> track_of;
  for (std::int64_t i = 0; i < labels.size(0); ++i)
    track_of[hit_id.const_data_ptr<std::int64_t>()[i]] = labels.const_data_ptr<std::int64_t>()[i];
  std::string text = "hit_id,track_id\n";
  std::int64_t most = -1;
  for (auto const hit : hits) {
    auto const at = track_of.find(hit);
    auto const track = at == track_of.end() ? -1 : at->second;
    most = std::max(most, track);
    text += fmt::format("{},{}\n", hit, track);
  }
  tracks += std::size_t(most + 1);
  return text;
}
}  // namespace detail

/// Writes the tracks of the selected events to the folder that --out names, and gives the exit status. What is there already of the same
/// weights and options is kept; a folder of anything else is refused without --force.
template <class P, class Source, class Plan, class Metrics>
int write_tracks(Program<P, Source, Plan, Metrics>& app, Trained<P> const& trained, CommandFlags const& flags) {
  using HitKeySet = typename decltype(app.source.hits(0))::KeySet;
  if constexpr (!P::template runs_on<HitKeySet>)
    fail(ErrorKind::usage, "this pipeline has a stage that reads the truth, so that it cannot run on bare hits");
  else if constexpr (!P::template KeysAfterFirst<P::size, HitKeySet>::template has<Label>)
    fail(ErrorKind::usage, "this pipeline has no clusterer: nothing writes labels");
  else {
    Prediction const prediction(app, flags);
    Allocation allocation(app.batch, app.around);
    std::filesystem::path const out = flags.out;
    check(!RunFolder(out).exists(), ErrorKind::usage, "{}: is a training's run folder; take another --out", flags.out);
    auto const marker = out / "run.json";
    auto const identity = prediction_identity(app, trained);
    auto const ours = [&] { return std::filesystem::exists(marker) && read_file(marker) == identity; };
    if (!RunFolder(out).vacant() && !flags.force)  // another shard may be writing its marker
      check(ours(), ErrorKind::usage, "{}: holds something that is not of this run and these options; take another --out, or --force",
            flags.out);
    bool const same = ours();
    std::vector<std::int64_t> todo;
    auto const file_of = [&](std::int64_t id) { return out / fmt::format("event{:09}-tracks.csv", id); };
    for (auto const id : prediction.ids())
      if (!same || !std::filesystem::exists(file_of(id))) todo.push_back(id);
    each_event(todo, "checking", flags.quiet, [&](std::int64_t id) { (void)app.source.hits(id); });
    std::filesystem::create_directories(out);
    write_file_atomically(marker, identity);
    std::size_t tracks = 0;
    each_event(todo, "finding tracks", flags.quiet, [&](std::int64_t id) {
      if (allocation.stop()) return false;
      auto const hits = app.source.hits(id);
      auto const labels = trained.labels(hits).to(at::kCPU).contiguous();
      auto const hit_id = hits[HitId{}].contiguous();
      write_file_atomically(file_of(id), detail::tracks_csv(detail::every_hit(app.source, id, hit_id), hit_id, labels, tracks));
      allocation.progressed();
      return true;
    });
    return prediction.end(allocation, todo.size(), fmt::format(", {} tracks,", tracks));
  }
}

}  // namespace dew
