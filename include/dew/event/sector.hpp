// SPDX-License-Identifier: BSL-1.0
// Sectors: the detector cut into wedges around the beam line. Sector keeps one's hits, SectorLabels says which particles are in it.
// N hits, x, y in mm, u = x/r², v = y/r² in mm⁻¹.
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "dew/core/policy.hpp"
#include "dew/event/schema.hpp"

namespace dew {

/// The sector that a hit's particle is mostly in. Written by `SectorLabels`.
struct SectorLabel
    : Key<"sector_label", Hits, Kind::integer, Shape<>, "", "the sector that the hit's particle is mostly in; -1: not in it"> {};  // [N]
namespace key { inline constexpr Of<SectorLabel> sector_label; }

/// Which hits of `position` [N, 3] lie in sector s of n: with (u', v') = (u, v) turned by +2πs/n, u' > 0 and |v'| < tan(π/n)·u'. Extended:
/// |v'| < 1.1·tan(π/n)·u' + 1e-4 mm⁻¹. In double; → [N] bool. A hit on the beam line is in none. The n sectors meet without gaps.
/// Throws `Error` (usage) unless n ≥ 3 and 0 ≤ s < n.
inline Tensor inside_sector(Tensor const& position, std::int64_t sectors, std::int64_t sector, bool extended) {
  check(sectors >= 3, ErrorKind::usage, "sectors: expected at least 3, got {}", sectors);
  check(sector >= 0 && sector < sectors, ErrorKind::usage, "sector: expected one of 0 to {}, got {}", sectors - 1, sector);
  auto const p = position.to(at::kDouble);
  auto const x = p.select(1, 0), y = p.select(1, 1), r2 = x * x + y * y;
  double const angle = 2 * std::numbers::pi * double(sector) / double(sectors), cos = std::cos(angle), sin = std::sin(angle);
  auto const u = (cos * x - sin * y) / r2, v = (sin * x + cos * y) / r2;
  double const slope = std::tan(std::numbers::pi / double(sectors));
  auto const half_width = extended ? 1.1 * slope * u + 1e-4 : slope * u;
  return at::logical_and(u > 0, v.abs() < half_width);
}

/// Keeps the hits of one sector: small events for training where a whole one does not fit. Neighbouring extended sectors overlap, so that a
/// particle near the border is whole in one of them. Reads `position` [N, 3], returns a mask [N], which the pipeline applies to the hits
/// and to what points at them. O(N), any device. See `inside_sector`.
struct Sector {
  struct Options {
    std::int64_t sectors = 8;
    std::int64_t sector = 0;
    bool extended = false;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(sectors, "", "number of sectors, at least 3"),
                              DEW_OPTION(sector, "", "the one whose hits stay, counted from 0"),
                              DEW_OPTION(extended, "", "a tenth wider, and 1e-4 / mm in v"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "sector";
  using Selects = Hits;
  using Reads = Keys<Position>;

  Tensor operator()(RecordOf<Reads> const& event) const {  // [N]
    return inside_sector(event[key::position], options.sectors, options.sector, options.extended);
  }

  bool operator==(Sector const&) const = default;
};
static_assert(Transform<Sector> && DropsRows<Sector>);

/// Where the truth is known: a hit's label is the sector if at least half of its particle's hits lie in it (not extended), else −1. A hit
/// without a particle (noise, unknown) stands for itself. Goes before `Sector`, which drops the other hits of a particle. Reads `position`
/// [N, 3] and `particle_id` [N], writes `sector_label` [N]. O(N log N), any device.
struct SectorLabels {
  struct Options {
    std::int64_t sectors = 8;
    std::int64_t sector = 0;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(sectors, "", "number of sectors, at least 3"),
                              DEW_OPTION(sector, "", "the one that is looked at, counted from 0"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "sector_labels";
  static constexpr bool labelled_only = true;
  using Reads = Keys<Position, ParticleId>;
  using Writes = Keys<SectorLabel>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& id = event[key::particle_id];
    auto const inside = inside_sector(event[key::position], options.sectors, options.sector, false);  // [N]
    auto mostly = inside.clone();
    auto const hits = (id > 0).nonzero().squeeze(1);  // [J]
    if (hits.size(0) > 0) {
      auto const of_hits = id.index_select(0, hits);
      auto const ids = std::get<0>(at::unique_consecutive(std::get<0>(at::sort(of_hits))));  // [P]
      auto const particle = at::searchsorted(ids, of_hits);                                  // [J]
      auto const all = at::bincount(particle, {}, ids.size(0));
      auto const in = at::zeros_like(all).index_add(0, particle, inside.index_select(0, hits).to(at::kLong));
      mostly.index_copy_(0, hits, (2 * in >= all).index_select(0, particle));
    }
    return RecordOf<Writes>{key::sector_label = at::where(mostly, options.sector, std::int64_t(-1))};
  }

  bool operator==(SectorLabels const&) const = default;
};
static_assert(Transform<SectorLabels> && LabelledOnly<SectorLabels>);

}  // namespace dew
