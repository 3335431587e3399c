// SPDX-License-Identifier: BSL-1.0
#include "dew/event/simulated_detector.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <thread>

#include "dew/event/trackml.hpp"
#include "support/data.hpp"
#include "support/print.hpp"
#include "support/temp_dir.hpp"

using namespace dew;

namespace {
template <class R> bool equal(R const& a, R const& b) {
  bool same = true;
  a.for_each([&]<class K>(K, Tensor const& t) { same = same && at::equal(t, b[K{}]); });
  return same;
}
SimulatedDetector with(std::int64_t particles) {
  SimulatedDetector d;
  d.options.particles = particles;
  return d;
}
/// A detector in which nothing is left to chance but the particles.
SimulatedDetector ideal(std::int64_t particles) {
  auto d = with(particles);
  d.options.secondary_fraction = d.options.layer_x0 = d.options.resolution_mm = d.options.inefficiency = d.options.overlap =
      d.options.noise_fraction = 0;
  return d;
}
double radius(SimulatedEvent const& e, std::size_t i) { return std::hypot(e.hits.x[i], e.hits.y[i]); }
std::map<std::int64_t, std::vector<std::size_t>> by_particle(SimulatedEvent const& e) {
  std::map<std::int64_t, std::vector<std::size_t>> out;
  for (std::size_t i = 0; i < e.hits.id.size(); ++i) out[e.truth.particle[i]].push_back(i);
  return out;
}
/// The share of pairs of one particle's hits on consecutive layers that cuts on slope and z0 let pass.
double share_that_passes(LabelledRecord const& event, double slope_max, double z0_max) {
  auto const position = event[key::position].to(at::kDouble).contiguous();
  auto const* p = position.const_data_ptr<double>();
  auto const* layer = event[key::layer].const_data_ptr<std::int64_t>();
  auto const* id = event[key::particle_id].const_data_ptr<std::int64_t>();
  std::map<std::int64_t, std::vector<std::int64_t>> hits;
  for (std::int64_t i = 0; i < event.rows(Hits{}); ++i)
    if (id[i] > 0) hits[id[i]].push_back(i);
  std::set<std::pair<std::int64_t, std::int64_t>> pairs;
  for (auto const& pair : pixel_detector().pairs()) pairs.insert({pair.inner, pair.outer});
  double all = 0, pass = 0;
  for (auto const& [particle, rows] : hits)
    for (auto i : rows)
      for (auto j : rows) {
        if (!pairs.contains({layer[i], layer[j]})) continue;
        double const r1 = std::hypot(p[3 * i], p[3 * i + 1]), r2 = std::hypot(p[3 * j], p[3 * j + 1]), dr = r2 - r1;
        double const dphi = std::remainder(std::atan2(p[3 * j + 1], p[3 * j]) - std::atan2(p[3 * i + 1], p[3 * i]), 2 * std::numbers::pi);
        double const z0 = p[3 * i + 2] - r1 * (p[3 * j + 2] - p[3 * i + 2]) / dr;
        all += 1, pass += std::abs(dphi / dr) < slope_max && std::abs(z0) < z0_max;
      }
  return pass / all;
}
}  // namespace

TEST_CASE("an event is fixed by seed and number, not by the order of calls or by threads") {
  auto const d = with(300);
  auto const first = d.labelled(5);
  (void)d.labelled(6);
  CHECK(equal(d.labelled(5), first));
  CHECK(equal(d.hits(5), HitRecord(first)));
  std::vector<std::optional<DetailedRecord>> seen(4);
  std::vector<std::thread> threads;
  for (auto& slot : seen) threads.emplace_back([&] { slot = d.labelled(5); });
  for (auto& thread : threads) thread.join();
  for (auto const& record : seen) CHECK(equal(*record, first));
  CHECK_FALSE(at::equal(d.labelled(6)[key::hit_features].slice(0, 0, 50), first[key::hit_features].slice(0, 0, 50)));
  auto other = d;
  other.options.seed = 2;
  CHECK_FALSE(at::equal(other.labelled(5)[key::hit_features].slice(0, 0, 50), first[key::hit_features].slice(0, 0, 50)));
}

