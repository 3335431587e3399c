// SPDX-License-Identifier: BSL-1.0
// TruePairs: the pairs of hits that belong together, from the truth alone.
// N hits, T pairs.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <tuple>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// Which hits of a particle make a pair.
enum class PairsOfHits {
  all,          ///< every two of them, once: n(n − 1)/2 pairs of n hits
  consecutive,  ///< each and the next one further out: n − 1 pairs
};
constexpr auto names_of(PairsOfHits) { return std::array{"all", "consecutive"}; }

/// Pairs of hits of one particle (id > 0), where the truth is known: what an embedding is trained on. A pair stands once and leads
/// outwards: [0] is the hit nearer to the origin, √(x² + y² + z²) in double, of equals the earlier row. Pairs are sorted by particle, then
/// by their hits from the inside out. Reads `particle_id` [N] and `position` [N, 3], writes `true_edge_index` [2, T]. A stage that drops
/// hits drops their pairs. On the CPU, moved there and back; O(N log N + T) time and memory.
///
///     Pipeline{TruePairs{{.pairs = PairsOfHits::consecutive}}, …}
struct TruePairs {
  struct Options {
    PairsOfHits pairs = PairsOfHits::all;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pairs, "", "of a particle's hits: every two, or neighbours by distance from the origin"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "true_pairs";
  static constexpr bool labelled_only = true;
  using Reads = Keys<ParticleId, Position>;
  using Writes = Keys<TrueEdgeIndex>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const device = event.device();
    auto const id = event[key::particle_id].to(at::kCPU).contiguous();
    auto const distance2 = event[key::position].detach().to(at::kCPU, at::kDouble).square().sum(1).contiguous();  // [N]
    auto const* ids = id.const_data_ptr<std::int64_t>();
    auto const* far = distance2.const_data_ptr<double>();
    std::vector<std::int64_t> rows(static_cast<std::size_t>(id.size(0)));
    std::iota(rows.begin(), rows.end(), 0);
    std::erase_if(rows, [&](auto row) { return ids[row] <= 0; });
    std::sort(rows.begin(), rows.end(), [&](auto a, auto b) { return std::tuple(ids[a], far[a], a) < std::tuple(ids[b], far[b], b); });
    std::vector<std::int64_t> inner, outer;
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::size_t j = i + 1; j < rows.size() && ids[rows[j]] == ids[rows[i]]; ++j) {
        inner.push_back(rows[i]), outer.push_back(rows[j]);
        if (options.pairs == PairsOfHits::consecutive) break;
      }
    auto const pairs = at::stack({at::tensor(inner, at::kLong), at::tensor(outer, at::kLong)});  // [2, T]
    return RecordOf<Writes>{key::true_edge_index = pairs.to(device)};
  }

  bool operator==(TruePairs const&) const = default;
};
static_assert(Transform<TruePairs> && LabelledOnly<TruePairs>);

}  // namespace dew
