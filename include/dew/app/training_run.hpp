// SPDX-License-Identifier: BSL-1.0
// One training of a program in its run folder: from events that are good to a score.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dew/app/config_file.hpp"
#include "dew/app/flags.hpp"
#include "dew/app/initial_weights.hpp"
#include "dew/app/run_record.hpp"
#include "dew/app/scoring.hpp"
#include "dew/train/loggers.hpp"
#include "dew/train/run_folder.hpp"
#include "dew/train/trainer.hpp"

namespace dew {

/// Instead of an exit status: stopped before its end, as the allocation knows.
inline constexpr int stopped_early = -1;

/// A training in the folder that --out names, by all of the program's processes. Rank 0 alone looks after the folder.
template <class P, class Source, class Plan, class Metrics>
class TrainingRun {
 public:
  /// Without an allocation what is said is checked, and nothing is done.
  TrainingRun(Program<P, Source, Plan, Metrics>& app, CommandFlags& flags, Allocation* allocation)
      : app_(app), flags_(flags), folder_(flags.out), allocation_(allocation) {}

  /// The exit status, or `stopped_early`.
  int run() {
    auto const checkpoints = folder_.checkpoints(app_.checkpoint);  // refuses options before anything is written
    if (allocation_ != nullptr) app_.join(flags_.quiet);
    bool const first = group().first();
    if (group().first_says(!flags_.resume.empty() && folder_.finished())) return say_finished();
    choose_events();
    if (group().first_says(restarted() && folder_.finished() && same_run())) return say_finished();
    if (first) (void)goes_on();
    if (allocation_ == nullptr) return app_.accept(flags_.out);
    if (first && folder_.exists()) lock_folder();
    app_.set_up(flags_.quiet);
    if (auto const text = allocation_->text(); !flags_.quiet && !text.empty()) warn(text);
    if (app_.own.epochs > 0) std::apply([&](auto&... part) { (set_epochs(part), ...); }, app_.plan);
    if (!check_events()) return stopped_early;
    Trained<P> trained(app_.pipeline, app_.source.labelled(train_.front()), std::uint64_t(app_.own.seed), app_.device());
    if (!flags_.init.empty()) take_weights(trained, flags_.init, flags_.init_stages);
    Trainer trainer(trained, app_.source, app_.metrics, settings());
    std::apply([&](auto const&... part) { trainer.prepare(part...); }, app_.plan);
    group().meet();  // nothing is written before everything is good
    if (first) std::filesystem::create_directories(folder_.path());
    if (first && !lock_) lock_folder();
    bool const going_on =
        group().first_says(first && goes_on());  // asked again: another process may have been here before the lock was ours
    if (group().first_says(going_on && folder_.finished())) return say_finished();
    if (first) begin_folder(going_on);
    if (!train(trainer, going_on)) return interrupted();
    if (first) trained.save(folder_.model());
    if (!group().alone() && any_process_says(allocation_->stop())) return interrupted();  // their scoring is not broken off
    auto const& scored = validate_.empty() ? train_ : validate_;
    auto const summary = score(app_, trained, scored, flags_.quiet, app_.metrics, [&] { return allocation_->stop(); });
    if (group().alone() && allocation_->stopped()) return interrupted();
    if (!first) return 0;
    fmt::print("{}", in_short(app_, summary).text());
    write_file_atomically(folder_.metrics(), score_report(app_, summary, scored.size()).dump(2) + "\n");
    checkpoints.keep_best_alone();
    record_->ended("finished", in_one_line(summary));
    fmt::print("every figure: {}, or {} evaluate --run {} --tables\nrun folder: {}\n", folder_.metrics().string(), app_.name, flags_.out,
               flags_.out);
    return 0;
  }

  /// Notes in the run's record why it failed, if it has begun one.
  void failed(std::string const& why) {
    try {
      if (record_) record_->ended("failed", fmt::format("{}: failed: {}", app_.name, why.substr(0, why.find('\n'))));
    } catch (Error const&) {}  // the error that comes is the one to hear of
  }

