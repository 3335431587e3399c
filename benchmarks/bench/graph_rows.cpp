// SPDX-License-Identifier: BSL-1.0
// Rows without networks: files, features, graph, neighbours, clustering, metrics.
#include "rows.hpp"

namespace dew::bench {
namespace {

template <class F>
std::function<double()> timed(F f) {
  return [f = std::move(f)]() mutable {
    at::NoGradGuard const no_grad;
    return seconds_of(f);
  };
}

/// The three files of an event, with the columns that dew's source for TrackML asks for.
Row read_csv_row(fs::path const& folder, std::string const& ending) {
  using enum CsvColumn::Type;
  auto const file = [&](char const* kind) { return folder / fmt::format("event000000001-{}.csv{}", kind, ending); };
  std::vector<CsvFile> const files{
      {file("hits"), {{"hit_id", integer}, {"x"}, {"y"}, {"z"}, {"volume_id", integer}, {"layer_id", integer}}},
      {file("truth"), {{"hit_id", integer}, {"particle_id", integer}}},
      {file("particles"), {{"particle_id", integer}, {"px"}, {"py"}, {"pz"}}}};
  Row row;
  auto tables = std::make_shared<std::vector<CsvTable>>();
  row.run = timed([=] {
    tables->clear();
    *tables = read_csv_files(files);
  });
  row.run();
  row.n = std::int64_t(tables->front().rows());
  std::string text;
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto const bytes = read_file(files[i].path);
    if (ending.empty()) text = bytes;
    else {
      row.seconds += seconds_of([&] { text = gunzip(bytes, ""); });
      row.bytes += double(bytes.size());
    }
    row.bytes += double(text.size()) + 8.0 * double(files[i].columns.size() * (*tables)[i].rows());
  }
  row.result = [=] {
    NamedTensors out;
    for (std::size_t i = 0; i < files.size(); ++i)
      for (auto const& column : files[i].columns) {
        auto const& table = (*tables)[i];
        auto const name = fmt::format("{}.{}", i, column.name);
        out[name] = column.type == integer ? detail::to_tensor(table.integers(column.name)) : detail::to_tensor(table.reals(column.name));
      }
    return out;
  };
  return row;
}

/// A record's part that a row needs, with the number of its hits.
template <class R>
R load(fs::path const& file, Row& row) {
  auto out = load_record<R>(file);
  row.n = out.rows(Hits{});
  return out;
}

Row features_row(SetFiles const& files) {
  Row row;
  auto const position = load<GraphRecord>(files.graph(), row)[key::position].clone();
  auto out = std::make_shared<Tensor>();
  row.bytes = 4.0 * (3 + 6) * double(row.n);
  row.run = timed([=] { *out = node_features(position); });
  row.result = [=] { return NamedTensors{{"features", *out}}; };
  return row;
}

NamedTensors edges_of(GraphRecord const& event) {
  return {{"edge_index", event[key::edge_index]}, {"edge_features", event[key::edge_features]}, {"edge_truth", event[key::edge_truth]}};
}

Row graph_row(SetFiles const& files) {
  Row row;
  LabelledRecord const event = load<GraphRecord>(files.graph(), row);
  auto out = std::make_shared<GraphRecord>();
  row.run = timed([event, out, builder = graph(files.settings())] {
    auto const record = event.merge(builder(event));
    *out = record.merge(builder.truth()(record));
  });
  row.run();
  auto const edges = double((*out)[key::edge_index].size(1));
  row.bytes = (12 + 8 + 8) * double(row.n) + (16 + 16 + 1) * edges;
  row.result = [=] { return edges_of(*out); };
  return row;
}

/// The same in torch operations.
Row graph_reference_row(SetFiles const& files) {
  Row row;
  LabelledRecord const event = load<GraphRecord>(files.graph(), row);
  auto out = std::make_shared<GraphRecord>();
  row.run = timed([event, out, builder = graph(files.settings())] {
    auto const edges = geometric_edges_reference(event[key::position], event[key::layer], builder.geometry.pairs(),
                                                 {builder.options.phi_slope_max, builder.options.z0_max_mm, builder.options.dr_max}, true);
    auto const record = event.with(key::edge_index = edges.edge_index, key::edge_features = edges.features);
    *out = record.merge(builder.truth()(record));
  });
  row.result = [=] { return edges_of(*out); };
  return row;
}

constexpr std::int64_t neighbours_k = 16;

Row neighbours_row(SetFiles const& files, std::int64_t d, bool reference) {
  Row row;
  auto const event = load<LatentRecord>(files.latent(), row);
  auto const x = (d == 3 ? event[key::hit_features].narrow(1, 0, 3) : d == 8 ? event[key::latent] : event[key::hit_embedding]).contiguous();
  check(x.size(1) == d, ErrorKind::usage, "neighbours: there are no points of {} dimensions", d);
  auto out = std::make_shared<Neighbours>();
  if (d > 8) row.flops = 2.0 * double(row.n) * double(row.n) * double(d);  // all distances as products
  else row.bytes = 4.0 * double(d * row.n) + 12.0 * double(neighbours_k * row.n);
  row.run = timed([=] { *out = reference ? nearest_neighbours_reference(x, neighbours_k) : nearest_neighbours(x, neighbours_k); });
  row.result = [=] {
    return NamedTensors{{"distance", out->distance.reshape({-1, neighbours_k})}, {"index", out->index.reshape({-1, neighbours_k})}};
  };
  return row;
}

Row dbscan_row(SetFiles const& files, bool reference) {
  Row row;
  auto const x = load<LatentRecord>(files.latent(), row)[key::latent].clone();
  DbscanStep const step{files.settings().eps, 3};
  auto out = std::make_shared<Tensor>();
  row.bytes = (4.0 * 8 + 8) * double(row.n);
  row.run = timed([=] { *out = reference ? dbscan_reference(x, step) : dbscan_labels(x, step); });
  row.result = [=] { return NamedTensors{{"label", *out}}; };
  return row;
}

TrackingMetrics tracking_metrics() { return {{.pt_bins_gev = {}, .eta_bins = {}}}; }
Tensor as_tensor(Figures const& figures) {
  std::vector<double> out;
  for (auto const& [name, value] : figures) out.push_back(value);
  return detail::to_tensor(out);
}

Row metrics_row(SetFiles const& files) {
  Row row;
  auto const event = load<LatentRecord>(files.latent(), row);
  auto out = std::make_shared<Figures>();
  row.bytes = 2 * 8.0 * double(row.n);
  row.run = timed([=, metric = tracking_metrics()] { *out = metric(event); });
  row.result = [=] { return NamedTensors{{"figures", as_tensor(*out)}}; };
  return row;
}

Row eps_scan_row(SetFiles const& files) {
  Row row;
  auto const event = load<LatentRecord>(files.latent(), row);
  Dbscan::Scan const grid{.eps_min = 0.05, .eps_max = 0.8, .eps_steps = 40, .min_points = {1, 2}};
  auto out = std::make_shared<std::vector<Tensor>>();
  row.bytes = (4.0 * 8 + 8) * double(row.n) + 80 * 2 * 8.0 * double(row.n);
  row.run = timed([=, metric = tracking_metrics()] {
    std::vector<Tensor> labels;
    for (auto const& written : Dbscan{}.run_all(event, grid.candidates())) labels.push_back(written[key::label]);
    out->clear();
    for (auto const& figures : metric.in_turn(event, labels)) out->push_back(as_tensor(figures));
  });
  row.result = [=] { return NamedTensors{{"figures", at::stack(*out)}}; };
  return row;
}
}  // namespace

Row make_graph_row(std::string const& name, SetFiles const& files, std::int64_t d) {
  if (name == "read_csv") return read_csv_row(files.csv(), "");
  if (name == "read_csv_gzip") return read_csv_row(files.gz(), ".gz");
  if (name == "features") return features_row(files);
  if (name == "graph") return graph_row(files);
  if (name == "graph.reference") return graph_reference_row(files);
  if (name == "neighbours" || name == "neighbours.reference") return neighbours_row(files, d, name != "neighbours");
  if (name == "dbscan" || name == "dbscan.reference") return dbscan_row(files, name != "dbscan");
  if (name == "metrics") return metrics_row(files);
  if (name == "eps_scan") return eps_scan_row(files);
  return {};
}

}  // namespace dew::bench
