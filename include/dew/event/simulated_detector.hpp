// SPDX-License-Identifier: BSL-1.0
// SimulatedDetector: events made on the spot, in a pixel detector like TrackML's.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/context.hpp"
#include "dew/core/policy.hpp"
#include "dew/event/columns.hpp"
#include "dew/event/random_numbers.hpp"
#include "dew/event/simulated_event.hpp"
#include "dew/geometry/helix.hpp"

namespace dew {

namespace detail { class PixelSimulation; }

/// Events of charged particles in a pixel detector: what to train, test and teach on where no recorded events are at hand.
///
/// The detector has TrackML's volumes 7, 8, 9: a barrel of 4 layers (r = 32, 72, 116, 172 mm, |z| < 490 mm) of flat tilted staves, and
/// 7 disks a side (|z| = 600 … 1500 mm, 30 < r < 176 mm) of petals at alternating z. Particles of charge ±1 come from collisions spread along
/// the beam, some from decays further out, with dN/dpt ∝ (pt + pt_scale)^−pt_power, flat in φ and nearly flat in η. They move on helices, are
/// deflected at every layer (Highland's formula) and leave a hit on each module they cross, or two where modules overlap, each with some
/// probability, measured with Gaussian errors. Noise hits are spread over the modules. No energy loss, no showers, no turns beyond half.
///
/// The default event has 9,000 to 14,000 hits, as TrackML's with pt > 0.5 GeV. An event is fixed by `seed` and its number alone: not by the
/// order of calls or by threads. Holds no state. Some 10 ms an event. Not a replacement for a detailed simulation: hits are points.
struct SimulatedDetector {
  struct Options {
    std::int64_t events = 100;
    std::uint64_t seed = 1;
    std::int64_t particles = 0;
    double pt_min_gev = 0.5;
    double pt_scale_gev = 1.5;
    double pt_power = 5.5;
    double eta_max = 4;
    double field_t = 2;
    double beam_sigma_xy_mm = 0.012;
    double beam_sigma_z_mm = 5.5;
    double secondary_fraction = 0.08;
    double secondary_radius_max_mm = 150;
    double layer_x0 = 0.02;
    double resolution_mm = 0.015;
    double inefficiency = 0.02;
    double overlap = 0.1;
    double noise_fraction = 0.03;
    DistinctLayers reconstructable = DistinctLayers::volume_and_layer;
    static constexpr auto describe() {
      return hana::make_tuple(
          DEW_OPTION(events, "", "number of events: 1 to this"), DEW_OPTION(seed, "", "fixes all events, together with their numbers"),
          DEW_OPTION(particles, "", "particles an event; 0: about 2600, in a number of collisions that varies from event to event"),
          DEW_OPTION(pt_min_gev, "GeV", "smallest transverse momentum"),
          DEW_OPTION(pt_scale_gev, "GeV", "pt0 in dN/dpt ~ (pt + pt0)^-power"),
          DEW_OPTION(pt_power, "", "power in dN/dpt ~ (pt + pt0)^-power, above 1"), DEW_OPTION(eta_max, "", "largest |eta|"),
          DEW_OPTION(field_t, "T", "magnetic field along z; 0: straight tracks"),
          DEW_OPTION(beam_sigma_xy_mm, "mm", "width of the beam spot across the beam"), DEW_OPTION(beam_sigma_z_mm, "mm", "and along it"),
          DEW_OPTION(secondary_fraction, "", "share of particles that are made outside the beam spot"),
          DEW_OPTION(secondary_radius_max_mm, "mm", "largest radius at which they are made; smaller ones are as likely per decade"),
          DEW_OPTION(layer_x0, "", "thickness of a layer in radiation lengths; 0: no scattering"),
          DEW_OPTION(resolution_mm, "mm", "measurement error of a hit, along each direction of its module"),
          DEW_OPTION(inefficiency, "", "probability that a module misses a particle"),
          DEW_OPTION(overlap, "", "share of a module's width that its neighbour covers too, where a particle leaves two hits"),
          DEW_OPTION(noise_fraction, "", "noise hits, as a share of the others"),
          DEW_OPTION(reconstructable, "", "what makes two of a particle's layers different, of which it needs 3"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;

  static constexpr std::string_view name = "simulated_detector";

  Geometry geometry() const { return pixel_detector(); }

  /// 1 to `events`. Other numbers ≥ 0 are events too.
  std::vector<std::int64_t> ids() const {
    std::vector<std::int64_t> out(std::size_t(std::max<std::int64_t>(options.events, 0)));
    std::iota(out.begin(), out.end(), 1);
    return out;
  }

  /// An event with everything that is known of it. Throws `Error` (usage) on options that make no sense.
  SimulatedEvent simulate(std::int64_t id) const;

  HitRecord hits(std::int64_t id) const { return make_hits(geometry(), simulate(id).hit_columns()); }
  DetailedRecord labelled(std::int64_t id) const {
    auto const event = simulate(id);
    return make_labelled(geometry(), event.hit_columns(), event.truth_columns(), event.particle_columns(), options.reconstructable);
  }
  std::vector<std::int64_t> all_hit_ids(std::int64_t id) const { return simulate(id).hits.id; }

  /// Changes with every option that changes the event.
  std::uint64_t fingerprint(std::int64_t id, bool labelled) const {
    auto same = options;
    same.events = 0;
    return mix_seed(mix_seed(std::uint64_t(id), "simulation 1" + print(same)), labelled ? 1 : 0);
  }

  /// Writes an event's hits, truth and particles in TrackML's layout; `TrackMl` reads the same records back.
  void write(std::filesystem::path const& folder, std::int64_t id) const { write_trackml_files(folder, id, simulate(id)); }

  bool operator==(SimulatedDetector const&) const = default;
};
static_assert(EventSource<SimulatedDetector>);

}  // namespace dew

#include "dew/event/simulated_detector_impl.hpp"