 private:
  static constexpr char const* from_another_run = ", from the weights of another run";
  Processes& group() const { return *app_.processes; }
  static void warn(std::string const& text) { fmt::print(stderr, "{}\n", text); }
  int say_finished() const {
    fmt::print("{}: is finished already\n", flags_.out);
    return 0;
  }
  int interrupted() {
    if (record_) record_->ended("interrupted", in_one_line({}));
    return stopped_early;
  }
  bool any_process_says(bool yes) const {
    auto const said = group().gather(yes ? "yes" : "");
    return std::any_of(said.begin(), said.end(), [](auto const& one) { return !one.empty(); });
  }
  /// The run in one line.
  std::string in_one_line(Summary const& summary) const {
    auto text = fmt::format("{} with seed {} on {} events: ", app_.name, app_.own.seed, train_.size());
    auto const shown = in_short(app_, summary);
    if (shown.empty()) return text + "not scored yet";
    std::size_t n = 0;
    for (auto const& name : shown.names()) {
      if (n == 4) break;
      text += fmt::format("{}{} {:.4f}", n++ > 0 ? ", " : "", name, shown.mean(name));
    }
    return text;
  }

  // ---- events -------------------------------------------------------------------------------------------------------------------------
  /// Which events are trained and validated on, and the configuration that says so.
  void choose_events() {
    fill_in_events();
    divide_events();
    train_ = parse_ranges(app_.own.train);
    if (!app_.own.validate.empty()) validate_ = parse_ranges(app_.own.validate);
    for (auto const& e : app_.options.entries())
      if (!is_batch_option(e.path)) lasting_.add(e);
    config_ = config_text(lasting_, fmt::format("a run of {}\nwith dew {}, seed {}{}", app_.name, version, app_.own.seed,
                                                flags_.init.empty() ? "" : from_another_run));
  }
  /// Where nothing was said.
  void fill_in_events() {
    auto& o = app_.own;
    if (!o.train.empty()) return;
    auto const ids = app_.all_ids();
    auto const held_back = o.validate.empty() && ids.size() > 1 ? std::max<std::size_t>(1, ids.size() / 10) : 0;
    auto const middle = ids.end() - std::ptrdiff_t(held_back);
    std::vector<std::int64_t> train(ids.begin(), middle);
    if (held_back > 0) o.validate = ranges_text({middle, ids.end()});
    else if (!o.validate.empty())
      std::erase_if(train, [v = parse_ranges(o.validate)](auto id) { return std::find(v.begin(), v.end(), id) != v.end(); });
    o.train = ranges_text(train);
  }
  /// The tasks of an array may divide them into folds.
  void divide_events() {
    if (app_.batch.array != ArraySplit::folds) return;
    auto& o = app_.own;
    auto all = parse_ranges(o.train);
    if (!o.validate.empty())
      for (auto const id : parse_ranges(o.validate)) all.push_back(id);
    auto const fold = fold_of(all, array_task(app_.around.environment, app_.batch.array_tasks));
    o.train = ranges_text(fold.train), o.validate = ranges_text(fold.validate);
  }
  /// Reads all events, shared among the processes. False: stopped.
  bool check_events() {
    auto all = train_;
    all.insert(all.end(), validate_.begin(), validate_.end());
    each_event(Shard{group().rank(), group().size()}.of(all), "checking", flags_.quiet, [&](std::int64_t id) {
      (void)app_.source.labelled(id);
      return !group().alone() || !allocation_->stop();
    });
    return !group().alone() || !allocation_->stopped();
  }
  template <class S, class L> void set_epochs(Fit<S, L>& f) {
    if (f.options.epochs > 0) f.options.epochs = app_.own.epochs;
  }
  template <class S, class G> void set_epochs(Scan<S, G>&) {}

  // ---- the folder ---------------------------------------------------------------------------------------------------------------------
  /// Whether the batch system has started the same command line again.
  bool restarted() const { return allocation_ != nullptr && allocation_->restarted(); }
  bool same_run() const { return folder_.exists() && (flags_.init.empty() || restarted()) && read_file(folder_.config()) == config_; }
  /// Whether the folder's run is to be gone on with. One that holds anything else is refused, unless it may be overwritten.
  bool goes_on() const {
    if (!flags_.resume.empty()) return true;
    if (folder_.vacant()) return false;
    bool const same = !folder_.finished() && same_run();
    check(same || flags_.force, ErrorKind::usage, "{}: holds {}; take another --out, or --force to overwrite it", flags_.out,
          folder_.finished() ? "a finished run"
          : folder_.exists() ? "an unfinished run with other options"
                             : "something that is no run");
    return same;
  }
  void lock_folder() {
    lock_.emplace(folder_.path());
    if (!lock_->held())
      warn(fmt::format("{}: this file system keeps no locks; see to it that no other process trains in this folder",
                       folder_.path().string()));
  }
  void begin_folder(bool going_on) {
    folder_.remove_leftovers();
    if (!going_on && !folder_.vacant()) folder_.clear();
    if (!going_on) write_file_atomically(folder_.config(), config_);
    record_.emplace(folder_.record(), RunRecord::Start{app_.name, app_.own.seed, app_.command, app_.device().str(), at::get_num_threads()});
  }

