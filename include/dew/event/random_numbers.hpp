// SPDX-License-Identifier: BSL-1.0
// Random numbers whose sequence is fixed by a seed on every machine; the standard's distributions differ from library to library.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>

namespace dew {

/// A sequence of random numbers (SplitMix64). Equal seeds, equal sequences. Not for secrets.
class RandomNumbers {
 public:
  explicit RandomNumbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// In (0, 1), both ends excluded.
  double uniform() { return (double(bits() >> 12) + 0.5) * 0x1p-52; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  bool happens(double probability) { return uniform() < probability; }
  /// One of 0 … n − 1, n ≥ 1.
  std::int64_t below(std::int64_t n) { return std::int64_t(double(n) * uniform()); }
  /// Gaussian with mean 0 and width 1 (Box and Muller).
  double normal() {
    if (std::exchange(has_spare_, false)) return spare_;
    double const r = std::sqrt(-2 * std::log(uniform())), angle = 2 * std::numbers::pi * uniform();
    spare_ = r * std::sin(angle), has_spare_ = true;
    return r * std::cos(angle);
  }
  double exponential(double mean) { return -mean * std::log(uniform()); }
  /// Poisson: exact below a mean of 500 by counting exponential steps, above it a rounded Gaussian.
  std::int64_t poisson(double mean) {
    if (!(mean > 0)) return 0;
    if (mean > 500) return std::max<std::int64_t>(0, std::llround(mean + std::sqrt(mean) * normal()));
    std::int64_t count = -1;
    for (double sum = 0; sum <= mean; ++count) sum += exponential(1);
    return count;
  }

 private:
  std::uint64_t state_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace dew
