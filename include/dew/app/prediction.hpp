// SPDX-License-Identifier: BSL-1.0
// What run and export share: which events are this process's to do, and by which name the folder tells what is in it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dew/app/flags.hpp"
#include "dew/app/program.hpp"
#include "dew/train/allocation.hpp"
#include "dew/train/event_store.hpp"
#include "dew/train/joint_end.hpp"
#include "dew/train/shard.hpp"

namespace dew {

/// The events of this process: its shard of those that --select names.
template <class A> class Prediction {
 public:
  Prediction(A const& app, CommandFlags const& flags)
      : app_(app), shard_(shard_of(app, flags)), ids_(shard_.of(app.selected(flags.select))), out_(flags.out) {}
  std::vector<std::int64_t> const& ids() const { return ids_; }
  /// The end of a prediction of which `done` events were done now, and the exit status: says "shard 3/16: 5 events, 70 tracks, in OUT (2 events were
  /// there already)", or why it was stopped. Of processes that were started together the last requeues their job, where any of them was stopped.
  /// The others end with 0: with another status their starter would end those that still work.
  int end(Allocation& allocation, std::size_t done, std::string const& more = "") const {
    if (!allocation.stopped())
      fmt::print("{}{} events{} in {}{}\n", shard_text(), done, more, out_,
                 done < ids_.size() ? fmt::format(" ({} events were there already)", ids_.size() - done) : "");
    auto const start = app_.launch.several() ? start_name(app_.launch, app_.around.environment) : std::string();
    if (!start.empty()) {
      auto const all = all_ends_if_last(out_, start, app_.launch, {allocation.reason(), allocation.came_further()});
      if (!all) {
        if (allocation.stopped()) fmt::print("{}{}\n", shard_text(), allocation.why_text());
        return allocation.stopped_by_person() ? allocation.status() : 0;
      }
      for (auto const& end : *all) {
        allocation.stopped_too(end.why);
        if (end.progressed) allocation.progressed();
      }
    } else if (app_.launch.rank > 0) return allocation.stopped() ? allocation.status() : 0;
    return allocation.stopped() ? allocation.leave("the same command") : 0;
  }

 private:
  static Shard shard_of(A const& app, CommandFlags const& flags) {
    auto const shard = parse_shard(flags.shard).divided(app.launch);
    check(shard.whole() || !flags.force, ErrorKind::usage,
          "--force cannot be shared: what one process overwrites another would take for its own; take an empty --out");
    return shard;
  }
  std::string shard_text() const { return shard_.whole() ? "" : fmt::format("shard {}: ", shard_.text()); }

  A const& app_;
  Shard shard_;
  std::vector<std::int64_t> ids_;
  std::string out_;
};

/// A line of JSON that tells predictions of one program, version, weights and options from all others.
template <class P, class Source, class Plan, class Metrics>
std::string prediction_identity(Program<P, Source, Plan, Metrics>& app, Trained<P> const& trained, std::string text = "") {
  for (auto const& [name, value] : trained.metadata()) text += name + value;
  for (auto const& [name, t] : trained.tensors()) {
    auto const bytes = t.detach().to(at::kCPU).contiguous();
    text += name + hash_name({static_cast<char const*>(bytes.data_ptr()), bytes.nbytes()});
  }
  OptionSet source;
  add_options(source, std::string(Source::name), app.source);
  auto const folders = app.events_paths();
  for (auto const& e : source.entries())
    if (std::find(folders.begin(), folders.end(), e.path) == folders.end()) text += e.path + "=" + e.get();
  return nlohmann::ordered_json{{"program", app.name}, {"version", std::string(version)}, {"model_and_options", hash_name(text)}}.dump() +
         "\n";
}

}  // namespace dew
