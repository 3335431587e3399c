// SPDX-License-Identifier: BSL-1.0
// A trained run inside a program of one's own, three lines: load it, give it hits, get labels. Nothing else of dew needs to be known there.
//     use_a_run train --train 1-30 --validate 31-32 --out trained   makes a run to use
//     use_a_run trained                                             uses it
#include <dew/dew.hpp>

using namespace dew;

int main(int argc, char** argv) {
  auto pipeline = Pipeline{GeometricGraph{{.phi_slope_max = 0.002}}, EdgeClassifier{{.hidden = 16, .layers = 2}},
                           Condenser{{.latent = 4, .hidden = 32, .layers = 2}}, Dbscan{}};
  if (argc != 2 || std::string_view(argv[1]).starts_with("-"))
    return App{"use_a_run", pipeline}
        .events(SimulatedDetector{{.particles = 100}})
        .train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 5, .warmup_steps = 5}),
               fit<Condenser>(Attraction{} + Repulsion{}, {.epochs = 10, .learning_rate = 5e-3, .warmup_steps = 5}),
               scan<Dbscan>(maximise("tracking.pt0.9.double_majority")))
        .evaluate(TrackingMetrics{})
        .run(argc, argv);

  // plain arrays from wherever: here two straight tracks through the barrel, on opposite sides
  std::vector<std::int64_t> id, volume, layer;
  std::vector<double> x, y, z;  // mm
  for (double const phi : {0.3, 3.4})
    for (auto const& [number, r] : std::vector<std::pair<int, double>>{{2, 32}, {4, 72}, {6, 116}, {8, 172}}) {
      id.push_back(std::int64_t(id.size()) + 1), volume.push_back(8), layer.push_back(number);  // the barrel is volume 8
      x.push_back(r * std::cos(phi)), y.push_back(r * std::sin(phi)), z.push_back(phi < 1 ? r : -r);
    }
  auto const hits = make_hits(pixel_detector(), {.hit_id = id, .x = x, .y = y, .z = z, .volume = volume, .layer = layer});

  auto finder = load(pipeline, argv[1]);
  auto labels = finder.labels(hits);

  auto const* track = labels.const_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < id.size(); ++i)
    fmt::print("hit {} at ({:7.1f}, {:7.1f}, {:7.1f}) mm is in track {}\n", id[i], x[i], y[i], z[i], track[i]);
  bool const joined = std::equal(track + 1, track + 4, track) && std::equal(track + 5, track + 8, track + 4);
  return joined && track[0] != track[4] ? 0 : 1;  // each track's hits are together, and the two tracks are apart
}
