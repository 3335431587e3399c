// SPDX-License-Identifier: BSL-1.0
// Small random events with every key of the schema, made without files: what the law suites run policies on.
// N hits, P particles, E edges.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dew/event/columns.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/truth.hpp"

namespace dew::testing {

/// What a sample event consists of, and values for keys of one's own.
struct SampleOptions {
  std::uint64_t seed = 1;
  int particles = 12;    ///< straight tracks from the beam line in the pixel detector, each with 3 to 8 hits
  int noise_hits = 6;    ///< particle id 0
  int unknown_hits = 4;  ///< particle id −1
  int latent = 3;        ///< dimension of the latent space
  /// For a key by name: its values for this many rows. Other keys that the schema does not have are filled at random: reals from a normal
  /// distribution, integers from 0 to 9 (or with rows of the domain that they point into), booleans by a coin.
  std::map<std::string, std::function<Tensor(std::int64_t rows)>> values = {};
};

/// The keys of a sample: all of the schema.
using SampleKeys =
    UnionOf<HitKeys, TruthKeys, Keys<EdgeIndex, EdgeFeatures, EdgeTruth, EdgeScore, NodeEmbedding, EdgeEmbedding, Latent, Beta, Label>>;

namespace detail {
/// Uniform and normal numbers that are equal on every machine.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : engine_(seed) {}
  double uniform(double low, double high) { return low + (high - low) * double(engine_() >> 11) * 0x1p-53; }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform(0, 1))) * std::cos(uniform(0, 2 * std::numbers::pi)); }
  std::int64_t below(std::int64_t n) { return std::min(n - 1, std::int64_t(uniform(0, double(n)))); }
  template <class T> void shuffle(std::vector<T>& values) {
    for (auto i = std::int64_t(values.size()) - 1; i > 0; --i) std::swap(values[std::size_t(i)], values[std::size_t(below(i + 1))]);
  }
  /// Values [rows, columns] in double; a number a row for `columns` = 0.
  Tensor tensor(std::int64_t rows, std::int64_t columns, std::function<double()> const& value) {
    std::vector<double> all(std::size_t(rows * std::max<std::int64_t>(columns, 1)));
    for (auto& x : all) x = value();
    auto const flat = at::tensor(all, at::kDouble);
    return columns > 0 ? flat.reshape({rows, columns}) : flat;
  }
  Tensor normals(std::int64_t rows, std::int64_t columns) {
    return tensor(rows, columns, [&] { return normal(); });
  }

 private:
  std::mt19937_64 engine_;
};

/// Hits of straight tracks on the pixel layers, noise and unknown hits, in random order, with their truth.
inline LabelledRecord sample_hits(SampleOptions const& options, Numbers& random) {
  constexpr double barrel_r[] = {32, 72, 116, 172}, disk_z[] = {600, 700, 820, 960, 1100, 1300, 1500};
  struct Hit {
    double x, y, z;
    std::int64_t volume, layer, particle;
  };
  std::vector<Hit> hits;
  std::vector<std::int64_t> particle_id;
  std::vector<double> px, py, pz;
  auto const add = [&](double r, double phi, double z, std::int64_t volume, std::int64_t layer, std::int64_t particle) {
    hits.push_back({r * std::cos(phi), r * std::sin(phi), z, volume, layer, particle});
  };
  for (std::int64_t id = 1; id <= options.particles; ++id) {
    double const phi = random.uniform(-std::numbers::pi, std::numbers::pi), slope = std::sinh(random.uniform(-3, 3));
    double const pt = random.uniform(0.3, 3), z0 = random.uniform(-20, 20), bend = random.uniform(-3e-4, 3e-4);
    particle_id.push_back(id);
    px.push_back(pt * std::cos(phi)), py.push_back(pt * std::sin(phi)), pz.push_back(pt * slope);
    for (std::int64_t layer = 0; layer < 4; ++layer) {
      double const r = barrel_r[layer] + random.uniform(-0.5, 0.5), z = z0 + slope * r;
      if (std::abs(z) < 490) add(r, phi + bend * r, z, 8, 2 * layer + 2, id);
    }
    for (std::int64_t layer = 0; layer < 7; ++layer) {
      double const z = std::copysign(disk_z[layer] + random.uniform(-0.5, 0.5), slope), r = (z - z0) / slope;
      if (r > 30 && r < 175) add(r, phi + bend * r, z, slope < 0 ? 7 : 9, slope < 0 ? 14 - 2 * layer : 2 * layer + 2, id);
    }
  }
  for (int i = 0; i < options.noise_hits + options.unknown_hits; ++i) {
    auto const layer = random.below(4);
    add(barrel_r[layer], random.uniform(-std::numbers::pi, std::numbers::pi), random.uniform(-480, 480), 8, 2 * layer + 2,
        i < options.noise_hits ? 0 : -1);
  }
  random.shuffle(hits);

  std::vector<std::int64_t> hit_id, volume, layer, known, origin;
  std::vector<double> x, y, z;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    hit_id.push_back(std::int64_t(i) + 1);
    x.push_back(hits[i].x), y.push_back(hits[i].y), z.push_back(hits[i].z);
    volume.push_back(hits[i].volume), layer.push_back(hits[i].layer);
    if (hits[i].particle >= 0) known.push_back(hit_id.back()), origin.push_back(hits[i].particle);
  }
  return make_labelled(pixel_detector(), {.hit_id = hit_id, .x = x, .y = y, .z = z, .volume = volume, .layer = layer},
                       {.hit_id = known, .particle_id = origin}, {.particle_id = particle_id, .px = px, .py = py, .pz = pz});
}

