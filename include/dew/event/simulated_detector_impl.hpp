// SPDX-License-Identifier: BSL-1.0
// The simulation behind SimulatedDetector: detector, particles, hits.
#pragma once
#include "dew/event/simulated_detector.hpp"

namespace dew::detail {

/// A barrel layer of flat staves whose planes are tilted against the circle.
struct BarrelLayer {
  double radius_mm;
  std::int64_t staves;
};
inline constexpr std::array<BarrelLayer, 4> barrel_layers{{{32, 16}, {72, 32}, {116, 52}, {172, 78}}};
inline constexpr double barrel_half_length_mm = 490, barrel_tilt = 0.14, barrel_module_length_mm = 70;
inline constexpr std::int64_t barrel_modules_along_z = 14;

/// A disk: two rings of petals, those of even number nearer to the centre of the detector.
struct Ring {
  double r_min_mm, r_max_mm;
  std::int64_t petals;
  double stagger_mm;  ///< half the distance in z of neighbours
};
inline constexpr std::array<double, 7> disk_z_mm{600, 700, 820, 960, 1100, 1300, 1500};
inline constexpr std::array<Ring, 2> disk_rings{{{30, 103, 40, 2.25}, {103, 176, 68, 2}}};

/// Rounds to a multiple of 1/per: what is written in few digits is read back exactly.
inline double rounded(double value, double per) { return std::round(value * per) / per; }

class PixelSimulation {
 public:
  PixelSimulation(SimulatedDetector::Options const& options, std::int64_t event)
      : options_(options), random_(mix_seed(mix_seed(options.seed, "simulated_detector"), std::uint64_t(event))) {}

  SimulatedEvent run() {
    make_particles();
    for (std::size_t i = 0; i < particles_.size(); ++i) follow(i);
    add_noise();
    return tables();
  }

 private:
  struct Particle {
    std::int64_t id, charge, primary, hits = 0;
    double vx, vy, vz, px, py, pz;
  };
  struct Hit {
    std::int64_t volume, layer, module, particle;  // particle: a row, −1 for noise
    std::array<double, 3> measured, truth, momentum;
  };
  struct Vertex { double x, y, z; };

  // ---- particles ---------------------------------------------------------------------------------------------------------------------
  static constexpr double mean_collisions = 200, mean_multiplicity = 13;

  void make_particles() {
    std::vector<Vertex> vertices;
    std::vector<std::size_t> vertex_of;  // of each particle
    auto const collide = [&] {
      vertices.push_back({options_.beam_sigma_xy_mm * random_.normal(), options_.beam_sigma_xy_mm * random_.normal(),
                          options_.beam_sigma_z_mm * random_.normal()});
    };
    if (options_.particles > 0) {
      auto const count = std::max<std::int64_t>(1, std::llround(double(options_.particles) / mean_multiplicity));
      for (std::int64_t i = 0; i < count; ++i) collide();
      for (std::int64_t i = 0; i < options_.particles; ++i) vertex_of.push_back(std::size_t(random_.below(count)));
    } else {
      for (auto left = random_.poisson(mean_collisions); left > 0; --left) {
        collide();
        auto const multiplicity = std::llround(random_.exponential(mean_multiplicity));
        vertex_of.insert(vertex_of.end(), std::size_t(multiplicity), vertices.size() - 1);
      }
    }
    std::sort(vertex_of.begin(), vertex_of.end());
    std::int64_t in_vertex = 0;
    for (std::size_t i = 0; i < vertex_of.size(); ++i) {
      in_vertex = i > 0 && vertex_of[i] == vertex_of[i - 1] ? in_vertex + 1 : 1;
      // as TrackML's barcodes: collision and particle in the bits of one large number
      auto const id = (std::int64_t(vertex_of[i]) + 1) << 46 | in_vertex << 20;
      particles_.push_back(make_particle(id, vertices[vertex_of[i]]));
    }
  }

  double random_eta() {
    for (;;) {  // nearly flat, falling towards the ends, where TrackML's slow particles miss the disks
      double const eta = random_.uniform(-options_.eta_max, options_.eta_max);
      if (random_.uniform() < 1 / (1 + std::exp((std::abs(eta) - 3) / 0.4))) return eta;
    }
  }

