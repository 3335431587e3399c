// SPDX-License-Identifier: BSL-1.0
// Gradients summed over processes in buckets, while the backward pass goes on.
#pragma once
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dew/train/optimiser.hpp"
#include "dew/train/processes.hpp"

namespace dew {

/// Which parameters go together: places in the list, from its end (a backward pass comes to the last layers first), buckets in the order in which
/// they are sent. A bucket holds one kind of number and at most `bytes`, or one parameter that is larger.
inline std::vector<std::vector<std::size_t>> plan_buckets(NamedParameters const& parameters, double bytes) {
  std::vector<std::vector<std::size_t>> out;
  double filled = 0;
  for (std::size_t i = parameters.size(); i-- > 0;) {
    auto const& t = parameters[i].second;
    auto const more = double(t.numel()) * double(t.element_size());
    bool const fits = !out.empty() && filled + more <= bytes && parameters[out.back().front()].second.scalar_type() == t.scalar_type();
    if (!fits) out.emplace_back(), filled = 0;
    out.back().push_back(i);
    filled += more;
  }
  return out;
}

/// Sums the gradients of a fit's parameters over processes. A bucket is sent as soon as the backward pass has made all its gradients, and all buckets
/// before it have been sent: the order is the same on every process, whatever order their gradients come in.
///
///     optimiser.zero_grad();
///     … backward of all events of this process but the last …
///     sums.last_backward_follows();
///     … backward of the last …                // buckets start to travel; a process without an event leaves all this out
///     sums.start_all();
///     sums.finish();                          // gradients are the sums
///
/// With each bucket travels which of its gradients there are: one that no process has stays undefined (optimisers pass over it), one that any has is
/// defined everywhere. Memory: once the parameters'. Does nothing for one process alone.
class GradientSums {
 public:
  GradientSums(Processes& processes, NamedParameters parameters) : processes_(processes), parameters_(std::move(parameters)) {
    if (processes_.alone()) return;
    place_.resize(parameters_.size());
    for (auto const& members : plan_buckets(parameters_, processes_.options().bucket_mb * 1e6)) {
      std::int64_t numbers = std::ssize(members);  // whether there is a gradient, for each of them
      for (auto const i : members) {
        auto const& [name, t] = parameters_[i];
        check(t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble, ErrorKind::usage,
              "{}: several processes train parameters of float32 or float64, not of {}", name, c10::toString(t.scalar_type()));
        numbers += t.numel();
        place_[i] = buckets_.size();
      }
      buckets_.push_back({members, at::zeros({numbers}, parameters_[members.front()].second.options().requires_grad(false)), 0, nullptr});
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i].second, std::make_unique<Hook>([this, i] { has_come(i); }));
  }
  ~GradientSums() {
    if (processes_.alone()) return;
    for (auto const& [name, t] : parameters_) torch::autograd::impl::set_post_acc_grad_hooks(t, nullptr);
  }
  GradientSums(GradientSums const&) = delete;
  GradientSums& operator=(GradientSums const&) = delete;

  /// The next backward pass is this process's last of the step.
  void last_backward_follows() { listening_ = !processes_.alone(); }
  /// Sends what has not been sent yet.
  void start_all() {
    listening_ = false;
    while (sent_ < buckets_.size()) send();
  }
  /// Waits for all buckets and puts the sums into the gradients.
  void finish() {
    start_all();
    at::NoGradGuard no_grad;
    for (auto& bucket : buckets_) {
      bucket.running->wait();
      bucket.running.reset();
      bucket.come = 0;
      std::int64_t at = std::ssize(bucket.members);
      auto const flags = bucket.numbers.narrow(0, 0, at).to(at::kCPU, at::kDouble);
      for (std::size_t k = 0; k < bucket.members.size(); ++k) {
        auto const& t = parameters_[bucket.members[k]].second;
        auto const sum = bucket.numbers.narrow(0, at, t.numel()).view(t.sizes());
        at += t.numel();
        if (flags.const_data_ptr<double>()[k] == 0) continue;
        if (t.grad().defined()) t.grad().copy_(sum);
        else t.mutable_grad() = sum.clone();
      }
    }
    sent_ = 0;
  }

 private:
  struct Hook final : torch::autograd::PostAccumulateGradHook {
    explicit Hook(std::function<void()> f) : call(std::move(f)) {}
    void operator()(Tensor const&) override { call(); }
    std::function<void()> call;
  };
  struct Bucket {
    std::vector<std::size_t> members;
    Tensor numbers;  // a flag for each member, then their gradients
    std::size_t come;
    std::unique_ptr<Processes::Sum> running;
  };

  void has_come(std::size_t parameter) {
    if (!listening_) return;
    auto const place = place_[parameter];
    check(place >= sent_ && ++buckets_[place].come <= buckets_[place].members.size(),
          "{}: has had its gradient twice in one backward pass, which several processes cannot share", parameters_[parameter].first);
    processes_.progress();
    while (sent_ < buckets_.size() && buckets_[sent_].come == buckets_[sent_].members.size()) send();
  }
  void send() {
    at::NoGradGuard no_grad;
    auto& bucket = buckets_[sent_++];
    std::int64_t at = std::ssize(bucket.members);
    for (std::size_t k = 0; k < bucket.members.size(); ++k) {
      auto const& t = parameters_[bucket.members[k]].second;
      auto const gradient = bucket.numbers.narrow(0, at, t.numel());
      at += t.numel();
      bool const there = t.grad().defined();
      bucket.numbers[std::int64_t(k)].fill_(there ? 1.0 : 0.0);
      if (there) gradient.copy_(t.grad().reshape({-1}));
      else gradient.zero_();
    }
    bucket.running = processes_.start_sum(bucket.numbers);
  }

  Processes& processes_;
  NamedParameters parameters_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> place_;  // the bucket of each parameter
  std::size_t sent_ = 0;
  bool listening_ = false;
};

}  // namespace dew