template <class R, class Domain> inline constexpr bool knows_rows = false;
template <class... S, class Domain>
inline constexpr bool knows_rows<Record<S...>, Domain> = (std::same_as<typename dew::detail::Slot<S>::key::Domain, Domain> || ...);

/// A tensor for a key that the schema does not have, or whose values the options give.
template <class K, class R>
Tensor sample_values(R const& event, SampleOptions const& options, Numbers& random) {
  std::int64_t rows = 3;
  if constexpr (knows_rows<R, typename K::Domain>) rows = event.template rows<typename K::Domain>();
  if (auto const given = options.values.find(std::string(K::name)); given != options.values.end()) {
    auto const made = given->second(rows);
    return K::kind == Kind::real ? made.to(at::kDouble) : made;
  }
  std::vector<std::int64_t> shape;
  for (auto const n : dew::detail::TrailingOf<typename K::Trailing>::sizes()) shape.push_back(n == any ? 4 : n);
  shape.insert(shape.begin() + K::row_dim, rows);
  auto const count = std::accumulate(shape.begin(), shape.end(), std::int64_t(1), std::multiplies<>());
  std::int64_t largest = 10;
  if constexpr (knows_rows<R, typename K::PointsInto>) largest = event.template rows<typename K::PointsInto>();
  if (K::kind == Kind::real) return random.normals(count, 0).reshape(shape);
  if (K::kind == Kind::boolean) return (random.normals(count, 0) > 0).reshape(shape);
  return random.tensor(count, 0, [&] { return double(random.below(largest)); }).to(at::kLong).reshape(shape);
}

template <class R, class... K>
auto with_sample_values(R const& event, SampleOptions const& options, Numbers& random, Keys<K...>) {
  if constexpr (sizeof...(K) == 0) return event;
  else return event.with(set<K>(sample_values<K>(event, options, random))...);
}
}  // namespace detail

