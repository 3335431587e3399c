// SPDX-License-Identifier: BSL-1.0
// What a policy is told about the call it is in: training or not, where, and its own random numbers.
#pragma once
#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>

#include <cstdint>
#include <mutex>
#include <string_view>

#include "dew/core/torch.hpp"

namespace dew {

/// Mixes numbers into one seed (SplitMix64): equal input, equal output, on every machine.
constexpr std::uint64_t mix_seed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9e3779b97f4a7c15ULL * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}
constexpr std::uint64_t mix_seed(std::uint64_t a, std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix_seed(a, hash);
}

/// Passed to every policy whose call takes it.
struct Context {
  bool training = false;         ///< false: weights are fixed, nothing random happens
  at::Device device = at::kCPU;  ///< where the tensors are
  std::int64_t epoch = 0;        ///< counted from 0
  std::int64_t event = 0;        ///< the event's number
  std::uint64_t seed = 0;        ///< the run's seed mixed with the stage's name
  /// For draws that several losses of a sum must share: the sum's seed, the same for all its terms, where `seed` has the term's name mixed
  /// in. Set by `evaluate`.
  std::uint64_t shared_seed = 0;

  /// A generator on `device`, seeded by (seed, stage, epoch, event, stream): the same call gives the same numbers.
  at::Generator generator(std::uint64_t stream = 0) const {
    auto made = at::globalContext().defaultGenerator(device).clone();
    made.set_current_seed(mix_seed(mix_seed(mix_seed(seed, std::uint64_t(epoch)), std::uint64_t(event)), stream));
    return made;
  }
};

/// Seeds LibTorch's global generator of a device for a scope (its initialisers and dropout know no other) and restores it after.
class GlobalSeed {
 public:
  explicit GlobalSeed(std::uint64_t seed, at::Device device = at::kCPU) : generator_(at::globalContext().defaultGenerator(device)) {
    std::scoped_lock lock(generator_.mutex());
    before_ = generator_.get_state();
    generator_.set_current_seed(seed);
  }
  ~GlobalSeed() {
    std::scoped_lock lock(generator_.mutex());
    generator_.set_state(before_);
  }
  GlobalSeed(GlobalSeed const&) = delete;
  GlobalSeed& operator=(GlobalSeed const&) = delete;

 private:
  at::Generator generator_;
  Tensor before_;
};

}  // namespace dew