  Particle make_particle(std::int64_t id, Vertex vertex) {
    double const pt =
        (options_.pt_min_gev + options_.pt_scale_gev) * std::pow(random_.uniform(), -1 / (options_.pt_power - 1)) - options_.pt_scale_gev;
    double phi = random_.uniform(-std::numbers::pi, std::numbers::pi), cot_theta = std::sinh(random_eta());
    bool const secondary = random_.happens(options_.secondary_fraction);
    if (secondary) {
      // flies off along a neutral parent's line until it decays, then goes its own way with a kick of some 0.2 GeV
      constexpr double nearest_mm = 0.1, kick_gev = 0.2;
      double const r = std::min(nearest_mm, options_.secondary_radius_max_mm) *
                       std::pow(std::max(options_.secondary_radius_max_mm / nearest_mm, 1.), random_.uniform());
      vertex.x += r * std::cos(phi), vertex.y += r * std::sin(phi), vertex.z += r * cot_theta;
      phi += kick_gev / pt * random_.normal();
      cot_theta += kick_gev / pt * random_.normal() * std::sqrt(1 + cot_theta * cot_theta);
    }
    Particle p{id, random_.happens(0.5) ? 1 : -1, secondary ? 0 : 1, 0, 0, 0, 0, 0, 0, 0};
    p.vx = rounded(vertex.x, 1e6), p.vy = rounded(vertex.y, 1e6), p.vz = rounded(vertex.z, 1e6);
    p.px = rounded(pt * std::cos(phi), 1e6), p.py = rounded(pt * std::sin(phi), 1e6), p.pz = rounded(pt * cot_theta, 1e6);
    return p;
  }

  // ---- hits --------------------------------------------------------------------------------------------------------------------------
  /// Follows a particle outwards through the layers.
  void follow(std::size_t row) {
    auto const& p = particles_[row];
    double const pt = std::hypot(p.px, p.py), total = std::hypot(pt, p.pz);
    if (!(pt > 0)) return;
    Helix now{p.vx, p.vy, p.vz, std::atan2(p.py, p.px), p.pz / pt, helix_curvature(double(p.charge), pt, options_.field_t)};
    std::size_t barrel = 0, disk = 0;
    double const side = now.cot_theta < 0 ? -1 : 1;
    while (barrel < barrel_layers.size() && barrel_layers[barrel].radius_mm <= now.radius()) ++barrel;
    while (disk < disk_z_mm.size() && disk_z_mm[disk] <= side * now.z) ++disk;
    constexpr double never = std::numeric_limits<double>::infinity();
    while (now.radius() < disk_rings.back().r_max_mm) {
      double const to_barrel = barrel < barrel_layers.size() ? now.to_cylinder(barrel_layers[barrel].radius_mm).value_or(never) : never;
      double const to_disk = disk < disk_z_mm.size() ? now.to_z(side * disk_z_mm[disk]).value_or(never) : never;
      if (to_barrel == never && to_disk == never) return;
      bool crossed = false;
      if (to_barrel < to_disk) {
        now = now.at(to_barrel);
        crossed = std::abs(now.z) < barrel_half_length_mm;
        if (crossed) cross_barrel(now, barrel, row, total);
        ++barrel;
      } else {
        now = now.at(to_disk);
        crossed = now.radius() > disk_rings.front().r_min_mm && now.radius() < disk_rings.back().r_max_mm;
        if (crossed) cross_disk(now, disk, side, row, total);
        ++disk;
      }
      if (crossed && options_.layer_x0 > 0) scatter(now, total, to_barrel < to_disk, double(p.charge));
      if ((now.cot_theta < 0) != (side < 0)) return;  // turned around by a scatter at θ = 90°: all disks are far away
    }
  }

