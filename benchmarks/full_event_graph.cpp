// SPDX-License-Identifier: BSL-1.0
// The geometric graph of every event in a folder of TrackML files: hits, edges, time and peak memory. Usage: benchmark_full_event_graph FOLDER
#include <sys/resource.h>

#include <dew/event/trackml.hpp>
#include <dew/graph/geometric_graph.hpp>
#include <dew/train/clock.hpp>

using namespace dew;

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: {} FOLDER\n", argv[0]);
    return 2;
  }
  at::set_num_threads(1);
  auto const clock = steady_clock();
  auto const peak_mb = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return double(usage.ru_maxrss) / 1024;
  };
  try {
    TrackMl const source{{.events = argv[1]}};
    fmt::print("one thread; {:.0f} MB before the first event\n{:>8} {:>8} {:>16} {:>10} {:>10} {:>10} {:>12}\n", peak_mb(), "event", "hits",
               "cuts", "edges", "read s", "graph s", "peak MB");
    for (auto id : source.ids()) {
      auto const start = clock();
      auto const hits = source.hits(id);
      auto const read = clock() - start;
      for (auto const& graph : {GeometricGraph{{.phi_slope_max = 0.002, .z0_max_mm = 100}}, GeometricGraph{}}) {
        auto const before = clock();
        auto const edges = graph(hits)[key::edge_index].size(1);
        fmt::print("{:>8} {:>8} {:>16} {:>10} {:>10.3f} {:>10.3f} {:>12.0f}\n", id, hits.rows<Hits>(),
                   fmt::format("{} / {}", graph.options.phi_slope_max, graph.options.z0_max_mm), edges, read, clock() - before, peak_mb());
      }
    }
  } catch (Error const& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.exit_status();
  }
}
