// SPDX-License-Identifier: BSL-1.0
// The numbers that all rows run on: sectors of one simulated event of 100,000 hits, recorded events where there are any, trained networks.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>

#include "rows.hpp"

namespace dew::bench {
namespace {

constexpr std::int64_t all_hits = 100'000, epoch_events = 100;
constexpr double edges_a_hit = 287'814.0 / 10'341;  // of a recorded event with the default cuts, in one direction

/// The rows of an event's hits in the order of φ.
std::vector<std::size_t> hits_by_phi(SimulatedEvent const& event) {
  std::vector<std::size_t> rows(event.hits.id.size());
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<double> phi;
  for (auto i : rows) phi.push_back(std::atan2(event.hits.y[i], event.hits.x[i]));
  std::sort(rows.begin(), rows.end(), [&](auto i, auto j) { return phi[i] != phi[j] ? phi[i] < phi[j] : i < j; });
  return rows;
}

/// Leaves the given rows of a table's columns.
template <class... T>
void keep_rows(std::vector<std::size_t> const& rows, std::vector<T>&... columns) {
  auto const keep = [&]<class V>(std::vector<V>& column) {
    std::vector<V> out;
    for (auto i : rows) out.push_back(column[i]);
    column = std::move(out);
  };
  (keep(columns), ...);
}

/// The sector that holds hits [begin, end) in the order of φ; rows keep the event's order.
SimulatedEvent sector(SimulatedEvent const& e, std::vector<std::size_t> const& by_phi, std::int64_t begin, std::int64_t end) {
  std::vector<std::size_t> rows(by_phi.begin() + begin, by_phi.begin() + end), particles;
  std::sort(rows.begin(), rows.end());
  auto out = e;
  // structured bindings: a table with a new column does not compile until it is named here
  {
    auto& [id, volume, layer, module, x, y, z] = out.hits;
    keep_rows(rows, id, volume, layer, module, x, y, z);
  }
  {
    auto& [particle, x, y, z, px, py, pz, weight] = out.truth;
    keep_rows(rows, particle, x, y, z, px, py, pz, weight);
  }
  auto seen = out.truth.particle;
  std::sort(seen.begin(), seen.end());
  for (std::size_t i = 0; i < e.particles.id.size(); ++i)
    if (std::binary_search(seen.begin(), seen.end(), e.particles.id[i])) particles.push_back(i);
  auto& [id, hits, charge, primary, vx, vy, vz, px, py, pz] = out.particles;
  keep_rows(particles, id, hits, charge, primary, vx, vy, vz, px, py, pz);
  return out;
}

/// The cut on |Δφ/Δr| at which an event has as many edges a hit as a recorded one.
double slope_cut(LabelledRecord const& event, Settings settings) {
  double low = 1e-5, high = 5e-3;
  for (int i = 0; i < 16; ++i) {
    settings.phi_slope_max = std::sqrt(low * high);
    auto const builder = graph(settings);
    auto const edges = double(builder(event)[key::edge_index].size(1)) / 2;
    (edges > edges_a_hit * double(event.rows(Hits{})) ? high : low) = settings.phi_slope_max;
  }
  return settings.phi_slope_max;
}

/// A latent space as a trained condenser makes it: hits of a particle together, particles apart, and near those that are near in the
/// detector, so that a sector has the density of the whole. Another one of 24 dimensions; β; labels of DBSCAN.
LatentRecord latent_space(LabelledRecord const& event, double eps) {
  auto const n = event.rows(Hits{});
  auto const id = values_of<std::int64_t>(event[key::particle_id]), hit = values_of<std::int64_t>(event[key::hit_id]);
  auto const phi = values_of<double>(event[key::hit_features].select(1, 1)), eta = values_of<double>(event[key::hit_features].select(1, 3));
  auto latent = at::empty({n, 8}), beta = at::empty({n}), far = at::empty({n, 24});
  auto *x = latent.mutable_data_ptr<float>(), *b = beta.mutable_data_ptr<float>(), *f = far.mutable_data_ptr<float>();
  std::map<std::int64_t, std::pair<double, double>> first;  // φ, η of a particle's first hit
  for (std::size_t i = 0; i < std::size_t(n); ++i) {
    auto const own = id[i] > 0 ? id[i] : -1 - hit[i];
    auto const [at, _] = first.try_emplace(own, phi[i] * std::numbers::pi, eta[i]);
    std::mt19937_64 of_particle(mix_seed(1, std::uint64_t(own))), of_hit(mix_seed(2, std::uint64_t(hit[i])));
    std::normal_distribution<double> normal;
    std::vector<double> centre{4 * std::cos(at->second.first), 4 * std::sin(at->second.first), 2 * at->second.second};
    for (int c = 3; c < 8; ++c) centre.push_back(0.7 * normal(of_particle));
    for (int c = 0; c < 8; ++c) *x++ = float(centre[std::size_t(c)] + 0.06 * normal(of_hit));
    for (int c = 0; c < 24; ++c) *f++ = float(normal(of_particle) + 0.3 * normal(of_hit));
    *b++ = float(1 / (1 + std::exp(-1.5 * normal(of_hit))) * 0.98 + 0.01);
  }
  Dbscan const dbscan{{.eps = eps, .min_points = 1}};
  auto const record = event.with(key::latent = latent, key::beta = beta, key::hit_embedding = far);
  return record.merge(dbscan(record));
}

GraphRecord with_graph(LabelledRecord const& event, Settings const& settings) {
  auto const builder = graph(settings);
  auto const record = event.merge(builder(event));
  return record.merge(builder.truth()(record));
}

/// The edges that a good classifier leaves: the true ones and one in twenty of the others, in both directions.
GraphRecord with_cut_graph(GraphRecord const& event) {
  auto const truth = event[key::edge_truth];
  auto const one_way = at::arange(truth.size(0) / 2, at::TensorOptions().dtype(at::kLong));
  auto const some = at::remainder(one_way, 20) == 0;
  return event.select(at::logical_or(truth, at::cat({some, some})), Edges{});
}

/// The middle of the widest gap between scores near the cut: whether an edge is kept must not hang on rounding.
double cut_in_a_gap(GraphRecord const& event, SetFiles const& files, double cut) {
  at::NoGradGuard const no_grad;
  auto const scores = values_of<double>(std::get<0>(classifier()(event, *network(classifier(), files), {})[key::edge_score].sort()));
  double widest = 0, middle = cut;
  for (auto i = std::lower_bound(scores.begin(), scores.end(), cut - 0.002); i != scores.end() && i + 1 != scores.end() && *i < cut + 0.002;
       ++i)
    if (auto const gap = *(i + 1) - *i; gap > widest) widest = gap, middle = (*i + *(i + 1)) / 2;
  return middle;
}

/// Everything of a set whose CSV files are there.
void write_set(SetFiles const& files, Settings settings) {
  LabelledRecord const event = TrackMl{{.events = files.csv().string()}}.labelled(1);
  auto const record = with_graph(event, settings);
  settings.score_min = cut_in_a_gap(record, files, settings.score_min);
  save_record(files.graph(), record);
  save_record(files.cut_graph(), with_cut_graph(record));
  save_record(files.latent(), latent_space(event, settings.eps));
  write_file_atomically(files.set / "settings.json", json(settings).dump(2) + "\n");
  fmt::print("{}: {} hits, {} edges in one direction\n", files.set.filename().string(), event.rows(Hits{}),
             record[key::edge_index].size(1) / 2);
}

/// Networks that have learned something, so that scores tell edges apart and hits of a particle come together: the cut on the scores.
double train_networks(SetFiles const& files, Settings settings) {
  TrackMl const source{{.events = (files.epoch() / "csv").string()}};
  std::vector<std::int64_t> ids(epoch_events);
  std::iota(ids.begin(), ids.end(), 1);
  Trained trained(pipeline(settings), source.labelled(1), 1);
  auto const train = [&](auto const& fit) {
    Trainer trainer(trained, source, std::tuple<>{}, TrainerSettings{.train = ids});
    trainer.run(fit);
  };
  train(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 2, .learning_rate = 5e-3}));
  // the cut loses one true edge in twenty
  auto const event = with_graph(source.labelled(1), settings);
  auto const scored = trained.run<0, 2>(event, {});
  auto const score = std::get<0>(scored[key::edge_score].detach().masked_select(scored[key::edge_truth]).sort());
  settings.score_min = score[score.size(0) / 20].item<double>();
  std::get<2>(trained.pipeline.stages).options.score_min = settings.score_min;
  train(fit<Condenser>(5 * Attraction{} + Repulsion{} + 0.1 * Coward{}, {.epochs = 3, .learning_rate = 5e-3}));
  for (std::string const stage : {"edge_classifier", "condenser"}) {
    SafeTensors out;
    for (auto const& [name, tensor] : trained.tensors())
      if (name.starts_with(stage + ".")) out.tensors[name.substr(stage.size() + 1)] = tensor;
    write_safetensors(files.networks(stage), out);
  }
  return settings.score_min;
}

