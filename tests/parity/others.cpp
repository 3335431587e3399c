// SPDX-License-Identifier: BSL-1.0
// Graphs, neighbours, clusters and metrics against reference values.
#include "dew/graph/geometric_graph.hpp"
#include "dew/metric/acorn_metrics.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/one_to_one_metrics.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/ops/dbscan.hpp"
#include "dew/ops/dbscan_scan.hpp"
#include "dew/ops/nearest_neighbours.hpp"
#include "parity/report.hpp"

namespace dew::parity {
namespace {

void geometric_graph(File const& file, Report& report) {
  GeometricGraph graph{{.phi_slope_max = file.cuts.at("phi_slope_max"),
                        .z0_max_mm = file.cuts.at("z0_max"),
                        .dr_max = file.cuts.at("dR_max"),
                        .undirected = false}};
  auto const hits = Record{key::position = at::stack({file["x_mm"], file["y_mm"], file["z_mm"]}, 1), key::layer = file["layer"],
                           key::particle_id = file["particle_id"]};
  auto const layers = graph.geometry.layers();
  for (std::int64_t i = 0; i < file["layer"].size(0); ++i)
    check(graph.geometry.index({file["volume_id"][i].item<std::int64_t>(), file["layer_id"][i].item<std::int64_t>()}) ==
              file["layer"][i].item<std::int64_t>(),
          "{}: layer of hit {}", file.name, i);
  auto const out = hits.merge(graph(hits));
  report.equal("edge_index", out[key::edge_index], file["edge_index"]);
  for (std::int64_t column = 0; column < file["edge_attr"].size(1); ++column)  // of unlike size
    report.value(fmt::format("edge_attr, column {}", column), out[key::edge_features].select(1, column),
                 file["edge_attr"].select(1, column));
  report.equal("y", graph.truth()(out)[key::edge_truth], file["y"] > 0.5);
  report.equal("y_same_particle", GeometricEdgeTruth{{.relabel = false}}(out)[key::edge_truth], file["y_same_particle"] > 0.5);
  graph.options.undirected = true;
  report.equal("edge_index, both ways", graph(hits)[key::edge_index], at::cat({file["edge_index"], file["edge_index"].flip(0)}, 1));
}

void dbscan(File const& file, Report& report) {
  auto const& x = file["x"];
  std::vector<DbscanStep> steps;
  std::vector<std::string> names;
  for (auto const& [name, labels] : file.tensors) {
    if (!name.starts_with("labels.eps")) continue;
    auto const at = name.find(".min");
    check(at != std::string::npos, ErrorKind::input, "{}: what is '{}'?", file.name, name);
    steps.push_back({std::stod(name.substr(10, at - 10)), std::stoll(name.substr(at + 4))});
    names.push_back(name);
  }
  auto const scanned = dbscan_scan(x, steps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    report.equal(names[i], dbscan_labels(x, steps[i]), file[names[i]]);
    report.equal(names[i] + ", scanned", scanned[i], file[names[i]]);
  }
}

/// Columns sorted by (query, neighbour).
Tensor sorted_edges(Tensor const& edge_index) {
  auto const span = edge_index.numel() > 0 ? edge_index.max().item<std::int64_t>() + 1 : 1;
  return edge_index.index_select(1, (edge_index[1] * span + edge_index[0]).argsort());
}
void nearest(File const& file, Report& report) {
  for (auto const& [name, edges] : file.tensors) {
    if (name == "x") continue;
    auto const at = name.find("_r");  // k5_r08: 5 neighbours, radius 0.8
    check(name.starts_with("k"), ErrorKind::input, "{}: what is '{}'?", file.name, name);
    double radius = std::numeric_limits<double>::infinity();
    if (at != std::string::npos) {
      auto const digits = name.substr(at + 2);
      radius = std::stod(digits.substr(0, 1) + "." + digits.substr(1));
    }
    auto const got = nearest_neighbours(file["x"], std::stoll(name.substr(1)), radius).edge_index();
    report.equal(name, sorted_edges(got), sorted_edges(edges));
  }
}

void edge_metrics(File const& file, Report& report) {
  std::map<std::string, double> figures;
  for (auto const& [name, value] : edge_figures(file["w"], file["y"] > 0)) figures[name] = value;
  std::map<std::string, std::string> const names{{"max_ba", "balanced_accuracy"},
                                                 {"max_ba_loc", "balanced_accuracy_threshold"},
                                                 {"max_f1", "f1"},
                                                 {"max_f1_loc", "f1_threshold"},
                                                 {"max_mcc", "mcc"},
                                                 {"max_mcc_loc", "mcc_threshold"},
                                                 {"tpr_eq_tnr", "tpr_eq_tnr"},
                                                 {"tpr_eq_tnr_loc", "tpr_eq_tnr_threshold"},
                                                 {"roc_auc", "auc"},
                                                 {"roc_auc_0.01FPR", "partial_auc_1e-2"},
                                                 {"roc_auc_0.001FPR", "partial_auc_1e-3"}};
  for (auto const& [name, value] : file.expected.items()) {
    check(names.contains(name), ErrorKind::input, "{}: the figure '{}' is not known", file.name, name);
    report.figure(name, figures.at(names.at(name)), value);
  }
}

/// The truth of a file of labelled hits, its particles from its hits.
auto truth_of(File const& file) {
  auto const& id = file["particle_id"];
  auto const ids = std::get<0>(id.masked_select(id > 0).sort());
  auto const [truth_id, which, hits] = at::unique_consecutive(ids, false, true);
  std::vector<std::int64_t> first;  // a hit of each particle
  for (std::int64_t p = 0; p < truth_id.size(0); ++p) first.push_back((id == truth_id[p]).nonzero()[0][0].item<std::int64_t>());
  auto const of = [&](char const* name) { return file[name].index_select(0, at::tensor(first, at::kLong)); };
  return Record{key::particle_id = id,    key::truth_id = truth_id,   key::truth_hits = hits,
                key::truth_pt = of("pt"), key::truth_eta = of("eta"), key::truth_reconstructable = of("reconstructable") > 0};
}
void tracking_metrics(File const& file, Report& report) {
  std::map<std::string, std::string> const names{{"n_particles", "particles"}, {"n_cleaned_clusters", "tracks"}};
  auto const truth = truth_of(file);
  for (auto const& [labels, by_cut] : file.expected.items()) {
    TrackMatching const matching(truth.with(key::label = file["labels." + labels]));
    for (auto const& [cut, values] : by_cut.items()) {
      std::map<std::string, double> figures;
      for (auto const& [name, value] : matching.score({.pt_min_gev = std::stod(cut)})) figures[name] = value;
      for (auto const& [name, value] : values.items())
        report.figure(fmt::format("{} at {}: {}", labels, cut, name), figures.at(names.contains(name) ? names.at(name) : name), value);
    }
  }
}
/// The label sets of the same hits in acorn's three matchings and one to one.
void other_styles(File const& file, Report& report) {
  auto const truth = truth_of(file);
  auto const &acorn = file.config.at("acorn"), &single = file.config.at("one_to_one");
  AcornMetrics const by_acorn{{.pt_min_gev = acorn.at("pt_min_gev"),
                               .eta_max = acorn.at("eta_max"),
                               .particle_hits_min = acorn.at("min_particle_length"),
                               .track_hits_min = acorn.at("min_track_length"),
                               .matching_fraction = acorn.at("matching_fraction")}};
  OneToOneMetrics const one_to_one{{.pt_min_gev = single.at("pt_min_gev"),
                                    .eta_max = single.at("eta_max"),
                                    .particle_hits_min = single.at("min_hits"),
                                    .track_hits_min = single.at("min_hits")}};
  auto const compare = [&](std::string const& what, Figures const& figures, std::string const& prefix, nlohmann::json const& expected) {
    if (expected.is_null()) return;  // no valid track there: not scored
    std::map<std::string, double> got(figures.begin(), figures.end());
    for (auto const& [name, value] : expected.items())
      report.figure(what + "." + name, got.at(name == "n_particles" ? "particles" : name == "n_tracks" ? "tracks" : prefix + name), value);
  };
  for (auto const& [labels, expected] : file.expected.at("one_to_one").items())
    compare(labels, one_to_one(truth.with(key::label = file["labels." + labels])), "", expected);
  for (auto const& [set, expected] : file.expected.at("acorn").items()) {
    auto const dot = set.rfind('.');
    auto const style = set.substr(dot + 1);
    compare(set, by_acorn(truth.with(key::label = file["labels." + set.substr(0, dot)])), style == "ATLAS" ? "atlas." : style + ".",
            expected);
  }
}
}  // namespace

std::vector<Reader> other_readers() {
  auto const exactly = [](std::string name, auto compare) {
    return Reader{[name](File const& file) { return file.name == name; }, compare};
  };
  return {of_name("geometric_graph_", geometric_graph),
          exactly("dbscan", dbscan),
          exactly("knn_max_radius", nearest),
          exactly("edge_metrics", edge_metrics),
          exactly("tracking_metrics", tracking_metrics),
          exactly("tracking_metrics_other_styles", other_styles)};
}

}  // namespace dew::parity
