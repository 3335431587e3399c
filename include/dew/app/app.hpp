// SPDX-License-Identifier: BSL-1.0
// A whole program from a pipeline, a source and a plan: train, evaluate, run, export, options, simulate, submit, runs.
#pragma once
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "dew/app/any_source.hpp"
#include "dew/app/command_line.hpp"
#include "dew/app/program.hpp"
#include "dew/event/trackml.hpp"

namespace dew {

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
  App(std::string name, P pipeline) : App(Parts{std::move(name), "", std::move(pipeline), Source{}, {}, {}, {}}) {}

  /// One sentence for --help.
  App about(std::string text) && {
    parts_.about = std::move(text);
    return std::move(*this);
  }
  /// Where events come from; of several sources the option `source` chooses one (see `AnySource`).
  template <EventSource S, EventSource... Others> auto events(S source, Others... others) && {
    if constexpr (sizeof...(Others) > 0) return std::move(*this).events(AnySource(std::move(source), std::move(others)...));
    else return std::move(*this).with_parts(std::move(source), std::move(parts_.plan), std::move(parts_.metrics));
  }
  /// The parts of the training, in order.
  template <class... Part> auto train(Part... parts) && {
    return std::move(*this).with_parts(std::move(parts_.source), std::tuple<Part...>(std::move(parts)...), std::move(parts_.metrics));
  }
  /// What scores a trained pipeline, while training and after.
  template <Metric... M> auto evaluate(M... metrics) && {
    return std::move(*this).with_parts(std::move(parts_.source), std::move(parts_.plan), std::tuple<M...>(std::move(metrics)...));
  }
  /// A callback of one's own, beside progress and logs.
  template <class C> App with(C callback) && {
    parts_.callbacks.add(std::move(callback));
    return std::move(*this);
  }

  /// Reads the command line and does what it says. Returns the exit status: 0, 1 for bad input, 2 for bad usage, and those of `Allocation::leave`
  /// when it was stopped: 130, 143, 75.
  int run(int argc, char const* const* argv) && {
    Program<P, Source, Plan, Metrics> program(std::move(parts_));
    try {
      return CommandLine<Program<P, Source, Plan, Metrics>>(program).run(argc, argv);
    } catch (Error const& e) { return ended_by(program, e.what(), e.exit_status()); } catch (c10::Error const& e) {
      return ended_by(program, e.what_without_backtrace(), 1);
    } catch (std::exception const& e) { return ended_by(program, e.what(), 1); }
  }

 private:
  using Parts = AppParts<P, Source, Plan, Metrics>;
  template <class, class, class, class> friend class App;
  explicit App(Parts parts) : parts_(std::move(parts)) {}

  /// This program with other parts than those of its pipeline.
  template <class S, class Pl, class M> auto with_parts(S source, Pl plan, M metrics) && {
    return App<P, S, Pl, M>(AppParts<P, S, Pl, M>{std::move(parts_.name), std::move(parts_.about), std::move(parts_.pipeline),
                                                  std::move(source), std::move(plan), std::move(metrics), std::move(parts_.callbacks)});
  }
  /// Says what went wrong. Where several processes were started, an error that all of them have is said by rank 0 alone, and one that only some have
  /// ends all.
  static int ended_by(Program<P, Source, Plan, Metrics> const& program, std::string const& what, int status) {
    auto const rank = program.launch.rank;
    if (rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));  // rank 0 ends this process meanwhile
    fmt::print(stderr, "{}{}\n", rank > 0 ? detail::process_text(rank) + ": " : "", what);
    if (!program.processes->alone()) program.processes->end_all(status);
    return status;
  }

  Parts parts_;
};

template <class P> App(std::string, P) -> App<P>;
template <class P> App(char const*, P) -> App<P>;

}  // namespace dew