TEST_CASE("the numbers of events are 1 to as many as asked for") {
  SimulatedDetector d;
  d.options.events = 3;
  CHECK(d.ids() == std::vector<std::int64_t>{1, 2, 3});
  d.options.events = 0;
  CHECK(d.ids().empty());
}

TEST_CASE("the default event is of the size of recorded ones, and its tracks pass the default cuts") {
  SimulatedDetector const d;
  double passes = 0;
  for (std::int64_t id = 1; id <= 5; ++id) {
    auto const event = d.labelled(id);
    CAPTURE(id);
    CHECK(event.rows(Hits{}) >= 9000);
    CHECK(event.rows(Hits{}) <= 17000);
    CHECK(std::int64_t(d.all_hit_ids(id).size()) == event.rows(Hits{}));
    CHECK(at::isfinite(event[key::hit_features]).all().item<bool>());
    auto const noise = (event[key::particle_id] == 0).sum().item<std::int64_t>();
    CHECK((noise > 200 && noise < 700));
    CHECK((event[key::particle_id] >= 0).all().item<bool>());
    CHECK(event[key::truth_pt].min().item<float>() > 0.4999F);
    passes += share_that_passes(event, 0.002, 100) / 5;
    CHECK(share_that_passes(event, 0.005, 200) > 0.99);
  }
  CHECK(passes > 0.98);
}

TEST_CASE("simulated events resemble recorded ones: layers, pt, hits a particle, what passes the cuts") {
  auto const folder = test::test_data("trackml/hipt");
  if (!folder) return;
  TrackMl const recorded{{.events = folder->string()}};
  SimulatedDetector const simulated;
  auto const mean = [](auto const& source, std::int64_t first) {
    std::array<double, 18> layers{};
    double particles = 0, pt = 0, passes = 0;
    for (auto id = first; id < first + 5; ++id) {
      auto const event = source.labelled(id);
      auto const count = event[key::layer].bincount({}, 18);
      for (std::int64_t l = 0; l < 18; ++l) layers[std::size_t(l)] += double(count[l].template item<std::int64_t>()) / 5;
      particles += double(event.rows(Particles{})) / 5;
      pt += std::get<0>(event[key::truth_pt].median(0)).template item<double>() / 5;
      passes += share_that_passes(event, 0.002, 100) / 5;
    }
    return std::tuple(layers, particles, pt, passes);
  };
  auto const [layers, particles, pt, passes] = mean(recorded, 1000);
  auto const [our_layers, our_particles, our_pt, our_passes] = mean(simulated, 1);
  for (std::size_t l = 7; l <= 10; ++l) CHECK(our_layers[l] == doctest::Approx(layers[l]).epsilon(0.25));
  for (std::size_t l = 0; l < 18; ++l)
    CHECK((our_layers[l] > layers[l] / 2 && our_layers[l] < 2.5 * layers[l]));  // recorded disks have pt > 1 GeV only
  CHECK(our_particles == doctest::Approx(particles).epsilon(0.3));
  CHECK(our_pt == doctest::Approx(pt).epsilon(0.15));
  CHECK(our_passes == doctest::Approx(passes).epsilon(0.01));
}

