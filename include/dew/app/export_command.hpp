// SPDX-License-Identifier: BSL-1.0
// The command export: everything that the stages write of events, a .safetensors file each.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "dew/app/each_event.hpp"
#include "dew/app/prediction.hpp"

namespace dew {

/// Writes what the stages write of the selected events to the folder that --out names, and gives the exit status. What is there already
/// of the same weights and options is kept; a folder of others is refused without --force.
template <class P, class Source, class Plan, class Metrics>
int export_events(Program<P, Source, Plan, Metrics>& app, Trained<P> const& trained, CommandFlags const& flags) {
  Prediction const prediction(app, flags);
  Allocation allocation(app.batch, app.around);
  std::filesystem::path const out = flags.out;
  auto const file_of = [&](std::int64_t id) { return out / fmt::format("event{:09}.safetensors", id); };
  auto const marker = out / "export.json";
  auto const identity = prediction_identity(app, trained, flags.truth ? "with truth" : "without truth");
  auto const there = std::filesystem::exists(marker) ? read_file(marker) : std::string();
  bool const same = (!flags.force || allocation.restarted()) && there == identity;
  std::vector<std::int64_t> todo;
  for (auto const id : prediction.ids()) {
    if (same && std::filesystem::exists(file_of(id))) continue;
    refuse_existing(file_of(id), flags.force);
    todo.push_back(id);
  }
  check(same || flags.force || there.empty(), ErrorKind::usage,
        "{}: holds events of another run or of other options; take another --out, or --force", flags.out);
  each_event(todo, "checking", flags.quiet,
             [&](std::int64_t id) { flags.truth ? (void)app.source.labelled(id) : (void)app.source.hits(id); });
  std::filesystem::create_directories(out);
  write_file_atomically(marker, identity);
  auto const write = [&](std::int64_t id, auto const& hits) {
    save_record(file_of(id), trained(hits, Context{.event = id}).to(at::Device(at::kCPU)), {});
  };
  each_event(todo, "exporting", flags.quiet, [&](std::int64_t id) {
    if (allocation.stop()) return false;
    if (flags.truth) write(id, app.source.labelled(id));
    else if constexpr (P::template runs_on<typename decltype(app.source.hits(0))::KeySet>) write(id, app.source.hits(id));
    else fail(ErrorKind::usage, "this pipeline has a stage that reads the truth: say --truth");
    allocation.progressed();
    return true;
  });
  return prediction.end(allocation, todo.size());
}

}  // namespace dew
