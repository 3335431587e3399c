// SPDX-License-Identifier: BSL-1.0
// A group of processes whose other members are played by the test.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dew/train/processes.hpp"

namespace dew::test {

/// `others` changes a tensor as adding the other processes' does; `answers` gives what all processes gather, from what this one gives.
class FakeProcesses : public Processes {
 public:
  FakeProcesses(int rank, int size, ProcessOptions options = {}) : Processes(options), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::unique_ptr<Sum> start_sum(Tensor const& t) override {
    ++started;
    return std::make_unique<Later>(*this, t);
  }
  void broadcast(Tensor const&) override {}
  std::vector<std::string> gather(std::string const& mine) override { return answers(mine); }
  [[noreturn]] void end_all(int) override { throw 1; }

  std::function<void(Tensor const&)> others = [](Tensor const&) {};
  std::function<std::vector<std::string>(std::string const&)> answers = [this](std::string const& mine) {
    return std::vector<std::string>(std::size_t(size_), mine);
  };
  int started = 0, waited = 0;

 private:
  struct Later : Sum {
    Later(FakeProcesses& g, Tensor t) : group(g), tensor(std::move(t)) {}
    void wait() override {
      ++group.waited;
      group.others(tensor);
    }
    FakeProcesses& group;
    Tensor tensor;
  };
  int rank_, size_;
};

}  // namespace dew::test