/// Plain and compressed copies of a recorded event, as event 1; false where it is not there.
bool copy_recorded(SetFiles const& files, fs::path const& folder, std::string const& event) {
  for (auto const& [kind, as] :
       std::map<std::string, std::string>{{"hits", "hits"}, {"truth", "truth"}, {"truth_partial", "truth"}, {"particles", "particles"}}) {
    auto const from = folder / fmt::format("event{}-{}.csv.gz", event, kind);
    if (!fs::exists(from)) continue;
    fs::create_directories(files.csv()), fs::create_directories(files.gz());
    auto const bytes = read_file(from);
    write_file_atomically(files.gz() / fmt::format("event000000001-{}.csv.gz", as), bytes);
    write_file_atomically(files.csv() / fmt::format("event000000001-{}.csv", as), gunzip(bytes, from.string()));
  }
  return fs::exists(files.csv() / "event000000001-hits.csv");
}
}  // namespace

void make_data(fs::path const& root, fs::path const& recorded) {
  fs::remove_all(root);
  auto const event = SimulatedDetector{{.particles = 24'000}}.simulate(1);
  auto const by_phi = hits_by_phi(event);
  check(std::int64_t(by_phi.size()) >= all_hits, "the simulated event has {} hits, fewer than {}", by_phi.size(), all_hits);

  Settings settings{.z0_max_mm = 100};
  SetFiles const whole{root / fmt::format("sim_{}", all_hits)};
  write_trackml_files(whole.csv(), 1, sector(event, by_phi, 0, all_hits));
  settings.phi_slope_max = slope_cut(TrackMl{{.events = whole.csv().string()}}.labelled(1), settings);

  TrackMl const source{{.events = (whole.epoch() / "csv").string()}};
  for (std::int64_t i = 0; i < epoch_events; ++i) {
    write_trackml_files(whole.epoch() / "csv", i + 1, sector(event, by_phi, i * 1000, (i + 1) * 1000));
    save_record(whole.epoch_graph(i + 1), with_graph(source.labelled(i + 1), settings));
  }
  fmt::print("training two networks on {} sectors\n", epoch_events);
  settings.score_min = train_networks(whole, settings);

  for (std::int64_t const n : {1'000, 10'000, 50'000, 100'000}) {
    SetFiles const files{root / fmt::format("sim_{}", n)};
    if (n < all_hits) write_trackml_files(files.csv(), 1, sector(event, by_phi, 0, n));
    write_set(files, settings);
  }
  auto tight = settings;
  tight.phi_slope_max = 0.002, tight.z0_max_mm = 100;
  auto usual = settings;
  usual.phi_slope_max = 0.005, usual.z0_max_mm = 200;
  if (SetFiles const hipt{root / "hipt"}; copy_recorded(hipt, recorded / "hipt", "000001070")) write_set(hipt, usual);
  if (SetFiles const full{root / "full"}; copy_recorded(full, recorded / "full", "000001001")) write_set(full, tight);
}

}  // namespace dew::bench
