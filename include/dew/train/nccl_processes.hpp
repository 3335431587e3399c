// SPDX-License-Identifier: BSL-1.0
// A group of processes on GPUs, through NCCL as LibTorch has it (c10d). For programs that link dew::nccl (the component DEW_NCCL); empty for others.
#pragma once
#ifdef DEW_NCCL
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dew/train/launch.hpp"
#include "dew/train/processes.hpp"

namespace dew {

/// One process for each GPU, for tensors on it; tensors on the CPU travel through it too, for they are small. Rank 0 keeps a store at MASTER_ADDR and
/// MASTER_PORT, as torchrun says them, where the processes find each other. NCCL adds in an order of its own, the same for the same processes on the same
/// machines.
///
/// A sum's `wait` returns when it has ended on the GPU. Where one has not ended after `timeout_s`, the processes call the roll in the store; where the
/// store itself is gone, it is rank 0 that is lost. With a `launch` of one process the group has one member, and exchanges with itself.
class NcclProcesses final : public Processes {
 public:
  NcclProcesses(ProcessOptions options, Launch const& launch, at::Device device)
      : Processes(options), device_(device), rank_(launch.rank), size_(launch.size) {
    check(device_.is_cuda(), ErrorKind::usage, "NCCL's processes need a GPU each, not {}", device_.str());
    c10::cuda::set_device(device_.index());
    c10d::TCPStoreOptions where;
    where.port = size_ > 1 ? port() : 0;
    where.isServer = rank_ == 0;
    where.numWorkers = std::size_t(size_);
    where.timeout = milliseconds(1);
    store_ = c10::make_intrusive<c10d::TCPStore>(size_ > 1 ? address() : "127.0.0.1", where);
    auto settings = c10d::ProcessGroupNCCL::Options::create();
    settings->timeout = milliseconds(3);  // its own watchdog knows no names: ours comes first
    group_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(store_, rank_, size_, std::move(settings));
    names_ = gather(detail::process_text(rank_));
  }
  ~NcclProcesses() override {
    if (std::uncaught_exceptions() > exceptions_) end_all(1);  // this process leaves, and the others would wait for it
    meet();
    group_->shutdown();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::unique_ptr<Sum> start_sum(Tensor const& t) override {
    check(t.is_contiguous(), "NCCL sums contiguous tensors");
    auto running = std::make_unique<RunningSum>(*this, t, t.to(device_));
    std::vector<Tensor> tensors{running->on_device};
    running->work = group_->allreduce(tensors);
    return running;
  }
  void broadcast(Tensor const& t) override {
    at::NoGradGuard no_grad;
    std::vector<Tensor> tensors{t.detach().to(device_).contiguous()};
    wait(group_->broadcast(tensors), "a broadcast");
    if (!tensors.front().is_alias_of(t)) t.detach().copy_(tensors.front());
  }
  std::vector<std::string> gather(std::string const& mine) override {
    auto const options = at::TensorOptions(device_);
    auto sizes = at::empty({size_}, options.dtype(at::kLong)), size = at::full({1}, std::ssize(mine), options.dtype(at::kLong));
    wait(group_->_allgather_base(sizes, size), "a gathering");
    sizes = sizes.cpu();
    auto const* bytes = sizes.const_data_ptr<std::int64_t>();
    auto const longest = *std::max_element(bytes, bytes + size_);
    std::vector<std::string> out(static_cast<std::size_t>(size_));
    if (longest == 0) return out;
    auto padded = at::zeros({longest}, at::kByte);
    std::memcpy(padded.mutable_data_ptr<std::uint8_t>(), mine.data(), mine.size());
    padded = padded.to(device_);
    auto all = at::empty({size_ * longest}, options.dtype(at::kByte));
    wait(group_->_allgather_base(all, padded), "a gathering");
    all = all.cpu();
    auto const* text = reinterpret_cast<char const*>(all.const_data_ptr<std::uint8_t>());
    for (int r = 0; r < size_; ++r) out[std::size_t(r)].assign(text + std::ptrdiff_t(r) * longest, std::size_t(bytes[r]));
    return out;
  }
  [[noreturn]] void end_all(int status) override {
    std::fflush(nullptr);
    try {
      store_->set("roll", std::string("called"));  // who waits for this process looks there
    } catch (std::exception const&) {}             // the store is gone, and with it rank 0
    std::_Exit(status);
  }

 private:
  struct RunningSum final : Sum {
    RunningSum(NcclProcesses& g, Tensor t, Tensor d) : group(g), tensor(std::move(t)), on_device(std::move(d)) {}
    void wait() override {
      group.wait(work, "a sum");
      if (!on_device.is_alias_of(tensor)) tensor.copy_(on_device);
    }
    NcclProcesses& group;
    Tensor tensor, on_device;
    c10::intrusive_ptr<c10d::Work> work;
  };

  std::chrono::milliseconds milliseconds(double times) const {
    return std::chrono::milliseconds(std::int64_t(times * 1000 * options().timeout_s));
  }
  static std::string address() {
    auto const* const text = std::getenv("MASTER_ADDR");
    check(text != nullptr, ErrorKind::input, "MASTER_ADDR: is not set; NCCL's processes find each other there (torchrun sets it)");
    return text;
  }
  static std::uint16_t port() {
    auto const* const text = std::getenv("MASTER_PORT");
    std::string_view const word = text == nullptr ? "" : text;
    std::uint16_t value = 0;
    auto const [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    check(error == std::errc() && end == word.data() + word.size(), ErrorKind::input, "MASTER_PORT: expected a port's number, got '{}'",
          word);
    return value;
  }

  void wait(c10::intrusive_ptr<c10d::Work> const& work, char const* what) {
    detail::Wait wait;
    double looked = 0;
    while (!work->isCompleted()) {
      wait.pause();
      if (wait.seconds() - looked > 1) {
        looked = wait.seconds();
        if (in_store("roll")) call_the_roll(what);
      }
      if (wait.seconds() > options().timeout_s) call_the_roll(what);
    }
    if (work->exception()) call_the_roll(what);
    work->synchronize();  // what follows on this stream comes after it
    add_waited(wait.seconds());
  }
  bool in_store(std::string const& key) {
    try {
      return store_->check({key});
    } catch (std::exception const&) { rank_0_is_lost("its store"); }
  }
  [[noreturn]] void rank_0_is_lost(char const* what) {
    fmt::print(stderr, "{}\n", detail::lost_text({names_.empty() ? "rank 0" : names_.front()}, what, options().timeout_s));
    std::_Exit(1);
  }
  [[noreturn]] void call_the_roll(char const* what) {
    std::vector<std::string> silent;
    int speaker = -1;
    try {
      store_->set("roll", std::string("called"));
      store_->set(fmt::format("roll/{}", rank_), std::string("here"));
    } catch (std::exception const&) { rank_0_is_lost(what); }
    std::this_thread::sleep_for(std::chrono::seconds(5));
    for (int r = 0; r < size_; ++r) {
      if (!in_store(fmt::format("roll/{}", r)))
        silent.push_back(std::size_t(r) < names_.size() ? names_[std::size_t(r)] : fmt::format("rank {}", r));
      else if (speaker < 0) speaker = r;
    }
    if (speaker == rank_) fmt::print(stderr, "{}\n", detail::lost_text(silent, what, options().timeout_s));
    std::fflush(nullptr);
    std::_Exit(1);
  }

  at::Device device_;
  int rank_, size_, exceptions_ = std::uncaught_exceptions();
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
  std::vector<std::string> names_;
};

}  // namespace dew
#endif
