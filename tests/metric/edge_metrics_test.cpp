// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/edge_metrics.hpp"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "support/seed.hpp"

using namespace dew;

namespace {
using Named = std::map<std::string, double>;
Named named(Figures const& figures) { return {figures.begin(), figures.end()}; }

struct Scored {
  std::vector<double> w;
  std::vector<bool> y;
  Tensor score() const { return at::tensor(w, at::kDouble); }
  Tensor truth() const {
    auto t = at::zeros({std::int64_t(y.size())}, at::kBool);
    for (std::size_t i = 0; i < y.size(); ++i) t[std::int64_t(i)] = bool(y[i]);
    return t;
  }
};
/// Scores on a lattice that holds the thresholds themselves, so that ties and equality with a threshold happen.
Scored random_scores(std::uint32_t seed, int n) {
  std::mt19937 random(seed);
  Scored s;
  for (int i = 0; i < n; ++i) {
    bool const is_true = random() % 3 == 0;
    s.w.push_back(double(float(double(std::min(199u, unsigned(random() % 150) + (is_true ? 60u : 0u))) / 199)));
    s.y.push_back(is_true);
  }
  return s;
}

/// By definition: every threshold counts every edge; the AUC is the fraction of (true, false) pairs in the right order, ties half.
Named by_definition(Scored const& s) {
  Named out;
  double positives = 0, negatives = 0, ordered = 0;
  for (std::size_t i = 0; i < s.w.size(); ++i) (s.y[i] ? positives : negatives) += 1;
  for (std::size_t i = 0; i < s.w.size(); ++i)
    for (std::size_t j = 0; j < s.w.size(); ++j)
      if (s.y[i] && !s.y[j]) ordered += s.w[i] > s.w[j] ? 1 : s.w[i] == s.w[j] ? 0.5 : 0;
  out["auc"] = ordered / positives / negatives;
  double smallest = 1e9;
  for (auto const* name : {"f1", "mcc", "balanced_accuracy"}) out[name] = -1e9;
  for (int k = 0; k < 200; ++k) {
    double const threshold = double(float(k / 199.0));
    double tp = 0, fp = 0, tn = 0, fn = 0;
    for (std::size_t i = 0; i < s.w.size(); ++i) (s.w[i] >= threshold ? (s.y[i] ? tp : fp) : (s.y[i] ? fn : tn)) += 1;
    auto const offer = [&](std::string const& name, double value) {
      if (value > out[name]) out[name] = value, out[name + "_threshold"] = threshold;
    };
    offer("f1", 2 * tp / (2 * tp + fp + fn));
    offer("balanced_accuracy", (tp / positives + tn / negatives) / 2);
    double const norm = std::sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
    offer("mcc", norm == 0 ? 0 : (tp * tn - fp * fn) / norm);
    double const difference = std::abs(tp / positives - tn / negatives);
    if (difference < smallest)
      smallest = difference, out["tpr_eq_tnr"] = (tp / positives + tn / negatives) / 2, out["tpr_eq_tnr_threshold"] = threshold;
  }
  out["edges"] = positives + negatives, out["true_edges"] = positives;
  return out;
}
/// Whether the figures agree with the definition in all that it names.
bool agree(Named const& expected, Named const& got) {
  for (auto const& [name, value] : expected)
    if (!got.contains(name) || !(std::abs(got.at(name) - value) < 1e-9)) return false;
  return true;
}
}  // namespace

TEST_CASE("edge figures are those of the definition") {
  auto const seed = test::seed_of_input();
  for (std::uint32_t trial = 0; trial < 20; ++trial) {
    auto const s = random_scores(seed + trial, 300);
    CHECK(agree(by_definition(s), named(edge_figures(s.score(), s.truth()))));
  }
}