TEST_CASE("without chance every particle leaves one hit a layer, on its helix") {
  auto const d = ideal(200);
  auto const e = d.simulate(1);
  std::map<std::int64_t, std::size_t> row;
  for (std::size_t p = 0; p < e.particles.id.size(); ++p) row[e.particles.id[p]] = p;
  std::size_t central = 0, four = 0;
  for (auto const& [id, hits] : by_particle(e)) {
    REQUIRE(row.contains(id));
    auto const p = row[id];
    double const px = e.particles.px[p], py = e.particles.py[p], pz = e.particles.pz[p], pt = std::hypot(px, py);
    Helix const h{e.particles.vx[p],  e.particles.vy[p], e.particles.vz[p],
                  std::atan2(py, px), pz / pt,           helix_curvature(double(e.particles.charge[p]), pt, 2)};
    std::set<std::pair<std::int64_t, std::int64_t>> layers;
    for (auto i : hits) {
      auto const s = h.to_cylinder(radius(e, i));
      REQUIRE(s.has_value());
      auto const there = h.at(*s);
      CHECK(std::hypot(there.x - e.hits.x[i], there.y - e.hits.y[i]) < 1e-3);
      CHECK(std::abs(there.z - e.hits.z[i]) < 1e-3 * (1 + std::abs(h.cot_theta)));
      layers.insert({e.hits.volume[i], e.hits.layer[i]});
    }
    CHECK(layers.size() == hits.size());  // no double hits
    CHECK(std::int64_t(hits.size()) == e.particles.hits[p]);
    if (std::abs(pz / pt) < 2)
      ++central, four += layers.contains({8, 2}) && layers.contains({8, 4}) && layers.contains({8, 6}) && layers.contains({8, 8});
  }
  CHECK(central > 30);
  CHECK(four == doctest::Approx(double(central)).epsilon(0.1));  // staves overlap by nothing and are tilted: some fall between two
  CHECK_FALSE(by_particle(e).contains(0));
}

TEST_CASE("hits lie on the detector: barrel radii and length, disks, modules") {
  auto const e = with(1000).simulate(3);
  std::map<std::int64_t, double> const barrel{{2, 32}, {4, 72}, {6, 116}, {8, 172}};
  std::array<double, 7> const disks{600, 700, 820, 960, 1100, 1300, 1500};
  auto const geometry = pixel_detector();
  for (std::size_t i = 0; i < e.hits.id.size(); ++i) {
    auto const volume = e.hits.volume[i], layer = e.hits.layer[i];
    REQUIRE(geometry.index({volume, layer}) >= 0);
    CHECK(e.hits.id[i] == std::int64_t(i) + 1);
    CHECK(e.hits.module[i] > 0);
    if (volume == 8) {
      CHECK(std::abs(radius(e, i) - barrel.at(layer)) < 3);
      CHECK(std::abs(e.hits.z[i]) < 490.2);
    } else {
      auto const disk = std::size_t(volume == 9 ? layer / 2 - 1 : 7 - layer / 2);
      CHECK(std::abs(e.hits.z[i] * (volume == 9 ? 1 : -1) - disks[disk]) < 3);
      CHECK((radius(e, i) > 29.9 && radius(e, i) < 176.1));
    }
  }
}