/// A random labelled event with every key of the schema and those of `Extra`, in double on the CPU: `sample.to(at::kFloat)`,
/// `sample.to(device)` are the same event. Reals are exact in float, scores, β and distances have no ties.
///
/// Hits lie on tracks that a geometric graph finds. Edges, from any hit to another, in random order: those between neighbours on a track,
/// and as many wrong ones. The latent space has a cluster for each particle, with noise between. Small enough for finite differences.
template <class Extra = Keys<>>
auto sample_event(SampleOptions const& options = {}) {
  detail::Numbers random(options.seed);
  auto const hits = detail::sample_hits(options, random).to(at::kDouble);
  auto const n = hits.template rows<Hits>();
  auto const id = hits[key::particle_id];

  std::vector<std::pair<std::int64_t, std::int64_t>> edges;
  std::map<std::int64_t, std::vector<std::int64_t>> rows;
  for (std::int64_t i = 0; i < n; ++i) rows[id[i].template item<std::int64_t>()].push_back(i);
  for (auto const& [particle, its] : rows)
    for (std::size_t i = 1; i < its.size() && particle > 0; ++i) edges.emplace_back(its[i - 1], its[i]);
  for (auto wrong = edges.size(); wrong > 0 && n > 1; --wrong) {
    auto const source = random.below(n);
    edges.emplace_back(source, (source + 1 + random.below(n - 1)) % n);
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  random.shuffle(edges);
  std::vector<std::int64_t> ends;
  for (auto const& edge : edges) ends.push_back(edge.first);
  for (auto const& edge : edges) ends.push_back(edge.second);
  auto const e = std::int64_t(edges.size());

  // each hit at the centre of its particle, or anywhere
  auto const centres = random.normals(options.particles + 1, options.latent) * 0.7;
  auto const spread = at::where(id > 0, 0.08, 0.7).to(at::kDouble).unsqueeze(1);
  auto const exact = [](Tensor const& t) { return t.to(at::kFloat).to(at::kDouble); };
  auto const latent = centres.index_select(0, id.clamp_min(0)) + spread * random.normals(n, options.latent);
  auto const between = [&](double low, double high) { return [&random, low, high] { return random.uniform(low, high); }; };

  std::vector<std::int64_t> labels;  // the particle's track, now and then another one; noise and unknown hits are in some
  for (std::int64_t i = 0; i < n; ++i) {
    auto const its = id[i].template item<std::int64_t>();
    auto const particle = random.uniform(0, 1) < (its > 0 ? 0.15 : 0.5) ? random.below(options.particles + 1) : its;
    labels.push_back(std::max<std::int64_t>(particle, 0) - 1);
  }

  auto const graph =
      hits.with(key::edge_index = at::tensor(ends, at::kLong).reshape({2, e}), key::edge_features = exact(random.normals(e, 4)),
                key::edge_score = exact(random.tensor(e, 0, between(0.02, 0.98))), key::node_embedding = exact(random.normals(n, 5)),
                key::edge_embedding = exact(random.normals(e, 5)), key::latent = exact(latent),
                key::beta = exact(random.tensor(n, 0, between(0.05, 0.95))), key::label = at::tensor(labels, at::kLong));
  RecordOf<SampleKeys> const sample = graph.merge(SameParticleEdges{}(graph));
  auto const whole = detail::with_sample_values(sample, options, random, DifferenceOf<Extra, SampleKeys>{});
  if (options.values.empty()) return whole;
  // values that the options give for keys of the schema
  auto changed = whole;
  whole.for_each([&]<class K>(K, Tensor const&) {
    if (options.values.contains(std::string(K::name)))
      changed = decltype(changed)(changed.with(set<K>(detail::sample_values<K>(whole, options, random))));
  });
  return changed;
}

/// The event without its hits (and so without edges), and without particles.
template <class R>
R without_hits(R const& event) {
  auto const none = [&](std::int64_t rows) { return at::zeros({rows}, at::TensorOptions(event.device()).dtype(at::kBool)); };
  return event.select(none(event.template rows<Hits>()), Hits{}).select(none(event.template rows<Particles>()), Particles{});
}

/// The event with one of its hits alone (and so without edges), and that hit's particle.
template <class R>
R with_one_hit(R const& event, std::int64_t row) {
  auto const n = event.template rows<Hits>();
  auto const hit = at::arange(n, at::TensorOptions(event.device()).dtype(at::kLong)) == row;
  return event.select(hit, Hits{}).select(event[key::truth_id] == event[key::particle_id][row], Particles{});
}

/// Another order of an event's rows: row i of the new event is row `hits[i]` of the old one, and edge k edge `edges[k]`.
struct Order { Tensor hits, edges; };
inline Order random_order(std::int64_t hits, std::int64_t edges, std::uint64_t seed) {
  detail::Numbers random(seed);
  auto const shuffled = [&](std::int64_t n) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    random.shuffle(rows);
    return at::tensor(rows, at::kLong);
  };
  auto by_hit = shuffled(hits), by_edge = shuffled(edges);
  return {std::move(by_hit), std::move(by_edge)};
}

/// The same event in another order, everything that points at a hit or an edge renumbered.
template <class R>
R reordered(R const& event, Order const& order) {
  auto const place_of_hit = at::argsort(order.hits), place_of_edge = at::argsort(order.edges);
  auto const points = [](Tensor const& t, Tensor const& place) {
    return at::where(t >= 0, place.index_select(0, t.clamp_min(0).reshape(-1)).reshape(t.sizes()), t);
  };
  R out;
  event.for_each([&]<class K>(K, Tensor const& t) {
    auto moved = t;
    if constexpr (std::same_as<typename K::Domain, Hits>) moved = moved.index_select(K::row_dim, order.hits);
    if constexpr (std::same_as<typename K::Domain, Edges>) moved = moved.index_select(K::row_dim, order.edges);
    if constexpr (std::same_as<typename K::PointsInto, Hits>) moved = points(moved, place_of_hit);
    if constexpr (std::same_as<typename K::PointsInto, Edges>) moved = points(moved, place_of_edge);
    out = R(out.with(set<K>(moved)));
  });
  return out;
}

}  // namespace dew::testing
