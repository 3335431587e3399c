// SPDX-License-Identifier: BSL-1.0
// Signals that ask a program to stop: remembered by a flag that the program looks at where it can be stopped.
#pragma once
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

namespace dew {

/// Why a program stops before its end.
enum class StopReason {
  none,       ///< it does not
  interrupt,  ///< Ctrl-C (SIGINT)
  terminate,  ///< SIGTERM: it is not wanted any more
  requeue,    ///< the batch system's signal: time is nearly up, to be gone on with in another allocation
  time,       ///< no signal, but time is nearly up (`TimeGuard`)
};

/// The signal that means "save, and go on in another allocation".
enum class RequeueSignal { usr1, usr2, term, none };
constexpr auto names_of(RequeueSignal) { return std::array{"usr1", "usr2", "term", "none"}; }

/// Its number; 0 for none.
constexpr int number_of(RequeueSignal signal) {
  switch (signal) {
    case RequeueSignal::usr1: return SIGUSR1;
    case RequeueSignal::usr2: return SIGUSR2;
    case RequeueSignal::term: return SIGTERM;
    case RequeueSignal::none: break;
  }
  return 0;
}

namespace detail {
inline std::atomic<int> stop_signal{0};  // the first that came
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

inline void remember_signal(int number) {
  int none = 0;
  if (!stop_signal.compare_exchange_strong(none, number) && number == SIGINT) std::_Exit(130);
}
}  // namespace detail

/// Turns SIGINT, SIGTERM and the signal to requeue into a flag for a scope, and puts the handlers before it back at its end. The first signal counts;
/// a Ctrl-C after it ends the program at once. System calls that a signal meets go on (SA_RESTART). For one object at a time.
class Interruption {
 public:
  explicit Interruption(RequeueSignal requeue = RequeueSignal::usr1) : requeue_(number_of(requeue)) {
    detail::stop_signal = 0;
    struct ::sigaction action{};
    action.sa_handler = detail::remember_signal;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    for (int const number : {SIGINT, SIGTERM, requeue_}) {
      if (number == 0 || (number == SIGTERM && before_.size() > 1)) continue;  // requeue_ may be SIGTERM too
      struct ::sigaction before{};
      if (::sigaction(number, &action, &before) == 0) before_.emplace_back(number, before);
    }
  }
  ~Interruption() {
    for (auto const& [number, before] : before_) ::sigaction(number, &before, nullptr);
  }
  Interruption(Interruption const&) = delete;
  Interruption& operator=(Interruption const&) = delete;

  /// What the first signal asked for.
  StopReason reason() const {
    int const number = detail::stop_signal;
    if (number == 0) return StopReason::none;
    if (number == requeue_) return StopReason::requeue;
    return number == SIGINT ? StopReason::interrupt : StopReason::terminate;
  }
  /// SIGTERM is ignored from now on, also behind the scope: the program is about to end by itself.
  void ignore_termination() {
    struct ::sigaction action{};
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGTERM, &action, nullptr);
    std::erase_if(before_, [](auto const& one) { return one.first == SIGTERM; });
  }

 private:
  int requeue_;
  std::vector<std::pair<int, struct ::sigaction>> before_;
};

}  // namespace dew
