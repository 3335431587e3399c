// SPDX-License-Identifier: BSL-1.0
// LatentMetrics: how far hits lie from condensation points. N hits, K objects, d latent dimension.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/policy.hpp"
#include "dew/event/hits_of_interest.hpp"
#include "dew/metric/ratio.hpp"
#include "dew/ops/condensation.hpp"

namespace dew {

/// Distances of hits from condensation points; NaN where there is none.
struct LatentDistances {
  Tensor own;    ///< [N] to the hit's own object's; NaN for a hit of no object
  Tensor other;  ///< [N] to the nearest other object's, of a hit of no object to the nearest
};

/// Distances in `latent` [N, d] from the condensation hits of `objects`. Time O(N·K·d), memory O(N + 1024·K). No gradient.
inline LatentDistances latent_distances(Tensor const& latent, CondensationObjects const& objects) {
  at::NoGradGuard no_grad;
  auto const n = latent.size(0), count = objects.count();
  auto own = at::full({n}, std::numeric_limits<double>::quiet_NaN(), latent.options()), other = own.clone();
  if (count == 0) return {own, other};
  auto const centres = latent.index_select(0, objects.alpha);
  constexpr std::int64_t rows = 1024;
  for (std::int64_t begin = 0; begin < n; begin += rows) {
    auto const size = std::min(rows, n - begin);
    auto distance = at::cdist(latent.narrow(0, begin, size), centres, 2.0, /*compute_mode: never by a matrix product*/ 2);  // [rows, K]
    auto const object = objects.object.narrow(0, begin, size);
    auto const in_one = (object >= 0).nonzero().squeeze(1);
    auto const place = object.index_select(0, in_one);
    own.narrow(0, begin, size).index_put_({in_one}, distance.index({in_one, place}));
    distance.index_put_({in_one, place}, at::scalar_tensor(std::numeric_limits<double>::infinity(), distance.options()));
    auto const nearest = std::get<0>(distance.min(1));
    other.narrow(0, begin, size).copy_(at::where(at::isfinite(nearest), nearest, other.narrow(0, begin, size)));
  }
  return {own, other};
}

/// Distances in the latent space, for choosing a clustering radius: what belongs together should be nearer than what does not.
///
/// Objects are the particles with a hit of interest (reconstructable, pt > pt_min_gev, |η| < eta_max), their condensation hit the one of largest
/// β. `own.…` of their hits: distance to their own object's condensation hit (itself left out); `other.…` of the same hits to the nearest other
/// object's; `rest.…` of all other known hits to the nearest: each with `mean`, `median`, and the quantile that matters, `q90` or `q10`.
/// `own.nearest`: share of objects' hits whose own condensation hit is the nearest; `objects`. NaN where there is nothing. Unknown hits (id −1)
/// are left out. O(N·K·d).
struct LatentMetrics {
  struct Options {
    double pt_min_gev = 0.9;
    double eta_max = 4;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(pt_min_gev, "GeV", "objects are particles with a larger pt"),
                              DEW_OPTION(eta_max, "", "objects are particles with a smaller |eta|"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "latent_distances";
  using Reads = Keys<Latent, Beta, ParticleId, Pt, Eta, Reconstructable>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const id = event[key::particle_id];
    auto const objects = condensation_objects(event[key::beta], id, hits_of_interest(event, options.pt_min_gev, options.eta_max));
    auto const distances = latent_distances(event[key::latent], objects);
    auto const in_object = objects.object >= 0;
    auto is_centre = at::zeros_like(in_object);
    is_centre.index_put_({objects.alpha}, at::ones({}, in_object.options()));
    auto const members = at::logical_and(in_object, at::logical_not(is_centre));
    Figures figures;
    add(figures, "own", distances.own.masked_select(members), 0.9);
    add(figures, "other", distances.other.masked_select(in_object), 0.1);
    add(figures, "rest", distances.other.masked_select(at::logical_and(at::logical_not(in_object), id >= 0)), 0.1);
    auto const nearest = at::logical_and(in_object, at::logical_not(distances.other < distances.own));  // no other: nearest too
    figures.emplace_back("own.nearest",
                         detail::ratio(double(nearest.sum().item<std::int64_t>()), double(in_object.sum().item<std::int64_t>())));
    figures.emplace_back("objects", double(objects.count()));
    return figures;
  }

  bool operator==(LatentMetrics const&) const = default;

 private:
  static void add(Figures& figures, std::string const& what, Tensor const& distances, double quantile) {
    auto const on_cpu = distances.to(at::kCPU, at::kDouble).contiguous();
    std::vector<double> values(on_cpu.const_data_ptr<double>(), on_cpu.const_data_ptr<double>() + on_cpu.numel());
    std::erase_if(values, [](double v) { return std::isnan(v); });
    std::sort(values.begin(), values.end());
    auto const at = [&](double q) {  // linear between the values
      if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
      auto const place = q * double(values.size() - 1);
      auto const below = std::size_t(place), above = std::min(below + 1, values.size() - 1);
      return values[below] + (place - double(below)) * (values[above] - values[below]);
    };
    double sum = 0;
    for (auto const v : values) sum += v;
    figures.emplace_back(fmt::format("{}.mean", what), detail::ratio(sum, double(values.size())));
    figures.emplace_back(fmt::format("{}.median", what), at(0.5));
    figures.emplace_back(fmt::format("{}.q{:.0f}", what, 100 * quantile), at(quantile));
  }
};
static_assert(Metric<LatentMetrics>);

}  // namespace dew
