// SPDX-License-Identifier: BSL-1.0
// A group of processes on processors, through MPI. For programs that link dew::mpi (the component DEW_MPI); empty for all others.
#pragma once
#ifdef DEW_MPI
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dew/train/launch.hpp"
#include "dew/train/processes.hpp"

namespace dew {

/// All processes of MPI_COMM_WORLD, for tensors on the CPU. MPI is called by one thread at a time (MPI_THREAD_SERIALIZED, or FUNNELED where there is
/// no more), never blocking: while this process waits it asks again and again, and where others stay away for too long it calls the roll: each
/// process that waits answers, and those that do not are named. The lowest that is there says so and ends all by MPI_Abort. An error of MPI ends
/// all in the same way.
///
/// Sums are MPI_Iallreduce: one order of additions for a size and a number of processes, so that equal runs give equal bits.
class MpiProcesses final : public Processes {
 public:
  /// Starts MPI, unless somebody has. `launch` is what the environment says; throws `Error` (usage) where MPI knows of another number of processes:
  /// then it was built for another starter.
  explicit MpiProcesses(ProcessOptions options = {}, Launch const& launch = launch_of_this_process()) : Processes(options) {
    int started = 0, threads = 0;
    MPI_Initialized(&started);
    if (started == 0) {
      check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads) == MPI_SUCCESS, ErrorKind::input, "MPI does not start");
      ours_ = true;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    if (launch.several() && launch.size != size_) {
      if (ours_) MPI_Finalize();
      fail(ErrorKind::usage,
           "this is {}, and MPI knows of {}: start it with the mpirun of the MPI that it was built with, or with an srun that speaks PMIx "
           "(srun --mpi=pmix)",
           launch.text(), size_ == 1 ? "this process alone" : fmt::format("{} processes", size_));
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &sums_);
    MPI_Comm_dup(MPI_COMM_WORLD, &roll_);
    MPI_Comm_set_errhandler(sums_, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(roll_, MPI_ERRORS_RETURN);
    heard_.resize(std::size_t(size_), MPI_REQUEST_NULL);
    for (int r = 0; r < size_; ++r)
      if (r != rank_) MPI_Irecv(nullptr, 0, MPI_CHAR, r, 0, roll_, &heard_[std::size_t(r)]);
    names_ = gather(detail::process_text(rank_));
  }
  ~MpiProcesses() override {
    if (std::uncaught_exceptions() > exceptions_) end_all(1);  // this process leaves, and the others would wait for it
    std::fflush(nullptr);                                      // some starters kill the others as soon as one has ended with an exit status
    meet();
    for (auto& request : heard_) {
      if (request == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&request);
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
    MPI_Comm_free(&sums_);
    MPI_Comm_free(&roll_);
    if (ours_) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::unique_ptr<Sum> start_sum(Tensor const& t) override {
    check(t.device().is_cpu() && t.is_contiguous() && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble),
          "MPI sums contiguous floats or doubles on the CPU, not {} {} on {}", c10::toString(t.scalar_type()), shape_text(t),
          t.device().str());
    auto running = std::make_unique<RunningSum>(*this, t);
    checked(MPI_Iallreduce(MPI_IN_PLACE, t.data_ptr(), count(t.numel()), t.scalar_type() == at::kFloat ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM,
                           sums_, &running->request),
            "a sum");
    on_the_way_.push_back(running.get());
    return running;
  }
  void progress() override {
    for (auto* sum : on_the_way_) {
      int done = 0;
      if (sum->request != MPI_REQUEST_NULL) checked(MPI_Test(&sum->request, &done, MPI_STATUS_IGNORE), "a sum");
    }
  }
  void broadcast(Tensor const& t) override {
    at::NoGradGuard no_grad;
    auto const whole = t.detach().contiguous();
    auto* bytes = static_cast<char*>(whole.data_ptr());
    for (std::size_t rest = whole.nbytes(); rest > 0;) {
      auto const part = std::min<std::size_t>(rest, std::size_t(1) << 30);
      MPI_Request request = MPI_REQUEST_NULL;
      checked(MPI_Ibcast(bytes, count(std::int64_t(part)), MPI_BYTE, 0, sums_, &request), "a broadcast");
      wait(request, "a broadcast");
      bytes += part, rest -= part;
    }
    if (!whole.is_alias_of(t)) t.detach().copy_(whole);
  }
  std::vector<std::string> gather(std::string const& mine) override {
    std::vector<int> sizes(static_cast<std::size_t>(size_)), places(sizes.size());
    int const size = count(std::ssize(mine));
    MPI_Request request = MPI_REQUEST_NULL;
    checked(MPI_Iallgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, sums_, &request), "a gathering");
    wait(request, "a gathering");
    std::exclusive_scan(sizes.begin(), sizes.end(), places.begin(), 0);
    std::string all(std::size_t(count(std::accumulate(sizes.begin(), sizes.end(), std::int64_t(0)))), '\0');
    checked(MPI_Iallgatherv(mine.data(), size, MPI_CHAR, all.data(), sizes.data(), places.data(), MPI_CHAR, sums_, &request),
            "a gathering");
    wait(request, "a gathering");
    std::vector<std::string> out;
    for (std::size_t r = 0; r < sizes.size(); ++r) out.push_back(all.substr(std::size_t(places[r]), std::size_t(sizes[r])));
    return out;
  }
  [[noreturn]] void end_all(int status) override {
    std::fflush(nullptr);
    ::alarm(20);  // should MPI hang in ending, this ends us
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

 private:
  struct RunningSum final : Sum {
    RunningSum(MpiProcesses& g, Tensor const& t) : group(g), tensor(t) {}
    ~RunningSum() override { std::erase(group.on_the_way_, this); }
    void wait() override {
      group.wait(request, "a sum");
      std::erase(group.on_the_way_, this);
    }
    MpiProcesses& group;
    Tensor tensor;  // kept until MPI has done with it
    MPI_Request request = MPI_REQUEST_NULL;
  };

  static int count(std::int64_t n) {
    check(n <= std::numeric_limits<int>::max(), "MPI takes at most 2^31 - 1 numbers at once, not {}", n);
    return int(n);
  }
  void wait(MPI_Request& request, char const* what) {
    detail::Wait wait;
    for (std::int64_t turn = 0;; ++turn) {
      int done = 0;
      checked(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
      if (done != 0) break;
      wait.pause();
      if (turn % 1024 == 1023) {
        int answers = 0, at = 0;
        MPI_Testany(size_, heard_.data(), &at, &answers, MPI_STATUS_IGNORE);
        if (answers != 0 && at != MPI_UNDEFINED) call_the_roll(what, at);  // somebody else does
      }
      if (wait.seconds() > options().timeout_s) call_the_roll(what);
    }
    add_waited(wait.seconds());
  }
  void checked(int code, char const* what) {
    if (code == MPI_SUCCESS || ending_) return;
    std::string text(MPI_MAX_ERROR_STRING, '\0');
    int size = 0;
    MPI_Error_string(code, text.data(), &size);
    text.resize(std::size_t(size));
    call_the_roll(fmt::format("{} (MPI says: {})", what, text));
  }
  /// Who waits says so to all others; who does not within five seconds is lost. `heard` has said so already.
  [[noreturn]] void call_the_roll(std::string const& what, int heard = -1) {
    ending_ = true;
    std::vector<bool> here(static_cast<std::size_t>(size_), false);
    here[std::size_t(rank_)] = true;
    if (heard >= 0) here[std::size_t(heard)] = true;
    std::vector<MPI_Request> said(here.size(), MPI_REQUEST_NULL);
    for (int r = 0; r < size_; ++r)
      if (r != rank_) MPI_Isend(nullptr, 0, MPI_CHAR, r, 0, roll_, &said[std::size_t(r)]);
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    auto const all_here = [&] { return std::find(here.begin(), here.end(), false) == here.end(); };
    while (!all_here() && std::chrono::steady_clock::now() < end) {
      for (std::size_t r = 0; r < here.size(); ++r) {
        int done = 0;
        if (!here[r] && heard_[r] != MPI_REQUEST_NULL && MPI_Test(&heard_[r], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0)
          here[r] = true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::vector<std::string> silent;
    for (std::size_t r = 0; r < here.size(); ++r)
      if (!here[r]) silent.push_back(r < names_.size() ? names_[r] : fmt::format("rank {}", r));
    bool const speaker = std::find(here.begin(), here.end(), true) - here.begin() == rank_;
    if (!speaker) std::this_thread::sleep_for(std::chrono::seconds(3));  // the speaker ends this process meanwhile
    fmt::print(stderr, "{}\n", detail::lost_text(silent, what, options().timeout_s));
    end_all(1);
  }

  int rank_ = 0, size_ = 1, exceptions_ = std::uncaught_exceptions();
  bool ours_ = false, ending_ = false;
  MPI_Comm sums_ = MPI_COMM_NULL, roll_ = MPI_COMM_NULL;
  std::vector<MPI_Request> heard_;  // of each other process: its call of the roll
  std::vector<std::string> names_;
  std::vector<RunningSum*> on_the_way_;
};

}  // namespace dew
#endif
