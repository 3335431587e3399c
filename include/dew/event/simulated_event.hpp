// SPDX-License-Identifier: BSL-1.0
// SimulatedEvent: what a simulation makes of an event, and its files in TrackML's layout.
#pragma once
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "dew/core/file.hpp"
#include "dew/event/columns.hpp"

namespace dew {

/// Hits with their origin, and particles, by columns. Every hit has a row in the truth; noise has particle 0.
struct SimulatedEvent {
  struct HitTable {
    std::vector<std::int64_t> id, volume, layer, module;
    std::vector<double> x, y, z;  ///< mm, measured
  } hits;
  struct TruthTable {
    std::vector<std::int64_t> particle;
    std::vector<double> x, y, z, px, py, pz;  ///< mm and GeV, where the particle really was; noise: the measurement and 0
    std::vector<double> weight;               ///< in the TrackML score: equal for all hits of particles, 1 together; noise: 0
  } truth;                                    ///< row by row with the hits
  struct ParticleTable {
    std::vector<std::int64_t> id, hits;
    std::vector<double> charge;                  ///< e
    std::vector<std::int64_t> primary;           ///< 1: made in a collision, 0: in a decay further out
    std::vector<double> vx, vy, vz, px, py, pz;  ///< mm and GeV, where it was made
  } particles;

  HitColumns hit_columns() const {
    return {.hit_id = hits.id, .x = hits.x, .y = hits.y, .z = hits.z, .volume = hits.volume, .layer = hits.layer};
  }
  TruthColumns truth_columns() const { return {.hit_id = hits.id, .particle_id = truth.particle, .weight = truth.weight}; }
  ParticleColumns particle_columns() const {
    return {.particle_id = particles.id,
            .px = particles.px,
            .py = particles.py,
            .pz = particles.pz,
            .vx = particles.vx,
            .vy = particles.vy,
            .q = particles.charge,
            .primary = particles.primary};
  }
};

/// Writes an event as `eventNNNNNNNNN-particles.csv`, `-truth.csv` and `-hits.csv` into a folder, which is made. Each file is written aside
/// and renamed, the hits last: an event whose hits are there is complete. Numbers are written so that they are read back exactly.
/// Throws `Error` (input) naming the file.
inline void write_trackml_files(std::filesystem::path const& folder, std::int64_t event, SimulatedEvent const& e) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, ErrorKind::input, "{}: {}", folder.string(), error.message());
  auto const write = [&](std::string_view kind, std::string_view header, std::size_t rows, auto&& row) {
    std::string text(header);
    auto out = std::back_inserter(text);
    for (std::size_t i = 0; i < rows; ++i) row(out, i);
    write_file_atomically(folder / fmt::format("event{:09}-{}.csv", event, kind), text);
  };
  write("particles", "particle_id,particle_type,vx,vy,vz,px,py,pz,q,nhits,primary\n", e.particles.id.size(),
        [&p = e.particles](auto out, std::size_t i) {
          fmt::format_to(out, "{},{},{},{},{},{},{},{},{},{},{}\n", p.id[i], 211 * p.charge[i], p.vx[i], p.vy[i], p.vz[i], p.px[i], p.py[i],
                         p.pz[i], p.charge[i], p.hits[i], p.primary[i]);
        });
  write("truth", "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n", e.hits.id.size(), [&, &t = e.truth](auto out, std::size_t i) {
    fmt::format_to(out, "{},{},{},{},{},{},{},{},{}\n", e.hits.id[i], t.particle[i], t.x[i], t.y[i], t.z[i], t.px[i], t.py[i], t.pz[i],
                   t.weight[i]);
  });
  write("hits", "hit_id,x,y,z,volume_id,layer_id,module_id\n", e.hits.id.size(), [&h = e.hits](auto out, std::size_t i) {
    fmt::format_to(out, "{},{},{},{},{},{},{}\n", h.id[i], h.x[i], h.y[i], h.z[i], h.volume[i], h.layer[i], h.module[i]);
  });
}

}  // namespace dew
