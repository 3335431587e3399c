// SPDX-License-Identifier: BSL-1.0
// ParticleBin: a range of pt, |η|, number of hits or production radius, in which a style counts its particles once more.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// The particles of one range [low, high), or all of them.
///
/// A style has cuts of its own on the same quantities. A bin of pt stands in the place of the style's cut on pt, a bin of |η| in that of its
/// cut on |η|; all other cuts stay. A particle whose radius is not known is in no bin of the radius.
struct ParticleBin {
  enum class Of { everything, pt, eta, hits, radius } of = Of::everything;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();

  /// What stands before the names of its figures: "pt_0.9_1.5.", "eta_0_1.", "hits_3_5.", "radius_0_10."; "" for everything.
  std::string prefix() const {
    constexpr char const* names[] = {"", "pt", "eta", "hits", "radius"};
    return of == Of::everything ? std::string() : fmt::format("{}_{}_{}.", names[std::size_t(of)], low, high);
  }
};

/// Everything, then the bins between these edges. Throws `Error` (usage) where edges do not ascend.
inline std::vector<ParticleBin> particle_bins(std::vector<double> const& pt_gev, std::vector<double> const& eta,
                                              std::vector<std::int64_t> const& hits, std::vector<double> const& radius_mm) {
  std::vector<ParticleBin> bins(1);
  auto const add = [&](ParticleBin::Of of, char const* option, auto const& edges) {
    for (std::size_t b = 1; b < edges.size(); ++b) {
      check(edges[b - 1] < edges[b], ErrorKind::usage, "{}: expected ascending edges of bins, got {} before {}", option, edges[b - 1],
            edges[b]);
      bins.push_back({of, double(edges[b - 1]), double(edges[b])});
    }
  };
  add(ParticleBin::Of::pt, "pt_bins_gev", pt_gev);
  add(ParticleBin::Of::eta, "eta_bins", eta);
  add(ParticleBin::Of::hits, "hits_bins", hits);
  add(ParticleBin::Of::radius, "radius_bins_mm", radius_mm);
  return bins;
}

}  // namespace dew
