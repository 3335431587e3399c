// SPDX-License-Identifier: BSL-1.0
// Neighbours of points in compressed rows, and how several threads collect them. N points, d dimensions, M pairs.
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "dew/core/task_queue.hpp"
#include "dew/core/torch.hpp"
#include "dew/ops/kd_tree.hpp"

namespace dew {

/// The neighbours of each point in compressed rows: those of point i are `index[offsets[i]] … index[offsets[i + 1] − 1]`; in which order, the
/// search says.
struct Neighbours {
  Tensor offsets;   // [N + 1] int64
  Tensor index;     // [M] int64
  Tensor distance;  // [M] in the points' dtype

  /// As edges [2, M]: neighbour → query.
  Tensor edge_index() const {
    auto const query = at::arange(offsets.size(0) - 1, offsets.options()).repeat_interleave(offsets.diff());
    return at::stack({index, query});
  }
};

namespace detail {

/// Rows of neighbours of points in a tree, found by tasks; those of a task are for places that follow one another.
class NeighbourRows {
 public:
  class Part {
   public:
    /// Begins the row of the next place.
    void begin(std::int32_t place) {
      if (sizes_.empty()) first_ = place;
      sizes_.push_back(0);
    }
    /// Adds the point of a row of the tensor at a distance.
    void add(std::int32_t row, double distance) { entries_.emplace_back(row, distance), ++sizes_.back(); }
    /// Makes room for so many neighbours.
    void reserve(std::size_t entries) { entries_.reserve(entries); }

   private:
    friend class NeighbourRows;
    std::int32_t first_ = 0;                                // place
    std::vector<std::int64_t> sizes_;                       // of the rows
    std::vector<std::pair<std::int32_t, double>> entries_;  // of all rows, one after the other
  };

  NeighbourRows(KdTree const& tree, std::int64_t tasks) : tree_(tree), parts_(std::size_t(tasks)) {}

  /// What a task has found, once it is done. Several threads may call this at once.
  void put(std::int64_t task, Part&& part) { parts_[std::size_t(task)] = std::move(part); }

  /// All rows in the order of `points`, on their device and in their dtype. A place that no task has a row for has no neighbour.
  Neighbours compressed(Tensor const& points) const {
    auto offsets = at::zeros({tree_.size() + 1}, at::kLong);
    auto* const first = offsets.mutable_data_ptr<std::int64_t>();
    for (auto const& part : parts_)
      for (std::size_t k = 0; k < part.sizes_.size(); ++k) first[tree_.original(part.first_ + std::int32_t(k)) + 1] = part.sizes_[k];
    for (std::int32_t i = 0; i < tree_.size(); ++i) first[i + 1] += first[i];
    auto const type = points.scalar_type() == at::kFloat ? at::kFloat : at::kDouble;
    Neighbours out{offsets, at::empty({first[tree_.size()]}, at::kLong), at::empty({first[tree_.size()]}, type)};
    auto* const index = out.index.mutable_data_ptr<std::int64_t>();
    if (type == at::kFloat) copy(first, index, out.distance.mutable_data_ptr<float>());
    else copy(first, index, out.distance.mutable_data_ptr<double>());
    auto const device = points.device();
    return {out.offsets.to(device), out.index.to(device), out.distance.to(device, points.scalar_type())};
  }

 private:
  template <class T>
  void copy(std::int64_t const* first, std::int64_t* index, T* distance) const {
    share_tasks(std::int64_t(parts_.size()), [&](TaskQueue& tasks) {
      while (auto const task = tasks.take()) {
        auto const& part = parts_[std::size_t(task->number)];
        auto entry = part.entries_.begin();
        for (std::size_t k = 0; k < part.sizes_.size(); ++k)
          for (auto to = first[tree_.original(part.first_ + std::int32_t(k))], end = to + part.sizes_[k]; to < end; ++to, ++entry)
            index[to] = entry->first, distance[to] = T(entry->second);
      }
    });
  }

  KdTree const& tree_;
  std::vector<Part> parts_;
};

}  // namespace detail
}  // namespace dew
