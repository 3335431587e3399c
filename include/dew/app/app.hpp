// SPDX-License-Identifier: BSL-1.0
// A whole program from a pipeline, a source and a plan: train, evaluate, run, export, options, simulate, submit.
#pragma once
#include <initializer_list>
#include <sstream>

#include "dew/app/any_source.hpp"
#include "dew/app/batch_flags.hpp"
#include "dew/app/config_file.hpp"
#include "dew/app/logs.hpp"
#include "dew/app/run_list.hpp"
#include "dew/app/run_record.hpp"
#include "dew/app/search_space.hpp"
#include "dew/app/submit.hpp"
#include "dew/core/memory.hpp"
#include "dew/core/values.hpp"
#include "dew/event/ranges.hpp"
#include "dew/event/simulated_detector.hpp"
#include "dew/event/trackml.hpp"
#include "dew/metric/latent_metrics.hpp"
#include "dew/metric/neighbour_scan.hpp"
#include "dew/metric/score_scan.hpp"
#include "dew/metric/style_table.hpp"
#include "dew/metric/upper_bound.hpp"
#include "dew/pipeline/with_options.hpp"
#include "dew/train/allocation.hpp"
#include "dew/train/core_share.hpp"
#include "dew/train/loggers.hpp"
#include "dew/train/run_folder.hpp"
#include "dew/train/shard.hpp"
#include "dew/train/started_processes.hpp"
#include "dew/train/trainer.hpp"

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

namespace detail {
template <class T, class... S> constexpr bool is_one_of(std::tuple<S...> const*) { return (std::same_as<T, S> || ...); }

/// A metric that may be left out when the program runs.
template <class M>
struct Switched : M {
  bool on = true;
  Figures operator()(InputOf<M> const& event, Context const& c) const {
    return on ? Figures(call(static_cast<M const&>(*this), event, c)) : Figures();
  }
};
}  // namespace detail

/// A program on a screen:
///
///     int main(int argc, char** argv) {
///       return App{"tracking", pipeline}.events(TrackMl{}).train(fit<EdgeClassifier>(FocalLoss{}), …).evaluate(TrackingMetrics{}).run(argc, argv);
///     }
///
/// gives `tracking train | evaluate | run | export | options | simulate | runs | submit`, with a flag for every option of every part,
/// `--config FILE`, and a run folder.
template <class P, class Source = TrackMl, class Plan = std::tuple<>, class Metrics = std::tuple<>>
class App {
 public:
  App(std::string name, P pipeline) : App(std::move(name), "", std::move(pipeline), Source{}, {}, {}, {}) {}

  /// One sentence for --help.
  App about(std::string text) && {
    about_ = std::move(text);
    return std::move(*this);
  }
  /// Where events come from; of several sources the option `source` chooses one (see `AnySource`).
  template <EventSource S, EventSource... Others> auto events(S source, Others... others) && {
    if constexpr (sizeof...(Others) > 0) return std::move(*this).events(AnySource(std::move(source), std::move(others)...));
    else
      return App<P, S, Plan, Metrics>(std::move(name_), std::move(about_), std::move(pipeline_), std::move(source), std::move(plan_),
                                      std::move(metrics_), std::move(more_));
  }
  /// The parts of the training, in order.
  template <class... Part> auto train(Part... parts) && {
    return App<P, Source, std::tuple<Part...>, Metrics>(std::move(name_), std::move(about_), std::move(pipeline_), std::move(source_),
                                                        std::tuple<Part...>(std::move(parts)...), std::move(metrics_), std::move(more_));
  }
  /// What scores a trained pipeline, while training and after.
  template <Metric... M> auto evaluate(M... metrics) && {
    return App<P, Source, Plan, std::tuple<M...>>(std::move(name_), std::move(about_), std::move(pipeline_), std::move(source_),
                                                  std::move(plan_), std::tuple<M...>(std::move(metrics)...), std::move(more_));
  }
  /// A callback of one's own, beside progress and logs.
  template <class C> App with(C callback) && {
    more_.add(std::move(callback));
    return std::move(*this);
  }

  /// Reads the command line and does what it says. Returns the exit status: 0, 1 for bad input, 2 for bad usage, and those of `Allocation::leave`
  /// when it was stopped: 130, 143, 75.
  int run(int argc, char const* const* argv) && {
    try {
      return run_checked(argc, argv);
    } catch (Error const& e) { return ended_by(e.what(), e.exit_status()); } catch (c10::Error const& e) {
      return ended_by(e.what_without_backtrace(), 1);
    } catch (std::exception const& e) { return ended_by(e.what(), 1); }
  }

 private:
  template <class, class, class, class> friend class App;
  App(std::string name, std::string about, P pipeline, Source source, Plan plan, Metrics metrics, Callbacks more)
      : name_(std::move(name)),
        about_(std::move(about)),
        pipeline_(std::move(pipeline)),
        source_(std::move(source)),
        plan_(std::move(plan)),
        metrics_(std::move(metrics)),
        more_(std::move(more)) {}

  // what the command line says beside options
  struct Flags {
    std::string out, run, resume, init, config, select, json, reproduce, search_space, metrics = "own", shard = "1/1";
    std::vector<std::string> init_stages;
    bool force = false, quiet = false, truth = false, tables = false;
    std::vector<std::pair<std::string, std::vector<std::string>>> set;  // options, in order
  };

  /// One stage's weights, all of them, from a run of any pipeline with that stage; its options have to be those of the run, and those that are
  /// younger as their structs say.
  static void load_stage(Trained<P>& to, SafeTensors const& from, std::string const& stage, std::string const& run) {
    auto const of_stage = [&](auto named) {
      std::erase_if(named, [&](auto const& one) { return !one.first.starts_with(stage + "."); });
      return named;
    };
    auto const weights = of_stage(to.tensors());
    check(!weights.empty(), ErrorKind::usage, "--init_stages: no stage '{}' has weights; the stages are {}", stage,
          fmt::join(P::names, ", "));
    auto const said = from.metadata.find("dew.options");
    check(said != from.metadata.end(), ErrorKind::input, "{}: does not say the options of its stages", run);
    auto const there = detail::with_younger_options(nlohmann::json::parse(said->second), to.pipeline);
    auto const here = nlohmann::json::parse(to.metadata().at("dew.options"));
    auto const options = of_stage(here.template get<std::map<std::string, nlohmann::json>>());
    for (auto const& [path, value] : options)
      check(there.contains(path) && there.at(path) == value, ErrorKind::input, "{}: {} is {} there and {} here", run, path,
            there.contains(path) ? there.at(path).dump() : "unknown", value.dump());
    detail::copy_by_name(of_stage(from.tensors), weights, run);
  }

