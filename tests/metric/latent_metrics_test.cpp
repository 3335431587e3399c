// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/latent_metrics.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "support/seed.hpp"

using namespace dew;

namespace {
/// N hits in 3 dimensions; particles 1 … 6 of at least one hit each, noise and unknown hits.
struct Space {
  std::vector<std::vector<double>> x;
  std::vector<double> beta, pt, eta;
  std::vector<std::int64_t> id, good;
  auto record() const {
    std::vector<double> flat;
    for (auto const& point : x) flat.insert(flat.end(), point.begin(), point.end());
    auto const real = [](auto const& v) { return at::tensor(v, at::kDouble); };
    return Record{key::latent = real(flat).reshape({std::int64_t(x.size()), 3}),
                  key::beta = real(beta),
                  key::particle_id = at::tensor(id, at::kLong),
                  key::pt = real(pt),
                  key::eta = real(eta),
                  key::reconstructable = at::tensor(good, at::kLong) > 0};
  }
  double distance(std::size_t i, std::size_t j) const {
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) sum += (x[i][k] - x[j][k]) * (x[i][k] - x[j][k]);
    return std::sqrt(sum);
  }
  bool of_interest(std::size_t i) const { return id[i] > 0 && good[i] != 0 && pt[i] > 0.9 && std::abs(eta[i]) < 4; }
  /// The condensation hit of each particle of interest.
  std::map<std::int64_t, std::size_t> centres() const {
    std::map<std::int64_t, std::size_t> out;
    for (std::size_t i = 0; i < id.size(); ++i) {
      bool any = false;
      for (std::size_t j = 0; j < id.size(); ++j) any = any || (id[j] == id[i] && of_interest(j));
      if (any && (!out.contains(id[i]) || beta[i] > beta[out[id[i]]])) out[id[i]] = i;
    }
    return out;
  }
};
Space random_space(std::uint32_t seed, int hits = 60) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Space s;
  for (int i = 0; i < hits; ++i) {
    auto const id = std::int64_t(i < 8 ? i : int(random() % 8)) - 1;
    s.id.push_back(id), s.good.push_back(id > 0 && id != 3), s.pt.push_back(id > 0 ? 0.4 * double(id) : 0),
        s.eta.push_back(id > 0 ? 0.7 * double(id) : 0);
    s.beta.push_back(double(random() % 5) / 5);  // with ties
    s.x.push_back({double(id) + 0.5 * normal(random), normal(random), normal(random)});
  }
  return s;
}
CondensationObjects objects_of(Space const& s) {
  auto const r = s.record();
  std::vector<std::int64_t> chosen;
  for (std::size_t i = 0; i < s.id.size(); ++i) chosen.push_back(s.of_interest(i));
  return condensation_objects(r[key::beta], r[key::particle_id], at::tensor(chosen, at::kLong) > 0);
}
bool same(double a, double b) { return std::isnan(b) ? std::isnan(a) : std::abs(a - b) < 1e-12; }
double quantile(std::vector<double> v, double q) {
  std::sort(v.begin(), v.end());
  if (v.empty()) return std::nan("");
  double const place = q * double(v.size() - 1), below = std::floor(place);
  auto const i = std::size_t(below);
  return i + 1 < v.size() ? v[i] * (1 - (place - below)) + v[i + 1] * (place - below) : v[i];
}
}  // namespace

TEST_CASE("distances to condensation points are those of the definition") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 10; ++trial) {
    auto const s = random_space(seed + trial);
    auto const centres = s.centres();
    auto const found = latent_distances(s.record()[key::latent], objects_of(s));
    std::vector<double> own_all, other_all, rest_all;
    double nearest = 0, members = 0;
    for (std::size_t i = 0; i < s.id.size(); ++i) {
      double own = std::nan(""), other = std::nan("");
      for (auto const& [particle, centre] : centres) {
        double const d = s.distance(i, centre);
        if (particle == s.id[i]) own = d;
        else other = std::isnan(other) ? d : std::min(other, d);
      }
      CHECK(same(found.own[std::int64_t(i)].item<double>(), own));
      CHECK(same(found.other[std::int64_t(i)].item<double>(), other));
      CHECK_FALSE(same(found.other[std::int64_t(i)].item<double>(), other + 0.01));
      bool const in = centres.contains(s.id[i]);
      if (in && centres.at(s.id[i]) != i) own_all.push_back(own);
      if (in) other_all.push_back(other), ++members, nearest += !(other < own);
      if (!in && s.id[i] >= 0) rest_all.push_back(other);
    }
    auto const figures = LatentMetrics{}(s.record());
    std::map<std::string, double> const named(figures.begin(), figures.end());
    CHECK(named.at("own.median") == doctest::Approx(quantile(own_all, 0.5)));
    CHECK(named.at("own.q90") == doctest::Approx(quantile(own_all, 0.9)));
    CHECK(named.at("other.q10") == doctest::Approx(quantile(other_all, 0.1)));
    CHECK(named.at("rest.q10") == doctest::Approx(quantile(rest_all, 0.1)));
    CHECK(named.at("rest.mean") == doctest::Approx(std::accumulate(rest_all.begin(), rest_all.end(), 0.) / double(rest_all.size())));
    CHECK(named.at("own.nearest") == doctest::Approx(nearest / members));
    CHECK(named.at("objects") == double(centres.size()));
  }
}

TEST_CASE("more hits than a tile has rows") {
  auto const s = random_space(5, 2500);
  auto const found = latent_distances(s.record()[key::latent], objects_of(s));
  auto const centres = s.centres();
  for (std::size_t const i : {0UL, 1023UL, 1024UL, 2047UL, 2048UL, 2499UL}) {
    double other = std::nan("");
    for (auto const& [particle, centre] : centres)
      if (particle != s.id[i]) other = std::isnan(other) ? s.distance(i, centre) : std::min(other, s.distance(i, centre));
    CHECK(same(found.other[std::int64_t(i)].item<double>(), other));
  }
}

TEST_CASE("one object has no other, none has none") {
  auto s = random_space(6);
  for (auto& id : s.id) id = id > 0 ? 5 : id;
  for (auto& pt : s.pt) pt = 2;
  for (auto& good : s.good) good = 1;
  for (auto& eta : s.eta) eta = 0;
  auto figures = LatentMetrics{}(s.record());
  std::map<std::string, double> named(figures.begin(), figures.end());
  CHECK(named.at("objects") == 1);
  CHECK(std::isnan(named.at("other.mean")));
  CHECK(std::isfinite(named.at("rest.mean")));
  CHECK(named.at("own.nearest") == 1);
  for (auto& good : s.good) good = 0;
  figures = LatentMetrics{}(s.record());
  named = {figures.begin(), figures.end()};
  CHECK(named.at("objects") == 0);
  CHECK(std::isnan(named.at("own.mean")));
  CHECK(std::isnan(named.at("rest.q10")));
  CHECK(std::isnan(named.at("own.nearest")));
}