  void scatter(Helix& h, double momentum, bool barrel, double charge) {
    double const sine = 1 / std::sqrt(1 + h.cot_theta * h.cot_theta), theta = std::atan2(1, h.cot_theta);
    double const outward = (h.x * std::cos(h.phi) + h.y * std::sin(h.phi)) / h.radius() * sine;  // of the direction, along the radius
    double const thickness = options_.layer_x0 / std::max(barrel ? std::abs(outward) : std::abs(std::cos(theta)), 0.05);
    double const width = 0.0136 / momentum * std::sqrt(thickness) * std::max(1 + 0.038 * std::log(thickness), 0.);
    double const new_theta = std::clamp(theta + width * random_.normal(), 1e-3, std::numbers::pi - 1e-3);
    h.phi += width / sine * random_.normal();
    h.cot_theta = 1 / std::tan(new_theta);
    h.curvature = helix_curvature(charge, momentum * std::sin(new_theta), options_.field_t);
  }

  /// Hits on the staves of a barrel layer; `at` is on the layer's cylinder.
  void cross_barrel(Helix const& at, std::size_t layer, std::size_t row, double momentum) {
    auto const& [radius, staves] = barrel_layers[layer];
    double const pitch = 2 * std::numbers::pi / double(staves), half_width = 0.5 * pitch * radius * (1 + options_.overlap);
    auto const nearest = std::llround(std::atan2(at.y, at.x) / pitch);
    for (auto stave = nearest - 1; stave <= nearest + 1; ++stave) {
      double const centre = double(stave) * pitch, normal = centre + barrel_tilt;
      double const nx = std::cos(normal), ny = std::sin(normal);
      // a little back first, so that the plane is ahead wherever it cuts the cylinder
      constexpr double back = 12;
      auto const before = at.at(-back);
      auto const s = before.to_plane(nx, ny, radius * std::cos(barrel_tilt), back);
      if (!s) continue;
      auto const there = before.at(*s);
      double const u = -ny * there.x + nx * there.y + radius * std::sin(barrel_tilt);  // along the stave's width, from its middle
      if (std::abs(u) > half_width || std::abs(there.z) > barrel_half_length_mm || random_.happens(options_.inefficiency)) continue;
      double const du = options_.resolution_mm * random_.normal(), dz = options_.resolution_mm * random_.normal();
      auto const along_z = std::min(barrel_modules_along_z - 1, std::int64_t((there.z + barrel_half_length_mm) / barrel_module_length_mm));
      auto const module = (stave + staves) % staves * barrel_modules_along_z + along_z + 1;
      add_hit(8, layer, module, row, there, {there.x - ny * du, there.y + nx * du, there.z + dz}, momentum);
    }
  }

  /// Hits on the petals of a disk; `at` is on the disk's nominal plane.
  void cross_disk(Helix const& at, std::size_t disk, double side, std::size_t row, double momentum) {
    auto const ring_number = at.radius() < disk_rings.front().r_max_mm ? 0U : 1U;
    auto const& ring = disk_rings[ring_number];
    double const pitch = 2 * std::numbers::pi / double(ring.petals);
    auto const nearest = std::llround(std::atan2(at.y, at.x) / pitch);
    for (auto petal = nearest - 1; petal <= nearest + 1; ++petal) {
      auto const there = at.at(((petal & 1) != 0 ? ring.stagger_mm : -ring.stagger_mm) * side / at.cot_theta);
      double const from_middle = std::remainder(std::atan2(there.y, there.x) - double(petal) * pitch, 2 * std::numbers::pi);
      if (std::abs(from_middle) > 0.5 * pitch * (1 + options_.overlap) || there.radius() < ring.r_min_mm ||
          there.radius() > ring.r_max_mm || random_.happens(options_.inefficiency))
        continue;
      double const dx = options_.resolution_mm * random_.normal(), dy = options_.resolution_mm * random_.normal();
      add_hit(side < 0 ? 7 : 9, disk, petal_module(ring_number, petal), row, there, {there.x + dx, there.y + dy, there.z}, momentum);
    }
  }
  static std::int64_t petal_module(std::size_t ring, std::int64_t petal) {
    auto const petals = disk_rings[ring].petals;
    return (ring > 0 ? disk_rings[0].petals : 0) + (petal + petals) % petals + 1;
  }

