// SPDX-License-Identifier: BSL-1.0
// The figure that a scan looks at, for every candidate on every event so far.
#pragma once
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// Values by candidate and event, NaN where an event leaves the figure undefined. 8 bytes each; as a tensor they come back bit for bit.
class ScanValues {
 public:
  explicit ScanValues(std::size_t candidates) : values_(candidates) {}
  /// From what `tensor()` gave. Throws `Error` (input) when it was of another number of candidates.
  ScanValues(std::size_t candidates, Tensor const& saved) : values_(candidates) {
    check(saved.defined() && saved.dim() == 2 && saved.size(0) == std::int64_t(candidates) && saved.scalar_type() == at::kDouble,
          ErrorKind::input, "the checkpoint's scan is {}, expected {} candidates", shape_text(saved), candidates);
    auto const contiguous = saved.contiguous();
    auto const* value = contiguous.const_data_ptr<double>();
    for (auto& row : values_) row.assign(value, value + saved.size(1)), value += saved.size(1);
  }

  void add(std::size_t candidate, double value) { values_[candidate].push_back(value); }

  /// A candidate's mean over the events where the figure is defined; NaN if it is in none. Summed in the order of the events.
  double mean(std::size_t candidate) const {
    double sum = 0;
    std::size_t events = 0;
    for (auto const value : values_[candidate])
      if (!std::isnan(value)) sum += value, ++events;
    return events > 0 ? sum / double(events) : std::numeric_limits<double>::quiet_NaN();
  }

  /// [candidates, events].
  Tensor tensor() const {
    auto const events = values_.empty() ? 0 : std::ssize(values_.front());
    auto out = at::empty({std::ssize(values_), events}, at::kDouble);
    auto* at = out.mutable_data_ptr<double>();
    for (auto const& row : values_) at = std::copy(row.begin(), row.end(), at);
    return out;
  }

 private:
  std::vector<std::vector<double>> values_;
};

}  // namespace dew