  /// Says what went wrong. Where several processes were started, an error that all of them have is said by rank 0 alone, and one that only some have
  /// ends all.
  int ended_by(std::string const& what, int status) {
    if (launch_.rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));  // rank 0 ends this process meanwhile
    fmt::print(stderr, "{}{}\n", launch_.rank > 0 ? detail::process_text(launch_.rank) + ": " : "", what);
    if (!processes_->alone()) processes_->end_all(status);
    return status;
  }

  int run_checked(int argc, char const* const* argv) {
    command_.assign(argv, argv + argc);
    launch_ = launch_of_this_process();
    options_.add("", options_struct());
    options_.add("checkpoint", checkpoint_options_);
    options_.add(std::string(ProcessOptions::section), process_options_);
    options_.add(std::string(BatchOptions::section), batch_options_);
    logs_.add_to(options_);
    add_options(options_, std::string(Source::name), source_);
    add_options(options_, pipeline_);
    std::apply([&](auto&... part) { (add_plan_options<P>(options_, part), ...); }, plan_);
    std::apply([&](auto&... m) { (add_options(options_, std::string(std::remove_cvref_t<decltype(m)>::name), m), ...); }, metrics_);
    SimulatedDetector simulated;
    auto others = other_metrics();
    OptionSet simulation, analysis, scoring;
    std::apply([&](auto&... m) { (add_options(scoring, std::string(std::remove_cvref_t<decltype(m)>::name), m), ...); }, metrics_);
    std::apply([&](auto&... m) { (add_options(analysis, std::string(std::remove_cvref_t<decltype(m)>::name), m), ...); }, others);
    add_options(simulation, std::string(SimulatedDetector::name), simulated);

    Flags flags;
    Submit submission;
    auto const behind = Submit::command_at(argc, argv);
    std::vector<std::string> const job(argv + behind, argv + argc);  // what submit is to run
    CLI::App cli(about_.empty() ? name_ + ": trains, scores and runs a track-finding pipeline" : about_, name_);
    cli.set_version_flag("--version", fmt::format("{} (dew {})", name_, version));
    cli.require_subcommand(1);
    cli.get_formatter()->column_width(46);
    auto* train = cli.add_subcommand("train", "train the stages in turn, score them, write a run folder");
    auto* evaluate = cli.add_subcommand("evaluate", "score a run on events with truth");
    auto* run = cli.add_subcommand("run", "find tracks: one CSV an event, hit_id,track_id");
    auto* exported = cli.add_subcommand("export", "write everything that the stages write: one .safetensors an event");
    auto* list = cli.add_subcommand("options", "list every option with unit and default");
    auto* simulate = cli.add_subcommand("simulate", "write simulated events in TrackML's CSV layout");
    auto* submit = cli.add_subcommand("submit", "write a batch script for SLURM, and submit it with --go");

    auto* runs = cli.add_subcommand("runs", "list the runs under a folder, or put some of them side by side");
    RunsFlags runs_flags;
    add_runs_flags(runs, runs_flags);

    auto const common = [&](CLI::App* c) {
      c->add_flag("--quiet", flags.quiet, "no progress");
      option_flag(c, flags, options_.at("device"));
      option_flag(c, flags, options_.at("threads"));
    };
    auto const events_flag = [&](CLI::App* c) {
      auto const paths = events_paths();
      auto const set = [&flags, paths](std::string const& folder) {
        for (auto const& path : paths) flags.set.emplace_back(path, std::vector{folder});
      };
      if (!paths.empty()) c->add_option_function<std::string>("--events", set, "folder of events");
    };
    common(train);
    events_flag(train);
    train->add_option("--out", flags.out, "run folder to write");
    train->add_option("--resume", flags.resume, "go on with an unfinished run; needs nothing else");
    train->add_option("--reproduce", flags.reproduce, "repeat the step that failed and left this file (RUN/failed/…); needs nothing else");
    train->add_option("--init", flags.init, "start from the weights of a run");
    train->add_option("--init_stages", flags.init_stages, "take only these stages' weights from there; the others start anew")
        ->delimiter(',')
        ->needs("--init");
    train->add_option("--config", flags.config, "TOML file of options; flags override it");
    train->add_flag("--force", flags.force, "overwrite what --out holds of another run");
    auto const set_option = [&](std::string const& path, std::string const& word) { flags.set.emplace_back(path, std::vector{word}); };
    add_log_flags(train, set_option);
    for (auto* c : {train, run, exported}) add_batch_flags(c, set_option);
    for (auto const& e : options_.entries())
      if (e.path != "device" && e.path != "threads") option_flag(train, flags, e);
    for (auto* c : {evaluate, run, exported}) {
      common(c);
      events_flag(c);
      c->add_option("--run", flags.run, "run folder")->required();
      c->add_option("--select", flags.select, "events, such as 1080-1099; default: all of the source's");
      for (auto const& e : options_.entries())
        if (acts_on_a_run(e.path) &&
            (c == evaluate ? !is_batch_option(e.path) : !e.path.starts_with("processes.") && !scoring.find(e.path)))
          option_flag(c, flags, e);
    }
    evaluate->add_option("--json", flags.json, "file for the figures");
    evaluate->add_flag("--tables", flags.tables, "every figure, with all cuts and bins");
    for (auto const& e : analysis.entries()) option_flag(evaluate, flags, e);
    evaluate->add_option("--metrics", flags.metrics,
                         "own: the program's (default); styles: every style of scoring tracks, in one table; all; or names: " +
                             fmt::format("{}", fmt::join(metric_names(others), ",")));
    for (auto* c : {run, exported})
      c->add_option("--shard", flags.shard,
                    "of the events only those of one of several programs, such as 3/16; processes that mpirun or srun "
                    "has started divide them by themselves");
    run->add_option("--out", flags.out, "folder for the tracks")->required();
    run->add_flag("--force", flags.force, "write into a folder that holds something else");
    exported->add_option("--out", flags.out, "folder for the events")->required();
    exported->add_flag("--truth", flags.truth, "the events' truth too");
    exported->add_flag("--force", flags.force, "overwrite events that are there");
    list->add_option("--config", flags.config, "show the values of a TOML file; with --search-space: a file of ranges");
    list->add_option(
        "--search-space", flags.search_space,
        "json: what a hyper-parameter search can set, with ranges worth a try; with --config: the space of that file, checked");
    simulate->add_option("--out", flags.out, "folder to write")->required();
    simulate->add_option("--select", flags.select, "event numbers, such as 1-20")->required();
    simulate->add_flag("--force", flags.force, "overwrite events that are there");
    simulate->add_flag("--quiet", flags.quiet, "no progress");
    simulate->add_option_function<std::string>(
        "--particles", [&](std::string const& n) { flags.set.emplace_back("simulated_detector.particles", std::vector{n}); },
        "particles an event");
    for (auto const& e : simulation.entries()) option_flag(simulate, flags, e);
    submission.add_to(submit);
    auto const commands = {train, evaluate, run, exported, list, simulate, runs, submit};
    for (auto* c : commands) c->allow_extras();

    try {
      cli.parse(argc > 2 && std::string_view(argv[behind - 1]) == "--" ? behind - 1 : argc, const_cast<char**>(argv));
    } catch (CLI::Success const& e) { return cli.exit(e); } catch (CLI::ParseError const& e) {
      fmt::print(stderr, "{}\nRun with --help for more information.\n", e.what());
      return 2;
    }
    for (auto* c : commands) refuse_extras(*c, commands);
    if (submit->parsed()) return do_submit(submission, job);
    if (runs->parsed()) {
      fmt::print("{}", list_runs(runs_flags, first_headlines()));
      return 0;
    }

    auto& known = simulate->parsed() ? simulation : options_;
    auto const set_flags = [&] {
      for (auto const& [path, words] : flags.set) (evaluate->parsed() && analysis.find(path) ? analysis : known).at(path, "--").set(words);
    };
    if (simulate->parsed()) {
      set_flags();
      return do_simulate(simulated, flags);
    }
    if (list->parsed() && !flags.search_space.empty()) return do_search_space(flags);
    if (list->parsed()) {
      if (!flags.config.empty()) read_config(flags.config, options_);
      fmt::print("{}\nof evaluate alone, with --metrics:\n{}", options_table(options_), options_table(analysis));
      return 0;
    }
    if (train->parsed()) {
      if (!flags.reproduce.empty()) return do_reproduce(flags, set_flags);
      if (!flags.resume.empty()) {
        auto const elsewhere = [](auto const& option) {
          return option.first == "device" || option.first == "threads" || option.first.starts_with("log.") ||
                 option.first.starts_with("processes.") || (is_batch_option(option.first) && !option.first.starts_with("batch.array"));
        };
        check(std::all_of(flags.set.begin(), flags.set.end(), elsewhere) && flags.out.empty() && flags.config.empty() && flags.init.empty(),
              ErrorKind::usage,
              "--resume takes everything from the run folder; it goes with no other flag than --device, --threads, --quiet and those of "
              "loggers, processes and the batch system");
        flags.out = flags.resume;
        RunFolder const folder(flags.out);
        check(folder.exists(), ErrorKind::input, "{}: holds no run to resume", flags.out);
        flags.config = folder.config().string();
        if (auto const plan = folder.checkpoints().newest_plan())  // before the options of another program are found unknown
          refuse_other_plan({plan->types, {}}, {plan_types_here(), {}}, flags.out);
      }
      if (!flags.config.empty()) read_config(flags.config, options_);
      set_flags();
      enter_task(flags);
      return do_train(flags);
    }
    RunFolder const folder(flags.run);
    check(folder.exists(), ErrorKind::input, "{}: is no run folder (it has no config.toml)", flags.run);
    read_config(folder.config(), options_);
    if (check_only_ && !std::filesystem::exists(folder.model())) {  // of a training that has not ended yet
      set_flags();
      (void)selected(flags);
      return accept(flags);
    }
    auto trained = load(pipeline_, folder.model());
    pipeline_ = trained.pipeline;  // options as tuned by the training
    set_flags();
    trained = with_options(trained, pipeline_, flags.run);
    if (check_only_) {
      (void)selected(flags);
      return accept(flags);
    }
    if (evaluate->parsed()) join(flags);
    set_up(flags, !flags.quiet);
    trained.to(device());
    if (exported->parsed()) return do_export(trained, flags);
    return evaluate->parsed() ? do_evaluate(trained, flags, others) : do_run(trained, flags);
  }

  // ---- train ------------------------------------------------------------------------------------------------------------------------
  /// Joins the processes that were started together with this one. Only rank 0 speaks from then on, but for errors.
  void join(Flags& flags) {
    processes_ = start_processes(launch_, process_options_, device());
    if (processes_->first()) return;
    flags.quiet = true;
    check(std::freopen("/dev/null", "w", stdout) != nullptr, ErrorKind::input, "/dev/null: {}", detail::system_words());
  }

  int do_train(Flags& flags) {
    if (check_only_) return train_and_score(flags, nullptr);
    Allocation allocation(batch_options_, around_, logs_.wandb.on() ? logs_.wandb.wandb_wait_s + logs_.wandb.wandb_osh_delay_s : 0);
    auto status = train_or_say(flags, allocation);  // behind it all files are closed, and the folder is free
    if (status == stopped) {
      for (auto const& why : processes_->gather(fmt::to_string(int(allocation.reason()))))
        allocation.stopped_too(StopReason(std::stoi(why)));
      auto const begun = RunFolder(flags.out).exists();
      if (processes_->first())
        status = allocation.leave(begun ? fmt::format("{} train --resume {}", name_, shell_quoted(flags.out)) : "the same command");
    }
    return processes_->alone() ? status : std::stoi(processes_->of_first(fmt::to_string(status)));  // nobody leaves before rank 0
  }
  int train_or_say(Flags& flags, Allocation& allocation) {
    try {
      return train_and_score(flags, &allocation);
    } catch (std::exception const& e) {
      say_failed(e.what());
      throw;
    }
  }
  bool any_process_says(bool yes) const {
    auto const said = processes_->gather(yes ? "yes" : "");
    return std::any_of(said.begin(), said.end(), [](auto const& one) { return !one.empty(); });
  }
  void say_failed(std::string const& why) {
    try {
      if (record_) record_->ended("failed", fmt::format("{}: failed: {}", name_, why.substr(0, why.find('\n'))));
    } catch (Error const&) {}  // the error that comes is the one to hear of
  }
  /// Without an allocation: checks what is said and does nothing.
  int train_and_score(Flags& flags, Allocation* allocation) {
    check(!flags.out.empty(), ErrorKind::usage, "train needs --out RUN, the run folder to write (or --resume RUN)");
    if constexpr (std::tuple_size_v<Plan> == 0) fail(ErrorKind::usage, "this program has nothing to train: its App has no train(…)");
    else {
      check(options_struct().minutes <= 0 || options_struct().epochs <= 0, ErrorKind::usage,
            "--minutes and --epochs exclude each other: either the clock ends a training or a number of epochs");
      RunFolder const folder(flags.out);
      auto const checkpoints = folder.checkpoints(checkpoint_options_);  // refuses options before anything is written
      if (allocation != nullptr) join(flags);
      bool const first = processes_->first();  // it alone looks after the folder
      if (processes_->first_says(!flags.resume.empty() && folder.finished())) return say_finished(flags.out);
      resolve_events();
      divide_events();
      auto const train = parse_ranges(options_struct().train),
                 validate = options_struct().validate.empty() ? std::vector<std::int64_t>{} : parse_ranges(options_struct().validate);
      auto const lasting = lasting_options();
      auto const config = config_text(lasting, fmt::format("a run of {}\nwith dew {}, seed {}{}", name_, version, options_struct().seed,
                                                           flags.init.empty() ? "" : from_another_run));
      bool const restarted = allocation != nullptr && allocation->restarted();  // by the same command line
      auto const same_run = [&] { return folder.exists() && (flags.init.empty() || restarted) && read_file(folder.config()) == config; };
      if (processes_->first_says(restarted && folder.finished() && same_run())) return say_finished(flags.out);
      auto const goes_on = [&] {
        if (!flags.resume.empty()) return true;
        if (folder.vacant()) return false;
        bool const same = !folder.finished() && same_run();
        check(same || flags.force, ErrorKind::usage, "{}: holds {}; take another --out, or --force to overwrite it", flags.out,
              folder.finished() ? "a finished run"
              : folder.exists() ? "an unfinished run with other options"
                                : "something that is no run");
        return same;
      };
      if (first) (void)goes_on();
      if (allocation == nullptr) return accept(flags);
      std::optional<RunLock> lock;
      if (first && folder.exists()) lock_folder(lock, folder);
      set_up(flags, !flags.quiet);
      if (auto const text = allocation->text(); !flags.quiet && !text.empty()) warn(text);
      if (options_struct().epochs > 0) std::apply([&](auto&... part) { (set_epochs(part), ...); }, plan_);

      auto all = train;
      all.insert(all.end(), validate.begin(), validate.end());
      all = Shard{processes_->rank(), processes_->size()}.of(all);
      each_event(all, "checking", flags.quiet, [&](std::int64_t id) {
        (void)source_.labelled(id);
        return !processes_->alone() || !allocation->stop();
      });
      if (processes_->alone() && allocation->stopped()) return stopped;
      processes_->meet();  // nothing is written before all events are good
      if (first) std::filesystem::create_directories(folder.path());
      if (first && !lock) lock_folder(lock, folder);
      bool const going_on =
          processes_->first_says(first && goes_on());  // asked again: another process may have been here before the lock was ours
      if (processes_->first_says(going_on && folder.finished())) return say_finished(flags.out);
      if (first) {
        folder.remove_leftovers();
        if (!going_on && !folder.vacant()) folder.clear();
        if (!going_on) write_file_atomically(folder.config(), config);
      }
      if (first)
        record_.emplace(folder.record(), RunRecord::Start{name_, options_struct().seed, command_, device().str(), at::get_num_threads()});

      Trained trained(pipeline_, source_.labelled(train.front()), std::uint64_t(options_struct().seed), device());
      if (!flags.init.empty()) {
        if (flags.init_stages.empty()) trained.load_tensors(load(pipeline_, flags.init).tensors(), flags.init);
        else {
          auto const from = read_safetensors(RunFolder(flags.init).model());
          for (auto const& stage : flags.init_stages) load_stage(trained, from, stage, flags.init);
        }
      }
      TrainerSettings settings;
      settings.train = train, settings.validate = validate, settings.minutes = options_struct().minutes,
      settings.cache_gb = options_struct().cache_gb;
      settings.graph_cache = options_struct().cache.empty() ? folder.graphs() : std::filesystem::path(options_struct().cache);
      settings.threads = at::get_num_threads();
      settings.checkpoint = checkpoint_options_;
      settings.program = name_;
      if (first) settings.warn = warn;
      else settings.warn = [](std::string const&) {};
      settings.processes = processes_;
      settings.stop = [&] { return allocation->stop(); };
      auto const checkpoint = going_on ? moment_of_first(folder, settings, trained.seed(), !flags.init.empty()) : std::nullopt;
      Callbacks callbacks;
      if (first) {
        folder.cut_logs(checkpoint, warn);
        callbacks = more_;
        if (!flags.quiet) callbacks.add(Progress{});
        callbacks.add(JsonlLog{folder.log()}).add(CsvLog{folder.csv_log()});
        logs_.add_to(callbacks, folder, name_, lasting);
      } else logs_.add_watch_to(callbacks, folder, name_);
      Trainer trainer(trained, source_, metrics_, settings, callbacks);
      auto const save = [&, began = checkpoint ? checkpoint->state.number : 0](Checkpoint const& c) {
        allocation->save([&] { folder.save(c, checkpoint_options_); });
        if (c.state.number > began) allocation->progressed();
      };
      if (first) trainer.on_checkpoint(save);
      if (checkpoint) trainer.resume(*checkpoint);
      if (!std::apply([&](auto const&... part) { return trainer.run(part...); }, plan_)) {
        if (record_) record_->ended("interrupted", in_one_line({}, train.size()));
        return stopped;
      }
      if (first) trained.save(folder.model());
      if (!processes_->alone() && any_process_says(allocation->stop())) {  // their scoring is not broken off
        if (record_) record_->ended("interrupted", in_one_line({}, train.size()));
        return stopped;
      }
      auto const summary = score(trained, validate.empty() ? train : validate, flags.quiet, metrics_, settings.stop);
      if (processes_->alone() && allocation->stopped()) {
        if (record_) record_->ended("interrupted", in_one_line({}, train.size()));
        return stopped;
      }
      if (!first) return 0;
      fmt::print("{}", in_short(summary).text());
      write_file_atomically(folder.metrics(), report(summary, validate.empty() ? train : validate).dump(2) + "\n");
      checkpoints.keep_best_alone();
      record_->ended("finished", in_one_line(summary, train.size()));
      fmt::print("every figure: {}, or {} evaluate --run {} --tables\nrun folder: {}\n", folder.metrics().string(), name_, flags.out,
                 flags.out);
      return 0;
    }
  }

  /// The run in one line.
  std::string in_one_line(Summary const& summary, std::size_t events) const {
    auto text = fmt::format("{} with seed {} on {} events: ", name_, app_options_.seed, events);
    auto const shown = in_short(summary);
    if (shown.empty()) return text + "not scored yet";
    std::size_t n = 0;
    for (auto const& name : shown.names()) {
      if (n == 4) break;
      text += fmt::format("{}{} {:.4f}", n++ > 0 ? ", " : "", name, shown.mean(name));
    }
    return text;
  }

  /// Repeats a failed step from what `GradientWatch` wrote: its error again, or the loss where it goes through.
  template <class SetFlags> int do_reproduce(Flags const& flags, SetFlags const& set_flags) {
    if constexpr (std::tuple_size_v<Plan> == 0) fail(ErrorKind::usage, "this program has nothing to train: its App has no train(…)");
    else {
      auto const failed = read_checkpoint(flags.reproduce);
      check(failed.failed_event >= 0, ErrorKind::input, "{}: is a checkpoint, but of no step that failed", flags.reproduce);
      refuse_other_plan({failed.plan.types, {}}, {plan_types_here(), {}}, flags.reproduce);
      auto const elsewhere = [](auto const& option) { return option.first == "device" || option.first == "threads"; };
      check(std::all_of(flags.set.begin(), flags.set.end(), elsewhere) && flags.out.empty() && flags.config.empty() && flags.init.empty() &&
                flags.resume.empty(),
            ErrorKind::usage,
            "--reproduce takes everything from its file; it goes with no other flag than --device, --threads and --quiet");
      for (auto const& [path, value] : failed.plan.options)
        if (options_.find(path)) options_.at(path).set(value.empty() ? std::vector<std::string>{""} : toml_words(value));
      set_flags();
      set_up(flags, !flags.quiet);
      auto trained = load(pipeline_, flags.reproduce);
      trained.to(device());
      TrainerSettings settings;
      settings.train = parse_ranges(options_struct().train);
      if (!options_struct().validate.empty()) settings.validate = parse_ranges(options_struct().validate);
      settings.minutes = options_struct().minutes;
      Trainer trainer(trained, source_, metrics_, settings);
      auto const loss = std::apply([&](auto const&... part) { return trainer.reproduce(failed, part...); }, plan_);
      fmt::print("event {} goes through here: its loss is {}\n", failed.failed_event, loss);
      return 0;
    }
  }

  static int say_finished(std::string const& run) {
    fmt::print("{}: is finished already\n", run);
    return 0;
  }
  static void warn(std::string const& text) { fmt::print(stderr, "{}\n", text); }
  static void lock_folder(std::optional<RunLock>& lock, RunFolder const& folder) {
    lock.emplace(folder.path());
    if (!lock->held())
      warn(fmt::format("{}: this file system keeps no locks; see to it that no other process trains in this folder",
                       folder.path().string()));
  }
  /// Where an unfinished run stands, as rank 0 finds it.
  std::optional<Checkpoint> moment_of_first(RunFolder const& folder, TrainerSettings const& settings, std::uint64_t seed,
                                            bool has_weights) const {
    std::optional<Checkpoint> found;
    if (processes_->first()) found = saved_moment(folder, settings, seed, has_weights);
    auto const number = processes_->of_first(found ? std::to_string(found->state.number) : "");
    if (!processes_->first() && !number.empty()) found = read_checkpoint(folder.checkpoints().path(std::stoll(number)));
    return found;
  }
  /// Where an unfinished run stands. Without a checkpoint it starts over, and says so.
  std::optional<Checkpoint> saved_moment(RunFolder const& folder, TrainerSettings const& settings, std::uint64_t seed,
                                         bool has_weights) const {
    auto checkpoint = folder.checkpoints().newest(warn);
    auto const where = folder.path().string();
    if (checkpoint) {
      auto const here = std::apply(
          [&](auto const&... part) {
            return plan_text(pipeline_, source_, metrics_, {settings.train, settings.validate, seed, settings.minutes}, part...);
          },
          plan_);
      refuse_other_plan(checkpoint->plan, here, where);
      return checkpoint;
    }
    check(has_weights || read_file(folder.config()).find(from_another_run) == std::string::npos, ErrorKind::input,
          "{}: has no checkpoint, and began with the weights of another run: start it again with --init and --force", where);
    warn(fmt::format("{}: has no checkpoint yet; starts over", where));
    return std::nullopt;
  }
  PlanText::Lines plan_types_here() const {
    return std::apply([&](auto const&... part) { return plan_types(pipeline_, source_, metrics_, part...); }, plan_);
  }

  // ---- evaluate and run -------------------------------------------------------------------------------------------------------------
  template <class... Other> int do_evaluate(Trained<P> const& trained, Flags const& flags, std::tuple<Other...> const& others) {
    auto const wanted = wanted_metrics(flags.metrics, others);
    auto const ids = selected(flags);
    auto const has = [&](std::string_view name) { return std::find(wanted.begin(), wanted.end(), name) != wanted.end(); };
    bool const table = flags.metrics != "own" && (has(AcornMetrics::name) || has(OneToOneMetrics::name) || has(TrackMlScore::name));
    auto const own = [&]<class M>(M metric) {
      if constexpr (std::same_as<M, TrackingMetrics>) {
        auto& o = metric.options;
        auto const bins = std::get<TrackingMetrics>(all_styles()).options;  // in the table it has those of the others
        if (table && o.hits_bins.empty()) o.hits_bins = bins.hits_bins;
        if (table && o.radius_bins_mm.empty()) o.radius_bins_mm = bins.radius_bins_mm;
      }
      return detail::Switched<M>{std::move(metric), has(M::name)};
    };
    auto const summary = score(trained, ids, flags.quiet,
                               std::tuple_cat(std::apply([&](auto const&... m) { return std::tuple(own(m)...); }, metrics_),
                                              std::tuple(detail::Switched<Other>{std::get<Other>(others), has(Other::name)}...)));
    bool const in_full = flags.tables || flags.metrics != "own";
    fmt::print("{}", (in_full ? summary : in_short(summary)).text());
    if (!in_full) fmt::print("more: --tables, --metrics all, --json FILE\n");
    auto json = report(summary, ids);
    if (table) {
      StyleTable const styles(summary, style_cut());
      fmt::print("\n{}", styles.text());
      auto const pooled = styles.json();
      for (auto const& [name, value] : pooled.items()) json["pooled." + name] = value;
    }
    for (auto const& scan : {std::string(ScoreScan::name), std::string(NeighbourScan::name)})
      if (has(scan))
        fmt::print("\n{}: where more than half of a particle's hits stay together\n{}", scan,
                   scan_in(summary, scan).text("more_than_half"));
    if (!flags.json.empty() && processes_->first()) write_file_atomically(flags.json, json.dump(2) + "\n");
    return 0;
  }

  /// Metrics beside the program's own that `evaluate` knows by name: every style of scoring tracks, and analyses of graph and latent space, as
  /// far as the pipeline writes what they read.
  auto other_metrics() const {
    using Available = typename P::template KeysAfterFirst<P::size, typename decltype(source_.labelled(0))::KeySet>;
    auto const fits = []<class M>(M metric) {
      if constexpr (contains_all<Available, ReadsOf<M>> && !detail::is_one_of<M>(static_cast<Metrics const*>(nullptr)))
        return std::tuple(metric);
      else return std::tuple();
    };
    return std::apply(
        [&](auto... m) { return std::tuple_cat(fits(m)...); },
        std::tuple_cat(all_styles(), std::tuple(UpperBound{}, SegmentMetrics{}, LatentMetrics{}, ScoreScan{}, NeighbourScan{})));
  }
  template <class... Other> std::vector<std::string> metric_names(std::tuple<Other...> const&) const {
    auto names = std::apply([](auto const&... m) { return std::vector<std::string>{std::string(m.name)...}; }, metrics_);
    (names.emplace_back(Other::name), ...);
    return names;
  }
  /// The names of the metrics that --metrics asks for.
  template <class... Other> std::vector<std::string> wanted_metrics(std::string const& flag, std::tuple<Other...> const& others) const {
    auto const known = metric_names(others);
    std::vector<std::string> wanted;
    std::istringstream words(flag);
    for (std::string word; std::getline(words, word, ',');) {
      auto const add = [&](auto const&... m) { (wanted.emplace_back(m.name), ...); };
      if (word == "all") wanted = known;
      else if (word == "own") std::apply(add, metrics_);
      else if (word == "styles") std::apply(add, all_styles());
      else {
        check(std::find(known.begin(), known.end(), word) != known.end(), ErrorKind::usage,
              "--metrics: expected own, styles, all or some of {}, got '{}'", fmt::join(known, ", "), word);
        wanted.push_back(word);
      }
    }
    return wanted;
  }

  /// The cut of the program's TrackingMetrics that stands for all particles in the table: 0.9 GeV where it has that, else its last.
  double style_cut() const {
    if constexpr (detail::is_one_of<TrackingMetrics>(static_cast<Metrics const*>(nullptr))) {
      auto const& cuts = std::get<TrackingMetrics>(metrics_).options.pt_cuts_gev;
      if (!cuts.empty() && std::find(cuts.begin(), cuts.end(), 0.9) == cuts.end()) return cuts.back();
    }
    return 0.9;
  }
  int do_run(Trained<P> const& trained, Flags const& flags) {
    using HitKeySet = typename decltype(source_.hits(0))::KeySet;
    if constexpr (!P::template runs_on<HitKeySet>)
      fail(ErrorKind::usage, "this pipeline has a stage that reads the truth, so that it cannot run on bare hits");
    else if constexpr (!P::template KeysAfterFirst<P::size, HitKeySet>::template has<Label>)
      fail(ErrorKind::usage, "this pipeline has no clusterer: nothing writes labels");
    else {
      auto const shard = shard_of(flags);
      auto const ids = shard.of(selected(flags));
      Allocation allocation(batch_options_, around_);
      std::filesystem::path const out = flags.out;
      check(!RunFolder(out).exists(), ErrorKind::usage, "{}: is a training's run folder; take another --out", flags.out);
      auto const marker = out / "run.json";
      auto const identity = run_identity(trained);
      auto const ours = [&] { return std::filesystem::exists(marker) && read_file(marker) == identity; };
      if (!RunFolder(out).vacant() && !flags.force)  // another shard may be writing its marker
        check(ours(), ErrorKind::usage, "{}: holds something that is not of this run and these options; take another --out, or --force",
              flags.out);
      bool const same = ours();
      std::vector<std::int64_t> todo;
      auto const file_of = [&](std::int64_t id) { return out / fmt::format("event{:09}-tracks.csv", id); };
      for (auto id : ids)
        if (!same || !std::filesystem::exists(file_of(id))) todo.push_back(id);
      each_event(todo, "checking", flags.quiet, [&](std::int64_t id) { (void)source_.hits(id); });
      std::filesystem::create_directories(out);
      write_file_atomically(marker, identity);
      std::size_t tracks = 0;
      each_event(todo, "finding tracks", flags.quiet, [&](std::int64_t id) {
        if (allocation.stop()) return false;
        auto const hits = source_.hits(id);
        auto const labels = trained.labels(hits).to(at::kCPU).contiguous();
        auto const hit_id = hits[HitId{}].contiguous();
        std::unordered_map<std::int64_t, std::int64_t> track_of;
        for (std::int64_t i = 0; i < labels.size(0); ++i) {
          track_of[hit_id.template const_data_ptr<std::int64_t>()[i]] = labels.template const_data_ptr<std::int64_t>()[i];
        }
        std::string text = "hit_id,track_id\n";
        std::int64_t most = -1;
        for (auto hit : every_hit(id, hit_id)) {
          auto const at = track_of.find(hit);
          auto const track = at == track_of.end() ? -1 : at->second;
          most = std::max(most, track);
          text += fmt::format("{},{}\n", hit, track);
        }
        tracks += std::size_t(most + 1);
        write_file_atomically(file_of(id), text);
        allocation.progressed();
        return true;
      });
      if (allocation.stopped()) return leave_prediction(allocation);
      fmt::print("{}{} events, {} tracks, in {}{}\n", shard_text(shard), todo.size(), tracks, flags.out, there_already(ids, todo));
      return 0;
    }
  }

  /// Of processes that were started together only the first requeues their job.
  int leave_prediction(Allocation& allocation) const {
    return launch_.rank > 0 ? allocation.status() : allocation.leave("the same command");
  }

  int do_export(Trained<P> const& trained, Flags const& flags) {
    auto const shard = shard_of(flags);
    auto const ids = shard.of(selected(flags));
    Allocation allocation(batch_options_, around_);
    std::filesystem::path const out = flags.out;
    auto const file_of = [&](std::int64_t id) { return out / fmt::format("event{:09}.safetensors", id); };
    auto const marker = out / "export.json";
    auto const identity = run_identity(trained, flags.truth ? "with truth" : "without truth");
    auto const there = std::filesystem::exists(marker) ? read_file(marker) : std::string();
    bool const same = (!flags.force || allocation.restarted()) && there == identity;
    std::vector<std::int64_t> todo;
    for (auto id : ids) {
      if (same && std::filesystem::exists(file_of(id))) continue;
      refuse_existing(file_of(id), flags.force);
      todo.push_back(id);
    }
    check(same || flags.force || there.empty(), ErrorKind::usage,
          "{}: holds events of another run or of other options; take another --out, or --force", flags.out);
    each_event(todo, "checking", flags.quiet, [&](std::int64_t id) { flags.truth ? (void)source_.labelled(id) : (void)source_.hits(id); });
    std::filesystem::create_directories(out);
    write_file_atomically(marker, identity);
    auto const write = [&](std::int64_t id, auto const& hits) {
      save_record(file_of(id), trained(hits, Context{.event = id}).to(at::Device(at::kCPU)), {});
    };
    each_event(todo, "exporting", flags.quiet, [&](std::int64_t id) {
      if (allocation.stop()) return false;
      if (flags.truth) write(id, source_.labelled(id));
      else if constexpr (P::template runs_on<typename decltype(source_.hits(0))::KeySet>) write(id, source_.hits(id));
      else fail(ErrorKind::usage, "this pipeline has a stage that reads the truth: say --truth");
      allocation.progressed();
      return true;
    });
    if (allocation.stopped()) return leave_prediction(allocation);
    fmt::print("{}{} events in {}{}\n", shard_text(shard), todo.size(), flags.out, there_already(ids, todo));
    return 0;
  }

  int do_search_space(Flags const& flags) {
    check(flags.search_space == "json", ErrorKind::usage, "--search-space: expected json, got '{}'", flags.search_space);
    OptionSet trained;  // the source, the metrics and where a run goes are no part of what is searched unless a file says so
    add_options(trained, pipeline_);
    std::apply([&](auto&... part) { (add_plan_options<P>(trained, part), ...); }, plan_);
    auto const json =
        flags.config.empty() ? searchable_options_json(trained) : search_space_json(read_search_space(flags.config, options_), options_);
    fmt::print("{}\n", json.dump(2));
    return 0;
  }

  int do_simulate(SimulatedDetector const& detector, Flags const& flags) {
    auto const ids = parse_ranges(flags.select);
    for (auto id : ids) refuse_existing(std::filesystem::path(flags.out) / fmt::format("event{:09}-hits.csv", id), flags.force);
    std::filesystem::create_directories(flags.out);
    each_event(ids, "simulating", flags.quiet, [&](std::int64_t id) { detector.write(flags.out, id); });
    fmt::print("{} events in {}\n", ids.size(), flags.out);
    return 0;
  }

  // ---- submit -------------------------------------------------------------------------------------------------------------------------
  int do_submit(Submit submit, std::vector<std::string> const& words) const {
    auto const job = submit.job(words, name_);
    App there(name_, about_, pipeline_, source_, plan_, metrics_, more_);
    there.check_only_ = true;
    there.around_.environment = submit.first_task();
    std::vector<char const*> argv{name_.c_str()};
    for (auto const& word : job) argv.push_back(word.c_str());
    auto const status = there.run_checked(int(argv.size()), argv.data());
    if (!there.accepted_) return status;
    auto const& batch = there.batch_options_;
    submit.complete(job, {*there.accepted_, batch.array, batch.requeue_signal, there.app_options_.threads});
    submit.carry_out(around_.command);
    return 0;
  }
  int accept(Flags const& flags) {
    accepted_ = flags.out;
    return 0;
  }

  // ---- job arrays ---------------------------------------------------------------------------------------------------------------------
  static bool is_batch_option(std::string_view path) { return path.starts_with("batch."); }
  /// The options that say what is trained: all but those that say how a start ends.
  OptionSet lasting_options() const {
    OptionSet lasting;
    for (auto const& e : options_.entries())
      if (!is_batch_option(e.path)) lasting.add(e);
    return lasting;
  }
  /// A task of an array trains in a folder of its own, with a seed of its own where they divide seeds.
  void enter_task(Flags& flags) {
    auto const split = batch_options_.array;
    if (split == ArraySplit::none) return;
    check(split != ArraySplit::events, ErrorKind::usage, "--array events: is for run and export; the tasks of train divide seeds or folds");
    auto const task = array_task(around_.environment, batch_options_.array_tasks);
    if (!flags.out.empty()) flags.out = (std::filesystem::path(flags.out) / task_folder(task)).string();
    if (split == ArraySplit::seeds) options_struct().seed += task.index;
  }
  void divide_events() {
    if (batch_options_.array != ArraySplit::folds) return;
    auto& o = options_struct();
    auto all = parse_ranges(o.train);
    if (!o.validate.empty())
      for (auto const id : parse_ranges(o.validate)) all.push_back(id);
    auto const fold = fold_of(all, array_task(around_.environment, batch_options_.array_tasks));
    o.train = ranges_text(fold.train), o.validate = ranges_text(fold.validate);
  }

  // ---- parts of them ------------------------------------------------------------------------------------------------------------------
  /// Which of the events are this process's to do.
  Shard shard_of(Flags const& flags) const {
    auto const shard = parse_shard(flags.shard).divided(launch_);
    check(shard.whole() || !flags.force, ErrorKind::usage,
          "--force cannot be shared: what one process overwrites another would take for its own; take an empty --out");
    return shard;
  }
  static std::string shard_text(Shard const& shard) { return shard.whole() ? "" : fmt::format("shard {}: ", shard.text()); }
  static std::string there_already(std::vector<std::int64_t> const& ids, std::vector<std::int64_t> const& todo) {
    return todo.size() < ids.size() ? fmt::format(" ({} events were there already)", ids.size() - todo.size()) : "";
  }
  static void refuse_existing(std::filesystem::path const& file, bool force) {
    check(force || !std::filesystem::exists(file), ErrorKind::usage, "{}: is there already; take another --out or --select, or --force",
          file.string());
  }
  AppOptions& options_struct() { return app_options_; }
  /// The options that name a folder of events.
  std::vector<std::string> events_paths() {
    std::vector<std::string> out;
    OptionSet source;
    add_options(source, std::string(Source::name), source_);
    for (auto const& e : source.entries())
      if (e.path.ends_with(".events") && e.type == "text") out.push_back(e.path);
    return out;
  }
  template <class S> static bool lacks_a_folder(S const& source) {
    if constexpr (requires { source.alternatives; }) return source.visit([](auto const& s) { return lacks_a_folder(s); });
    else if constexpr (requires {
                         { source.options.events } -> std::convertible_to<std::string>;
                       })
      return source.options.events.empty();
    else return false;
  }
  at::Device device() {
    auto const& name = options_struct().device;
    check(name == "cpu" || name == "cuda", ErrorKind::usage, "device: expected cpu or cuda, got '{}'", name);
    check(name == "cpu" || at::globalContext().hasCUDA(), ErrorKind::usage, "device: there is no CUDA device that this LibTorch can use");
    if (name == "cpu") return {at::kCPU};
    auto const devices = c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount();
    return {at::kCUDA, c10::DeviceIndex(launch_.local_rank % std::max(1, int(devices)))};
  }
  void set_up(Flags const& flags, bool say) {
    keep_memory();
    auto const cpus = detail::number_in(around_.environment, "SLURM_CPUS_PER_TASK").value_or(0);
    if (options_struct().threads > 0) at::set_num_threads(options_struct().threads);
    else if (!processes_->alone() && std::getenv("OMP_NUM_THREADS") == nullptr) at::set_num_threads(threads_each(*processes_));
    else if (cpus > 0 && std::getenv("OMP_NUM_THREADS") == nullptr)
      at::set_num_threads(int(cpus));  // a node may have more that are not ours
    if (say)
      fmt::print(stderr, "{} (dew {}) on {}, {}{} threads\n", name_, version, device().str(),
                 processes_->alone() ? "" : fmt::format("{} processes of ", processes_->size()), at::get_num_threads());
    (void)flags;
  }
  template <class S, class L> void set_epochs(Fit<S, L>& f) {
    if (f.options.epochs > 0) f.options.epochs = options_struct().epochs;
  }
  template <class S, class G> void set_epochs(Scan<S, G>&) {}

  /// Fills in which events are trained and validated on, where nothing was said.
  void resolve_events() {
    auto& o = options_struct();
    if (!o.train.empty()) return;
    auto const ids = all_ids();
    auto const held_back = o.validate.empty() && ids.size() > 1 ? std::max<std::size_t>(1, ids.size() / 10) : 0;
    auto const middle = ids.end() - std::ptrdiff_t(held_back);
    std::vector<std::int64_t> train(ids.begin(), middle);
    if (held_back > 0) o.validate = ranges_text({middle, ids.end()});
    else if (!o.validate.empty())
      std::erase_if(train, [v = parse_ranges(o.validate)](auto id) { return std::find(v.begin(), v.end(), id) != v.end(); });
    o.train = ranges_text(train);
  }
  std::vector<std::int64_t> all_ids() const {
    check(!lacks_a_folder(source_), ErrorKind::usage, "where are the events? say --events DIR");
    auto ids = source_.ids();
    check(!ids.empty(), ErrorKind::input, "the source has no events");
    return ids;
  }
  /// All hits of an event, those that the pipeline does not see too.
  std::vector<std::int64_t> every_hit(std::int64_t id, Tensor const& seen) const {
    if constexpr (requires { source_.all_hit_ids(id); }) return source_.all_hit_ids(id);
    else return values_of<std::int64_t>(seen);
  }
  std::vector<std::int64_t> selected(Flags const& flags) const {
    auto ids = flags.select.empty() ? all_ids() : parse_ranges(flags.select);
    auto const split = batch_options_.array;
    if (split == ArraySplit::none) return ids;
    check(split == ArraySplit::events, ErrorKind::usage, "--array {}: is for train; here the tasks divide events",
          names_of(split)[std::size_t(split)]);
    return share_of(ids, array_task(around_.environment, batch_options_.array_tasks));
  }

  /// Calls f with each event; when it returns false, that was the last.
  template <class F> void each_event(std::vector<std::int64_t> const& ids, char const* what, bool quiet, F&& f) {
    bool const show = !quiet && isatty(2);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (show) fmt::print(stderr, "\r{} event {} ({}/{})\033[K", what, ids[i], i + 1, ids.size());
      bool more = true;
      try {
        if constexpr (std::is_same_v<decltype(f(ids[i])), bool>) more = f(ids[i]);
        else f(ids[i]);
      } catch (...) {
        if (show) fmt::print(stderr, "\r\033[K");
        throw;
      }
      if (more) continue;
      if (show) fmt::print(stderr, "\r\033[K");
      return;
    }
    if (show) fmt::print(stderr, "\r\033[K");
    else if (!quiet && !ids.empty()) fmt::print(stderr, "{}: {} events done\n", what, ids.size());
  }

  template <class M> Summary score(
      Trained<P> const& trained, std::vector<std::int64_t> const& ids, bool quiet, M const& metrics,
      std::function<bool()> const& stop = [] { return false; }) {
    std::vector<Figures> figures(ids.size());
    auto place = std::size_t(processes_->rank());
    each_event(Shard{processes_->rank(), processes_->size()}.of(ids), "scoring", quiet, [&](std::int64_t id) {
      if (processes_->alone() && stop()) return false;
      Summary event;
      measure(trained, source_.labelled(id), id, metrics, event);
      figures[place] = figures_in(event);
      place += std::size_t(processes_->size());
      return true;
    });
    share_figures(*processes_, figures);
    Summary summary;
    for (auto const& event : figures) summary.add(event);
    return summary;
  }
  /// The name of the figure that says most, of each metric that tells one.
  std::vector<std::string> first_headlines() const {
    std::vector<std::string> names;
    auto const add = [&]<class M>(M const& metric) {
      if constexpr (requires { metric.headlines(); })
        if (auto const figures = metric.headlines(); !figures.empty()) names.push_back(fmt::format("{}.{}", M::name, figures.front()));
    };
    std::apply([&](auto const&... m) { (add(m), ...); }, metrics_);
    return names;
  }
  /// The figures that say most: of each metric its `headlines()`, or all where it names none.
  Summary in_short(Summary const& summary) const {
    std::vector<std::string> names;
    auto const add = [&]<class M>(M const& metric) {
      if constexpr (requires { metric.headlines(); })
        for (auto const& figure : metric.headlines()) names.push_back(fmt::format("{}.{}", M::name, figure));
      else
        for (auto const& name : summary.names())
          if (name.starts_with(fmt::format("{}.", M::name))) names.push_back(name);
    };
    std::apply([&](auto const&... m) { (add(m), ...); }, metrics_);
    return summary.only(names);
  }
  nlohmann::ordered_json report(Summary const& summary, std::vector<std::int64_t> const& ids) {
    nlohmann::ordered_json json = summary.json();
    json["events"] = ids.size();
    json["version"] = std::string(version);
    json["seed"] = options_struct().seed;
    return json;
  }
  std::string run_identity(Trained<P> const& trained, std::string text = "") {
    for (auto const& [name, value] : trained.metadata()) text += name + value;
    for (auto const& [name, t] : trained.tensors()) {
      auto const bytes = t.detach().to(at::kCPU).contiguous();
      text += name + hash_name({static_cast<char const*>(bytes.data_ptr()), bytes.nbytes()});
    }
    OptionSet source;
    add_options(source, std::string(Source::name), source_);
    auto const folders = events_paths();
    for (auto const& e : source.entries())
      if (std::find(folders.begin(), folders.end(), e.path) == folders.end()) text += e.path + "=" + e.get();
    return nlohmann::ordered_json{{"program", name_}, {"version", std::string(version)}, {"model_and_options", hash_name(text)}}.dump() +
           "\n";
  }

  static void option_flag(CLI::App* c, Flags& flags, OptionEntry const& e) {
    c->add_option_function<std::vector<std::string>>(
         "--" + e.path, [&flags, path = e.path](std::vector<std::string> const& words) { flags.set.emplace_back(path, words); },
         fmt::format("{}{}; {}, default {}", e.unit.empty() ? "" : fmt::format("[{}] ", e.unit), e.help, e.type, e.default_text))
        ->type_name("")
        ->expected(1, e.type == "text,..." ? 1000 : 1)
        ->group(e.path.find('.') == std::string::npos ? "Options" : e.path.substr(0, e.path.find('.')));
  }
  /// Whether an option says how a trained run is used: what is fitted, scanned, saved and logged is said to a training.
  static bool acts_on_a_run(std::string const& path) {
    auto const is_of = [&](char const* part) { return path.find(part) != std::string::npos; };
    return (is_of(".") || path == Source::name) && !is_of(".fit.") && !is_of(".loss.") && !is_of(".scan.") &&
           !path.starts_with("checkpoint.") && !path.starts_with("log.");
  }
  static void refuse_extras(CLI::App const& c, std::initializer_list<CLI::App*> const& commands) {
    for (auto const& word : c.remaining()) {
      check(word.starts_with("--"), ErrorKind::usage, "{}: '{}' was not expected", c.get_name(), word);
      auto const bare = word.substr(0, word.find('='));
      std::vector<std::string> names, others;
      for (auto const* o : c.get_options()) names.push_back(o->get_name());
      for (auto const* other : commands)
        if (other->get_option_no_throw(bare) != nullptr) others.push_back(other->get_name());
      check(
          others.empty(), ErrorKind::usage, "{} {}: would have no effect, it is an option of {}{}", c.get_name(), bare,
          fmt::join(others, ", "),
          others == std::vector<std::string>{"train"} ? "; a run keeps what it was trained with: leave it out, or train another run" : "");
      fail(ErrorKind::usage, "{} {}: there is no such option; the nearest is {}", c.get_name(), bare, nearest_name(bare, names));
    }
  }

  static constexpr int stopped = -1;  // no exit status: before its end, as the allocation knows
  std::string name_, about_;
  P pipeline_;
  Source source_;
  Plan plan_;
  Metrics metrics_;
  Callbacks more_;
  static constexpr char const* from_another_run = ", from the weights of another run";
  AppOptions app_options_;
  CheckpointOptions checkpoint_options_;
  ProcessOptions process_options_;
  Launch launch_;
  std::shared_ptr<Processes> processes_ = std::make_shared<OneProcess>();
  BatchOptions batch_options_;
  Surroundings around_;
  bool check_only_ = false;              // for submit
  std::optional<std::string> accepted_;  // the --out of a command line that has been checked and found good
  Logs logs_;
  OptionSet options_;
  std::vector<std::string> command_;  // as it was typed
  std::optional<RunRecord> record_;   // of the training that runs
};

template <class P> App(std::string, P) -> App<P>;
template <class P> App(char const*, P) -> App<P>;

}  // namespace dew
