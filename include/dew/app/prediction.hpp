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
#include "dew/train/event_store.hpp"
#include "dew/train/shard.hpp"

namespace dew {

/// The events of this process: its shard of those that --select names.
template <class A> class Prediction {
 public:
  Prediction(A const& app, CommandFlags const& flags)
      : shard_(shard_of(app, flags)), ids_(shard_.of(app.selected(flags.select))), out_(flags.out) {}
  std::vector<std::int64_t> const& ids() const { return ids_; }
  /// Says how many were done now: "shard 3/16: 5 events, 70 tracks, in OUT (2 events were there already)".
  void say(std::size_t done, std::string const& more = "") const {
    fmt::print("{}{} events{} in {}{}\n", shard_.whole() ? "" : fmt::format("shard {}: ", shard_.text()), done, more, out_,
               done < ids_.size() ? fmt::format(" ({} events were there already)", ids_.size() - done) : "");
  }

 private:
  static Shard shard_of(A const& app, CommandFlags const& flags) {
    auto const shard = parse_shard(flags.shard).divided(app.launch);
    check(shard.whole() || !flags.force, ErrorKind::usage,
          "--force cannot be shared: what one process overwrites another would take for its own; take an empty --out");
    return shard;
  }

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

/// The exit status of a prediction that was stopped. Of processes that were started together only the first requeues their job.
template <class A> int leave_prediction(A const& app, Allocation& allocation) {
  return app.launch.rank > 0 ? allocation.status() : allocation.leave("the same command");
}

}  // namespace dew
