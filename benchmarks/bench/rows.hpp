// SPDX-License-Identifier: BSL-1.0
// What a row of the benchmark is on dew's side, and the files that both sides read. N hits, E edges.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "dew/dew.hpp"

namespace dew::bench {
namespace fs = std::filesystem;
using nlohmann::json;
using NamedTensors = std::map<std::string, Tensor>;

/// One row, ready to run on the numbers of a set.
struct Row {
  std::int64_t n = 0;                                                    ///< hits
  double flops = 0;                                                      ///< that a GEMM of the machine would have to do
  double bytes = 0;                                                      ///< that have to be read and written
  double seconds = 0;                                                    ///< that something else needs in any case (inflating)
  std::function<double()> run = {};                                      ///< seconds that it took
  std::function<NamedTensors()> result = [] { return NamedTensors{}; };  ///< what it computes, to be compared
};

/// Calls `f` and says how many seconds it took.
template <class F>
double seconds_of(F&& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// What belongs to a set: cuts of its graph, cut on the scores, ε in the made-up latent space and in the networks' own. Stands in its folder
/// as settings.json.
struct Settings { double phi_slope_max = 0.005, z0_max_mm = 200, score_min = 0.1, eps = 0.3, track_eps = 0.1; };
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Settings, phi_slope_max, z0_max_mm, score_min, eps, track_eps)

using GraphKeys = Keys<EdgeIndex, EdgeFeatures, EdgeTruth>;
using LatentKeys = Keys<Latent, Beta, Label, HitEmbedding>;
using GraphRecord = RecordOf<UnionOf<LabelledRecord::KeySet, GraphKeys>>;
using LatentRecord = RecordOf<UnionOf<LabelledRecord::KeySet, LatentKeys>>;

/// The files of a set (a folder of event 1 in TrackML's layout, records of it, settings), and of the folder that all sets stand in.
struct SetFiles {
  fs::path set;
  fs::path csv() const { return set / "csv"; }
  fs::path gz() const { return set / "gz"; }
  fs::path graph() const { return set / "graph.safetensors"; }
  fs::path cut_graph() const { return set / "cut_graph.safetensors"; }  ///< the edges that a good classifier leaves
  fs::path latent() const { return set / "latent.safetensors"; }
  fs::path networks(std::string const& stage) const { return set.parent_path() / (stage + ".safetensors"); }
  fs::path epoch() const { return set.parent_path() / "epoch"; }  ///< events 1 to 100 of 1000 hits each
  fs::path epoch_graph(std::int64_t id) const { return epoch() / fmt::format("graph_{:03}.safetensors", id); }
  Settings settings() const { return json::parse(read_file(set / "settings.json")).get<Settings>(); }
};

/// The network of the Python system, 3 layers of width 64.
inline EdgeClassifier classifier() {
  return {{.hidden = 64, .layers = 3, .stack = StackKind::skip1, .encoder = Encoder::reference, .head = HeadEdges::all}};
}
/// The same for the condenser, 4 layers.
inline Condenser condenser(double score_min) {
  return {{.latent = 8,
           .hidden = 64,
           .layers = 4,
           .stack = StackKind::skip1,
           .encoder = Encoder::reference,
           .score_min = score_min,
           .score = Use::never,
           .node_embedding = Use::never,
           .edge_embedding = Use::never}};
}
inline GeometricGraph graph(Settings const& s) { return {{.phi_slope_max = s.phi_slope_max, .z0_max_mm = s.z0_max_mm}}; }
inline auto pipeline(Settings const& s) {
  return Pipeline{graph(s), classifier(), condenser(s.score_min), Dbscan{{.eps = s.track_eps, .min_points = 1}}};
}
/// Object condensation as the Python system has it.
inline auto condensation_loss() {
  return Attraction{{.q_min = 0.01, .norm = CondensationNorm::pairs}} + Repulsion{{.q_min = 0.01, .norm = CondensationNorm::pairs}};
}

/// A network with the weights that `make_data` trained.
template <class Stage>
std::shared_ptr<typename Stage::Module> network(Stage const& stage, SetFiles const& files) {
  auto const name = std::string(Stage::name);
  auto net = stage.make(Widths({{"hit_features", 6}, {"edge_features", 4}}));
  detail::copy_by_name(read_safetensors(files.networks(name)).tensors, detail::named_tensors(*net), name);
  return net;
}

/// Writes everything that the rows read below `root`; `recorded`: a folder with TrackML's sets hipt and full, where there is one.
void make_data(fs::path const& root, fs::path const& recorded);

/// The rows by name; `d`: dimensions, where a row has them.
Row make_graph_row(std::string const& name, SetFiles const& files, std::int64_t d);  ///< n = 0: there is none of that name
Row make_network_row(std::string const& name, SetFiles const& files);

}  // namespace dew::bench