TEST_CASE("the oracle of edge figures rejects wrong ones") {
  auto const s = random_scores(3, 200);
  auto const expected = by_definition(s);
  auto const good = named(edge_figures(s.score(), s.truth()));
  REQUIRE(agree(expected, good));
  for (auto const& [name, value] : expected) {
    auto wrong = good;
    wrong[name] += 1e-3;
    CHECK_FALSE(agree(expected, wrong));
  }
  CHECK_FALSE(agree(by_definition(random_scores(4, 200)), good));
}

TEST_CASE("partial AUC in McClish's form: 1 for perfect, 1/2 for guessing, linear at the rate") {
  Scored perfect{{0.9, 0.8, 0.2, 0.1}, {true, true, false, false}};
  auto const got = named(edge_figures(perfect.score(), perfect.truth()));
  CHECK(got.at("auc") == 1);
  CHECK(got.at("partial_auc_1e-2") == 1);
  CHECK(got.at("f1") == 1);
  CHECK(got.at("f1_threshold") == doctest::Approx(40 / 199.0));  // the lowest threshold above 0.2
  Scored guess{{0.5, 0.5, 0.5}, {true, false, true}};
  CHECK(named(edge_figures(guess.score(), guess.truth())).at("partial_auc_1e-3") == doctest::Approx(0.5));
  // the curve goes (0, 0) (0, 1/2) (1/2, 1/2) (1/2, 1) (1, 1): A(0.01) = 0.005
  Scored half{{0.9, 0.8, 0.7, 0.6}, {true, false, true, false}};
  CHECK(named(edge_figures(half.score(), half.truth())).at("partial_auc_1e-2") ==
        doctest::Approx(0.5 * (1 + (0.005 - 5e-5) / (0.01 - 5e-5))));
}

TEST_CASE("one kind of edges alone, and no edge: undefined") {
  auto const no = named(edge_figures(at::empty({0}), at::empty({0}, at::kBool)));
  CHECK(std::isnan(no.at("auc")));
  CHECK(std::isnan(no.at("f1")));
  CHECK(no.at("edges") == 0);
  auto const all_true = named(edge_figures(at::full({3}, 0.5), at::ones({3}, at::kBool)));
  CHECK(std::isnan(all_true.at("mcc")));
  CHECK(std::isnan(all_true.at("tpr_eq_tnr_threshold")));
  CHECK(all_true.at("f1") == 1);
  CHECK(all_true.at("f1_threshold") == 0);
  CHECK(std::isnan(named(edge_figures(at::full({3}, 0.5), at::zeros({3}, at::kBool))).at("f1")));
  CHECK_THROWS_WITH_AS(edge_figures(at::full({2}, NAN), at::ones({2}, at::kBool)), doctest::Contains("a score is NaN"), Error);
  CHECK_THROWS_AS(edge_figures(at::zeros({2}), at::ones({3}, at::kBool)), Error);
}

TEST_CASE("edges above a pt cut by either end, strictly - edges with an unknown end are left out") {
  auto const event = Record{
      key::edge_score = at::tensor({0.9, 0.8, 0.3, 0.2, 0.6}, at::kDouble), key::edge_truth = at::tensor({1, 0, 1, 0, 0}, at::kLong) > 0,
      key::edge_index = at::tensor({0, 1, 2, 2, 3, 1, 2, 3, 3, 0}, at::kLong).reshape({2, 5}),
      key::particle_id = at::tensor({1, 1, 2, 2, -1}, at::kLong), key::pt = at::tensor({2.0, 0.9, 0.9, 0.5, 9.0}, at::kDouble)};
  auto const figures = named(EdgeMetrics{}(event));
  CHECK(figures.at("edges") == 5);
  CHECK(figures.at("pt0.9.edges") == 2);  // 0-1 and 3-0
  CHECK(figures.at("pt0.9.true_edges") == 1);
  auto const unknown = named(EdgeMetrics{}(event.with(key::particle_id = at::tensor({1, 1, 2, -1, -1}, at::kLong))));
  CHECK(unknown.at("edges") == 2);
  CHECK(EdgeMetrics{{.pt_cuts_gev = {}}}(event).size() * 2 == EdgeMetrics{}(event).size());
}
