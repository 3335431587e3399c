// SPDX-License-Identifier: BSL-1.0
#include "dew/train/interruption.hpp"

#include <sys/wait.h>
#include <unistd.h>

using namespace dew;

namespace {
int others = 0;  // calls of the handler that was there before
void other(int) { ++others; }

/// The exit status of a child that does this.
template <class F> int status_of(F&& f) {
  auto const child = ::fork();
  if (child == 0) {
    f();
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
}  // namespace

TEST_CASE("each signal has its meaning, and the first counts") {
  auto const after = [](RequeueSignal requeue, std::vector<int> const& signals) {
    Interruption const interruption(requeue);
    CHECK(interruption.reason() == StopReason::none);
    for (int const number : signals) std::raise(number);
    return interruption.reason();
  };
  CHECK(after(RequeueSignal::usr1, {SIGINT}) == StopReason::interrupt);
  CHECK(after(RequeueSignal::usr1, {SIGTERM}) == StopReason::terminate);
  CHECK(after(RequeueSignal::usr1, {SIGUSR1}) == StopReason::requeue);
  CHECK(after(RequeueSignal::usr2, {SIGUSR2}) == StopReason::requeue);
  CHECK(after(RequeueSignal::term, {SIGTERM}) == StopReason::requeue);
  CHECK(after(RequeueSignal::none, {SIGTERM}) == StopReason::terminate);
  CHECK(after(RequeueSignal::usr1, {SIGUSR1, SIGTERM, SIGTERM}) == StopReason::requeue);
  CHECK(after(RequeueSignal::usr1, {SIGTERM, SIGUSR1}) == StopReason::terminate);
  CHECK(after(RequeueSignal::usr1, {}) == StopReason::none);  // forgotten at the end of each scope
}

TEST_CASE("handlers that were there before are put back") {
  struct ::sigaction ours{}, before[3]{};
  ours.sa_handler = other;
  int const numbers[] = {SIGINT, SIGTERM, SIGUSR1};
  for (int i = 0; i < 3; ++i) ::sigaction(numbers[i], &ours, &before[i]);
  others = 0;
  {
    Interruption const interruption;
    for (int const number : {SIGTERM, SIGUSR1}) std::raise(number);
    CHECK(others == 0);
  }
  for (int const number : numbers) std::raise(number);
  CHECK(others == 3);
  {
    Interruption const interruption(RequeueSignal::none);  // touches SIGUSR1 not at all
    std::raise(SIGUSR1);
    CHECK(others == 4);
    CHECK(interruption.reason() == StopReason::none);
  }
  {
    Interruption const interruption(RequeueSignal::term);  // one handler for both meanings
  }
  std::raise(SIGTERM);
  CHECK(others == 5);
  for (int i = 0; i < 3; ++i) ::sigaction(numbers[i], &before[i], nullptr);
}

TEST_CASE("a second Ctrl-C ends the program at once, a second SIGTERM does not") {
  CHECK(status_of([] {
          Interruption const interruption;
          std::raise(SIGINT);
          std::raise(SIGINT);
        }) == 130);
  CHECK(status_of([] {
          Interruption const interruption;
          std::raise(SIGTERM);
          std::raise(SIGINT);
        }) == 130);
  CHECK(status_of([] {
          Interruption const interruption;
          for (int const number : {SIGTERM, SIGTERM, SIGUSR1, SIGUSR1}) std::raise(number);
        }) == 0);
}

TEST_CASE("SIGTERM can be ignored to the end of the program, and the other handlers are put back all the same") {
  auto const after_scope = [](int number) {
    return status_of([=] {
      {
        Interruption interruption;
        interruption.ignore_termination();
      }
      std::raise(number);
    });
  };
  CHECK(after_scope(SIGTERM) == 0);
  CHECK(after_scope(SIGUSR1) == 128 + SIGUSR1);
}