  /// `layer` counts outwards from the centre of the detector.
  void add_hit(std::int64_t volume, std::size_t layer, std::int64_t module, std::size_t row, Helix const& h, std::array<double, 3> measured,
               double momentum) {
    double const pt = momentum / std::sqrt(1 + h.cot_theta * h.cot_theta);
    auto const number = volume == 7 ? 2 * (std::int64_t(disk_z_mm.size()) - std::int64_t(layer)) : 2 * (std::int64_t(layer) + 1);
    hits_.push_back({volume,
                     number,
                     module,
                     std::int64_t(row),
                     measured,
                     {h.x, h.y, h.z},
                     {pt * std::cos(h.phi), pt * std::sin(h.phi), pt * h.cot_theta}});
    ++particles_[row].hits;
  }

  /// Noise lies where the particles' hits lie, layer by layer, anywhere on the modules.
  void add_noise() {
    auto const real = std::int64_t(hits_.size());
    auto const count = real > 0 ? random_.poisson(options_.noise_fraction * double(real)) : 0;
    for (std::int64_t i = 0; i < count; ++i) {
      auto hit = hits_[std::size_t(random_.below(real))];
      double const phi = random_.uniform(-std::numbers::pi, std::numbers::pi);
      if (hit.volume == 8) {
        auto const& [radius, staves] = barrel_layers[std::size_t(hit.layer / 2 - 1)];
        double const pitch = 2 * std::numbers::pi / double(staves), z = random_.uniform(-barrel_half_length_mm, barrel_half_length_mm);
        auto const stave = std::llround(phi / pitch);
        double const r = radius * std::cos(barrel_tilt) / std::cos(phi - double(stave) * pitch - barrel_tilt);
        hit.module =
            (stave + staves) % staves * barrel_modules_along_z + std::int64_t((z + barrel_half_length_mm) / barrel_module_length_mm) + 1;
        hit.measured = {r * std::cos(phi), r * std::sin(phi), z};
      } else {
        double const r = random_.uniform(disk_rings.front().r_min_mm, disk_rings.back().r_max_mm);
        auto const ring_number = r < disk_rings.front().r_max_mm ? 0U : 1U;
        auto const& ring = disk_rings[ring_number];
        auto const petal = std::llround(phi / (2 * std::numbers::pi / double(ring.petals)));
        double const side = hit.volume == 7 ? -1 : 1;
        auto const disk = std::size_t(hit.volume == 7 ? std::int64_t(disk_z_mm.size()) - hit.layer / 2 : hit.layer / 2 - 1);
        hit.module = petal_module(ring_number, petal);
        hit.measured = {r * std::cos(phi), r * std::sin(phi),
                        side * (disk_z_mm[disk] + ((petal & 1) != 0 ? ring.stagger_mm : -ring.stagger_mm))};
      }
      hit.particle = -1, hit.truth = hit.measured, hit.momentum = {0, 0, 0};
      hits_.push_back(hit);
    }
  }

