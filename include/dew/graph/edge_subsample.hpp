// SPDX-License-Identifier: BSL-1.0
// EdgeSubsample: in training, all true edges and some false ones.
#pragma once
#include <algorithm>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// In training every true edge stays and ⌊ratio · true ones⌋ false ones, drawn anew for each epoch and event (all, where there are fewer);
/// an edge with an unknown end is neither and stays. Outside training, and where the truth is not known, every edge stays. Returns a mask [E], which the pipeline applies. O(E), any device. For
/// graphs of mostly false edges, in front of the model that scores them.
struct EdgeSubsample {
  struct Options {
    double ratio = 3;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(ratio, "", "false edges for each true one; 0: every edge stays"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "edge_subsample";
  static constexpr bool cacheable = false;
  using Selects = Edges;
  using Reads = Keys<EdgeIndex>;
  using MayRead = Keys<EdgeTruth, ParticleId>;

  Tensor operator()(RecordOf<Reads, MayRead> const& event, Context const& context) const {  // [E]
    auto const& edge_index = event[key::edge_index];
    auto const* truth = event.find(key::edge_truth);
    if (!context.training || truth == nullptr || options.ratio <= 0)
      return at::ones({edge_index.size(1)}, edge_index.options().dtype(at::kBool));
    auto is_wrong = truth->logical_not();
    if (auto const* id = event.find(key::particle_id)) is_wrong.logical_and_((id->index({edge_index}) >= 0).all(0));
    auto const wrong = is_wrong.nonzero().squeeze(1);
    auto const kept = std::min(wrong.size(0), std::int64_t(options.ratio * double(truth->sum().item<std::int64_t>())));
    auto const order = at::randperm(wrong.size(0), context.generator(), wrong.options());
    return is_wrong.logical_not().index_fill(0, wrong.index_select(0, order.narrow(0, 0, kept)), true);
  }

  bool operator==(EdgeSubsample const&) const = default;
};
static_assert(Transform<EdgeSubsample> && DropsRows<EdgeSubsample>);

}  // namespace dew