  // ---- the trainer --------------------------------------------------------------------------------------------------------------------
  TrainerSettings settings() const {
    TrainerSettings settings;
    settings.train = train_, settings.validate = validate_, settings.minutes = app_.own.minutes, settings.cache_gb = app_.own.cache_gb;
    settings.graph_cache = app_.own.cache.empty() ? folder_.graphs() : std::filesystem::path(app_.own.cache);
    settings.threads = at::get_num_threads();
    settings.checkpoint = app_.checkpoint;
    settings.program = app_.name;
    if (group().first()) settings.warn = warn;
    else settings.warn = [](std::string const&) {};
    settings.processes = app_.processes;
    settings.stop = [this] { return allocation_->stop(); };
    return settings;
  }
  /// Carries out the plan; false when it was stopped before its end.
  template <class T> bool train(T& trainer, bool going_on) {
    auto const checkpoint = going_on ? moment_of_first() : std::nullopt;
    if (group().first()) {
      folder_.cut_logs(checkpoint, warn);
      callbacks_ = app_.callbacks;
      if (!flags_.quiet) callbacks_.add(Progress{});
      callbacks_.add(JsonlLog{folder_.log()}).add(CsvLog{folder_.csv_log()});
      app_.logs.add_to(callbacks_, folder_, app_.name, lasting_);
      trainer.on_checkpoint([this, began = checkpoint ? checkpoint->state.number : 0](Checkpoint const& c) {
        allocation_->save([&] { folder_.save(c, app_.checkpoint); });
        if (c.state.number > began) allocation_->progressed();
      });
    } else app_.logs.add_watch_to(callbacks_, folder_, app_.name);
    trainer.listen(callbacks_);
    if (checkpoint) trainer.resume(*checkpoint);
    return std::apply([&](auto const&... part) { return trainer.run(part...); }, app_.plan);
  }
  /// Where an unfinished run stands, as rank 0 finds it.
  std::optional<Checkpoint> moment_of_first() const {
    std::optional<Checkpoint> found;
    if (group().first()) found = saved_moment();
    auto const number = group().of_first(found ? std::to_string(found->state.number) : "");
    if (!group().first() && !number.empty()) found = read_checkpoint(folder_.checkpoints().path(std::stoll(number)));
    return found;
  }
  /// Where an unfinished run stands. Without a checkpoint it starts over, and says so.
  std::optional<Checkpoint> saved_moment() const {
    auto checkpoint = folder_.checkpoints().newest(warn);
    auto const where = folder_.path().string();
    if (checkpoint) {
      auto const here = std::apply(
          [&](auto const&... part) {
            return plan_text(app_.pipeline, app_.source, app_.metrics, {train_, validate_, std::uint64_t(app_.own.seed), app_.own.minutes},
                             part...);
          },
          app_.plan);
      refuse_other_plan(checkpoint->plan, here, where);
      return checkpoint;
    }
    check(!flags_.init.empty() || read_file(folder_.config()).find(from_another_run) == std::string::npos, ErrorKind::input,
          "{}: has no checkpoint, and began with the weights of another run: start it again with --init and --force", where);
    warn(fmt::format("{}: has no checkpoint yet; starts over", where));
    return std::nullopt;
  }

  Program<P, Source, Plan, Metrics>& app_;
  CommandFlags& flags_;
  RunFolder folder_;
  Allocation* allocation_;
  std::vector<std::int64_t> train_, validate_;
  OptionSet lasting_;   ///< the options that say what is trained: all but those that say how a start ends
  std::string config_;  ///< the text of config.toml
  std::optional<RunRecord> record_;
  std::optional<RunLock> lock_;
  Callbacks callbacks_;  ///< live until the score is written: loggers end behind it
};

}  // namespace dew