TEST_CASE("each option does what it says") {
  auto const base = ideal(400);
  auto const hits = [](SimulatedDetector const& d) { return double(d.simulate(1).hits.id.size()); };
  auto const changed = [&](auto&& change) {
    auto d = base;
    change(d.options);
    return d;
  };
  double const plain = hits(base);
  CHECK(base.simulate(1).particles.id.size() == 400);
  CHECK(hits(changed([](auto& o) { o.inefficiency = 0.3; })) == doctest::Approx(0.7 * plain).epsilon(0.06));
  CHECK(hits(changed([](auto& o) { o.inefficiency = 1; })) == 0);
  CHECK(hits(changed([](auto& o) { o.overlap = 0.2; })) == doctest::Approx(1.2 * plain).epsilon(0.06));
  auto const noisy = changed([](auto& o) { o.noise_fraction = 0.5; }).simulate(1);
  CHECK(double(by_particle(noisy)[0].size()) == doctest::Approx(0.5 * plain).epsilon(0.2));
  CHECK(double(noisy.hits.id.size()) > 1.3 * plain);

  auto const slowest = [](SimulatedEvent const& e) {
    double least = 1e9;
    for (std::size_t p = 0; p < e.particles.id.size(); ++p) least = std::min(least, std::hypot(e.particles.px[p], e.particles.py[p]));
    return least;
  };
  CHECK(slowest(base.simulate(1)) >= 0.4999);
  CHECK(slowest(changed([](auto& o) { o.pt_min_gev = 3; }).simulate(1)) >= 2.9999);

  auto const widest = [](SimulatedEvent const& e) {
    double most = 0;
    for (std::size_t p = 0; p < e.particles.id.size(); ++p)
      most = std::max(most, std::abs(pseudorapidity(std::hypot(e.particles.px[p], e.particles.py[p]), e.particles.pz[p])));
    return most;
  };
  CHECK(widest(base.simulate(1)) > 2);
  CHECK(widest(changed([](auto& o) { o.eta_max = 1; }).simulate(1)) < 1.001);

  auto const displaced = [](SimulatedEvent const& e) {
    int n = 0;
    for (std::size_t p = 0; p < e.particles.id.size(); ++p) n += std::hypot(e.particles.vx[p], e.particles.vy[p]) > 0.08;
    return n;
  };
  CHECK(displaced(base.simulate(1)) == 0);
  CHECK(displaced(changed([](auto& o) { o.secondary_fraction = 0.5; }).simulate(1)) == doctest::Approx(200).epsilon(0.25));

  // the distance of measured from true hits is that of two Gaussians
  auto const smeared = changed([](auto& o) { o.resolution_mm = 0.2; }).simulate(1);
  double square = 0;
  for (std::size_t i = 0; i < smeared.hits.id.size(); ++i)
    square += std::pow(smeared.hits.x[i] - smeared.truth.x[i], 2) + std::pow(smeared.hits.y[i] - smeared.truth.y[i], 2) +
              std::pow(smeared.hits.z[i] - smeared.truth.z[i], 2);
  CHECK(square / double(smeared.hits.id.size()) == doctest::Approx(2 * 0.2 * 0.2).epsilon(0.1));

  // scattering: how far the direction turns between vertex and hit, in theta and in phi, where no field turns it
  auto const turned = [](SimulatedEvent const& e) {
    std::array<double, 2> sum{};
    std::map<std::int64_t, std::size_t> row;
    for (std::size_t p = 0; p < e.particles.id.size(); ++p) row[e.particles.id[p]] = p;
    for (std::size_t i = 0; i < e.hits.id.size(); ++i) {
      auto const p = row.at(e.truth.particle[i]);
      double const pt = std::hypot(e.particles.px[p], e.particles.py[p]), theta = std::atan2(pt, e.particles.pz[p]);
      double const dtheta = std::atan2(std::hypot(e.truth.px[i], e.truth.py[i]), e.truth.pz[i]) - theta;
      double const dphi =
          std::remainder(std::atan2(e.truth.py[i], e.truth.px[i]) - std::atan2(e.particles.py[p], e.particles.px[p]), 2 * std::numbers::pi);
      sum[0] += dtheta * dtheta, sum[1] += std::pow(dphi * std::sin(theta), 2);
    }
    return std::array{std::sqrt(sum[0] / double(e.hits.id.size())), std::sqrt(sum[1] / double(e.hits.id.size()))};
  };
  auto const with_x0 = [&](double x0) { return turned(changed([&](auto& o) { o.field_t = 0, o.layer_x0 = x0; }).simulate(1)); };
  auto const none = with_x0(0), thin = with_x0(0.02), thick = with_x0(0.08);
  for (std::size_t angle : {0, 1}) {
    CHECK(none[angle] < 1e-5);
    CHECK((thin[angle] > 3e-4 && thin[angle] < 1e-2));
    CHECK(thick[angle] == doctest::Approx(2 * thin[angle]).epsilon(0.3));
  }
  CHECK(thin[0] == doctest::Approx(thin[1]).epsilon(0.2));  // as strong in both directions

  // a straight track: hits of a particle on one line through the vertex
  auto const straight = changed([](auto& o) { o.field_t = 0; }).simulate(1);
  for (auto const& [id, rows] : by_particle(straight))
    for (auto i : rows)
      CHECK(std::abs(std::remainder(
                std::atan2(straight.hits.y[i], straight.hits.x[i]) - std::atan2(straight.hits.y[rows[0]], straight.hits.x[rows[0]]),
                2 * std::numbers::pi)) < 0.005);
}

