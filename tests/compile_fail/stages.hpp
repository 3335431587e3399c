// SPDX-License-Identifier: BSL-1.0
// Small stages for the programs that must not compile.
#pragma once
#include "dew/event/schema.hpp"
#include "dew/train/fit.hpp"

namespace dew {
struct Builder {
  static constexpr std::string_view name = "builder";
  using Reads = Keys<Position>;
  using Writes = Keys<EdgeIndex, EdgeFeatures>;
  RecordOf<Writes> operator()(RecordOf<Reads> const&) const {
    return RecordOf<Writes>{key::edge_index = at::zeros({2, 3}, at::kLong), key::edge_features = at::rand({3, 4})};
  }
};
struct Scorer {
  static constexpr std::string_view name = "scorer";
  using Reads = Keys<EdgeFeatures>;
  using Writes = Keys<EdgeScore>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::edge_score = event[key::edge_features].sum(1).sigmoid()};
  }
};
inline Record<Position> some_hits() { return Record<Position>{key::position = at::rand({5, 3})}; }
}  // namespace dew