  // ---- tables ------------------------------------------------------------------------------------------------------------------------
  SimulatedEvent tables() {
    std::vector<std::size_t> order(hits_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](auto i, auto j) {
      auto const &a = hits_[i], &b = hits_[j];
      return std::array{a.volume, a.layer, a.module} < std::array{b.volume, b.layer, b.module};
    });
    // within a module the order must not tell which hits belong together
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      auto const same = [&](std::size_t i) {
        auto const &a = hits_[order[begin]], &b = hits_[order[i]];
        return a.volume == b.volume && a.layer == b.layer && a.module == b.module;
      };
      for (end = begin; end < order.size() && same(end);) ++end;
      for (auto i = end - begin; i > 1; --i) std::swap(order[begin + i - 1], order[begin + std::size_t(random_.below(std::int64_t(i)))]);
    }
    SimulatedEvent out;
    for (auto const i : order) {
      auto const& hit = hits_[i];
      out.hits.id.push_back(std::int64_t(out.hits.id.size()) + 1);
      out.hits.volume.push_back(hit.volume), out.hits.layer.push_back(hit.layer), out.hits.module.push_back(hit.module);
      out.hits.x.push_back(rounded(hit.measured[0], 1e4)), out.hits.y.push_back(rounded(hit.measured[1], 1e4));
      out.hits.z.push_back(rounded(hit.measured[2], 1e4));
      out.truth.particle.push_back(hit.particle < 0 ? 0 : particles_[std::size_t(hit.particle)].id);
      out.truth.x.push_back(rounded(hit.truth[0], 1e4)), out.truth.y.push_back(rounded(hit.truth[1], 1e4)),
          out.truth.z.push_back(rounded(hit.truth[2], 1e4));
      out.truth.px.push_back(rounded(hit.momentum[0], 1e6)), out.truth.py.push_back(rounded(hit.momentum[1], 1e6));
      out.truth.pz.push_back(rounded(hit.momentum[2], 1e6));
    }
    auto const of_particles = std::count_if(out.truth.particle.begin(), out.truth.particle.end(), [](auto id) { return id > 0; });
    for (auto const id : out.truth.particle) out.truth.weight.push_back(id > 0 ? 1. / double(of_particles) : 0.);
    for (auto const& p : particles_) {
      out.particles.id.push_back(p.id), out.particles.charge.push_back(double(p.charge)), out.particles.hits.push_back(p.hits);
      out.particles.primary.push_back(p.primary);
      out.particles.vx.push_back(p.vx), out.particles.vy.push_back(p.vy), out.particles.vz.push_back(p.vz);
      out.particles.px.push_back(p.px), out.particles.py.push_back(p.py), out.particles.pz.push_back(p.pz);
    }
    return out;
  }

  SimulatedDetector::Options const& options_;
  RandomNumbers random_;
  std::vector<Particle> particles_;
  std::vector<Hit> hits_;
};

inline void check_simulation(SimulatedDetector::Options const& o) {
  auto const demand = [](bool ok, std::string_view option, auto value, std::string_view expected) {
    check(ok, ErrorKind::usage, "simulated_detector.{}: expected {}, got {}", option, expected, value);
  };
  auto const share = [&](double value, std::string_view option) {
    demand(value >= 0 && value <= 1, option, value, "a number from 0 to 1");
  };
  auto const length = [&](double value, std::string_view option) {
    demand(value >= 0 && std::isfinite(value), option, value, "a finite number ≥ 0");
  };
  demand(o.events >= 0, "events", o.events, "a number ≥ 0");
  demand(o.particles >= 0 && o.particles <= 1'000'000, "particles", o.particles, "0 to 1,000,000");
  demand(o.pt_min_gev > 0 && std::isfinite(o.pt_min_gev), "pt_min_gev", o.pt_min_gev, "a finite number above 0");
  demand(o.pt_power > 1 && std::isfinite(o.pt_power), "pt_power", o.pt_power, "a finite number above 1");
  demand(o.eta_max > 0 && o.eta_max <= 10, "eta_max", o.eta_max, "a number above 0, up to 10");
  demand(std::isfinite(o.field_t), "field_t", o.field_t, "a finite number");
  length(o.pt_scale_gev, "pt_scale_gev"), length(o.beam_sigma_xy_mm, "beam_sigma_xy_mm"), length(o.beam_sigma_z_mm, "beam_sigma_z_mm");
  length(o.secondary_radius_max_mm, "secondary_radius_max_mm"), length(o.layer_x0, "layer_x0"), length(o.resolution_mm, "resolution_mm");
  share(o.secondary_fraction, "secondary_fraction"), share(o.inefficiency, "inefficiency"), share(o.overlap, "overlap");
  demand(o.noise_fraction >= 0 && o.noise_fraction <= 100, "noise_fraction", o.noise_fraction, "a number from 0 to 100");
}

}  // namespace dew::detail

namespace dew {

inline SimulatedEvent SimulatedDetector::simulate(std::int64_t id) const {
  detail::check_simulation(options);
  check(id >= 0, ErrorKind::usage, "simulated_detector: expected an event number ≥ 0, got {}", id);
  return detail::PixelSimulation(options, id).run();
}

}  // namespace dew