TEST_CASE("an event's files are TrackML's, and are read back as the same record") {
  test::TempDir const folder;
  auto d = with(400);
  d.write(folder / "events", 12);
  d.write(folder / "events", 3);
  TrackMl const files{{.events = (folder / "events").string()}};
  CHECK(files.ids() == std::vector<std::int64_t>{3, 12});
  for (std::int64_t id : {3, 12}) {
    CHECK(equal(files.labelled(id), d.labelled(id)));
    CHECK(equal(files.hits(id), d.hits(id)));
    CHECK(files.all_hit_ids(id) == d.all_hit_ids(id));
  }
  auto const truth = read_csv(folder / "events/event000000003-truth.csv", {{"tx"}, {"ty"}, {"tz"}, {"tpx"}, {"tpy"}, {"tpz"}, {"weight"}});
  CHECK(std::accumulate(truth.reals("weight").begin(), truth.reals("weight").end(), 0.) == doctest::Approx(1));
  auto const event = d.labelled(3);
  CHECK(event[key::weight].sum().item<double>() == doctest::Approx(1));
  CHECK(event[key::truth_weight].sum().item<double>() == doctest::Approx(1));
  CHECK(event[key::truth_radius].min().item<double>() >= 0);
  CHECK(event[key::truth_radius].max().item<double>() > 1);
  CHECK((event[key::truth_charge].abs() == 1).all().item<bool>());
  CHECK((event[key::truth_radius].masked_select(event[key::truth_primary] == 1) < 0.08).all().item<bool>());
  CHECK((event[key::truth_radius].masked_select(event[key::truth_primary] == 0) > 0.08).any().item<bool>());
  auto const before = read_file(folder / "events/event000000003-hits.csv");
  d.write(folder / "events", 3);
  CHECK((read_file(folder / "events/event000000003-hits.csv") == before));
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "events"), {}) == 6);
  CHECK_THROWS_AS(d.write("/proc/nowhere", 1), Error);
}

TEST_CASE("a fingerprint changes with event, seed and options, but not with the number of events") {
  SimulatedDetector const d;
  auto const f = d.fingerprint(1, false);
  CHECK(d.fingerprint(1, false) == f);
  CHECK(d.fingerprint(1, true) != f);
  CHECK(d.fingerprint(2, false) != f);
  auto other = d;
  other.options.events = 7;
  CHECK(other.fingerprint(1, false) == f);
  other.options.seed = 9;
  CHECK(other.fingerprint(1, false) != f);
  other = d;
  other.options.noise_fraction = 0.031;
  CHECK(other.fingerprint(1, false) != f);
}

TEST_CASE("options that make no sense are refused by name - extreme ones are not") {
  auto const message = [](auto&& change) {
    SimulatedDetector d;
    change(d.options);
    try {
      d.simulate(1);
      return std::string("no error");
    } catch (Error const& e) {
      CHECK(e.kind() == ErrorKind::usage);
      return std::string(e.what());
    }
  };
  CHECK(message([](auto& o) { o.overlap = -0.1; }) == "simulated_detector.overlap: expected a number from 0 to 1, got -0.1");
  CHECK(message([](auto& o) { o.pt_min_gev = 0; }) == "simulated_detector.pt_min_gev: expected a finite number above 0, got 0");
  CHECK(message([](auto& o) { o.pt_power = 1; }).starts_with("simulated_detector.pt_power: "));
  CHECK(message([](auto& o) { o.particles = -1; }).starts_with("simulated_detector.particles: "));
  CHECK(message([](auto& o) { o.resolution_mm = NAN; }).starts_with("simulated_detector.resolution_mm: "));
  CHECK_THROWS_AS(SimulatedDetector{}.simulate(-1), Error);
  CHECK(with(1).simulate(1).particles.id.size() == 1);
  auto slow = ideal(50);
  slow.options.pt_min_gev = 0.01, slow.options.pt_scale_gev = 0, slow.options.secondary_fraction = 1,
  slow.options.secondary_radius_max_mm = 500;
  slow.options.layer_x0 = 5;
  CHECK(slow.labelled(1).rows(Hits{}) >= 0);
  auto nothing = with(3);
  nothing.options.inefficiency = 1;
  CHECK(nothing.labelled(1).rows(Hits{}) == 0);
}
