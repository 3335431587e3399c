// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/dbscan.hpp"

#include <doctest/doctest.h>

#include <random>

#include "dew/ops/dbscan_scan.hpp"
#include "support/points.hpp"
#include "support/seed.hpp"

using namespace dew;
using dew::test::lattice_points;

namespace {
/// The textbook: grow a cluster from each core point that has none, in order.
std::vector<std::int64_t> dbscan_by_definition(Tensor const& points, double eps, std::int64_t min_points) {
  auto const x = points.to(at::kDouble).contiguous();
  auto const n = std::size_t(x.size(0)), d = std::size_t(x.size(1));
  auto const* p = x.const_data_ptr<double>();
  std::vector<std::vector<std::size_t>> near(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t c = 0; c < d; ++c) sum += (p[i * d + c] - p[j * d + c]) * (p[i * d + c] - p[j * d + c]);
      if (sum <= eps * eps) near[i].push_back(j);
    }
  auto const core = [&](std::size_t i) { return std::int64_t(near[i].size()) >= min_points; };
  std::vector<std::int64_t> labels(n, -1);
  std::int64_t next = 0;
  for (std::size_t seed = 0; seed < n; ++seed) {
    if (!core(seed) || labels[seed] >= 0) continue;
    std::vector<std::size_t> open{seed};
    labels[seed] = next;
    while (!open.empty()) {
      auto const i = open.back();
      open.pop_back();
      if (!core(i)) continue;
      for (auto j : near[i])
        if (labels[j] < 0) labels[j] = next, open.push_back(j);
    }
    ++next;
  }
  return labels;
}
bool is_dbscan(Tensor const& points, double eps, std::int64_t min_points, Tensor const& labels) {
  return at::equal(labels, at::tensor(dbscan_by_definition(points, eps, min_points), at::kLong));
}
std::vector<DbscanStep> grid(std::vector<double> const& eps, std::vector<std::int64_t> const& min_points) {
  std::vector<DbscanStep> steps;
  for (auto m : min_points)
    for (auto e : eps) steps.push_back({e, m});
  return steps;
}
}  // namespace

TEST_CASE("labels are those of the textbook and of the reference, alone and in a scan") {
  auto const seed = test::seed_of_input();
  auto const steps = grid({0.5, 0, 0.125, 1.25, 0.5, 3, 100}, {1, 2, 3, 4, 7, 200});
  for (std::int64_t d : {1, 2, 3, 8})
    for (std::int64_t n : {0, 1, 2, 16, 17, 150}) {
      auto const x = lattice_points(n, d, seed + std::uint32_t(n));
      auto const scanned = dbscan_scan(x, steps), alone = dbscan_scan(x, steps, 10);  // 10: too many pairs, each by itself
      for (std::size_t k = 0; k < steps.size(); ++k) {
        CAPTURE(d);
        CAPTURE(n);
        CAPTURE(steps[k].eps);
        CAPTURE(steps[k].min_points);
        CHECK(is_dbscan(x, steps[k].eps, steps[k].min_points, dbscan_labels(x, steps[k])));
        CHECK(is_dbscan(x, steps[k].eps, steps[k].min_points, dbscan_reference(x, steps[k])));
        CHECK(is_dbscan(x, steps[k].eps, steps[k].min_points, scanned[k]));
        CHECK(is_dbscan(x, steps[k].eps, steps[k].min_points, alone[k]));
      }
    }
}

TEST_CASE("the oracle of DBSCAN rejects wrong labels") {
  // on a line: 0 1 2 | 3.2 is a border point of both clusters | 4.4 5.4 6.4 | 20 is noise (eps 1.25, m 3)
  auto const x = at::tensor({4.4, 5.4, 6.4, 3.2, 0.0, 1.0, 2.0, 20.0}, at::kDouble).reshape({8, 1});
  auto const ok = [&](std::vector<std::int64_t> labels) { return is_dbscan(x, 1.25, 4, at::tensor(labels, at::kLong)); };
  CHECK(is_dbscan(x, 1.25, 3, dbscan_labels(x, {1.25, 3})));
  CHECK_FALSE(ok({0, 0, 0, 0, 0, 0, 0, 0}));
  auto const right = dbscan_labels(x, {1.25, 3});
  for (std::int64_t i = 0; i < 8; ++i) {
    auto wrong = right.clone();
    wrong[i] = wrong[i] + 1;
    CHECK_FALSE(is_dbscan(x, 1.25, 3, wrong));
  }
  CHECK_FALSE(is_dbscan(x, 1.25, 3, at::where(right >= 0, 1 - right, right)));  // the other numbering
}

TEST_CASE("a scan over single settings, not a grid, also when there are too many pairs") {
  auto const x = lattice_points(120, 2, 9);
  std::vector<DbscanStep> const steps{{100, 3}, {0.125, 1}, {0.25, 3}, {100, 3}, {50, 1}};
  for (std::int64_t max_pairs : {1, 1 << 20}) {
    auto const scanned = dbscan_scan(x, steps, max_pairs);
    for (std::size_t k = 0; k < steps.size(); ++k) CHECK(is_dbscan(x, steps[k].eps, steps[k].min_points, scanned[k]));
  }
}

TEST_CASE("a border point between two clusters takes the smaller label, and noise is -1") {
  // cores at 1 and 5 (four points within 1 each); 3 is within 2 of none of the cores' sides but of both at eps 2
  auto const x = at::tensor({5.0, 5.1, 5.2, 3.05, 1.0, 1.1, 0.9, 30.0}, at::kDouble).reshape({8, 1});
  auto const labels = dbscan_labels(x, {2.05, 4});
  CHECK(is_dbscan(x, 2.05, 4, labels));
  CHECK(labels[7].item<std::int64_t>() == -1);
}

TEST_CASE("equal points, no coordinate, no point") {
  auto const same = at::full({50, 4}, 2.0f);
  CHECK(at::equal(dbscan_labels(same, {0, 50}), at::zeros({50}, at::kLong)));
  CHECK(at::equal(dbscan_labels(same, {0, 51}), at::full({50}, -1, at::kLong)));
  CHECK(at::equal(dbscan_labels(at::empty({3, 0}), {0, 3}), at::zeros({3}, at::kLong)));
  CHECK(dbscan_labels(at::empty({0, 4}), {1, 1}).size(0) == 0);
  CHECK(dbscan_scan(at::empty({0, 4}), grid({1, 2}, {1, 3}))[3].size(0) == 0);
  CHECK(dbscan_scan(same, {}).empty());
}

TEST_CASE("the same labels with one thread and with two, for random reals in float") {
  auto const seed = test::seed_of_input();
  auto const x = lattice_points(2000, 6, seed).to(at::kFloat) * 0.31f;
  auto const steps = grid({0.05, 0.1, 0.15, 0.3, 0.6, 1}, {1, 2, 3, 5, 40});
  auto const before = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = dbscan_scan(x, steps);
  at::set_num_threads(2);
  auto const two = dbscan_scan(x, steps);
  for (std::size_t k = 0; k < steps.size(); ++k) {
    CHECK(at::equal(one[k], two[k]));
    CHECK(at::equal(one[k], dbscan_labels(x, steps[k])));
    CHECK(at::equal(one[k], dbscan_reference(x, steps[k])));
  }
  at::set_num_threads(before);
}

TEST_CASE("all are noise without a core point, and squares that underflow or overflow in float change nothing") {
  auto const x = lattice_points(300, 3, 4);
  CHECK(at::equal(dbscan_labels(x, {100, 301}), at::full({300}, -1, at::kLong)));
  for (double const scale : {1e-44, 1e-38, 1e-23, 1e19, 3e37}) {
    CAPTURE(scale);
    auto const scaled = (x * scale).to(at::kFloat);
    for (std::int64_t const min_points : {1, 3, 5})
      CHECK(at::equal(dbscan_labels(scaled, {0.26 * scale, min_points}), dbscan_reference(scaled, {0.26 * scale, min_points})));
  }
}

TEST_CASE("wrong settings and points throw") {
  CHECK_THROWS_WITH_AS(dbscan_labels(at::zeros({2, 2}), {-0.5, 1}), doctest::Contains("eps ≥ 0, got -0.5"), Error);
  CHECK_THROWS_WITH_AS(dbscan_labels(at::zeros({2, 2}), {0.5, 0}), doctest::Contains("min_points ≥ 1, got 0"), Error);
  CHECK_THROWS_AS(dbscan_labels(at::zeros({2, 2}), {NAN, 1}), Error);
  CHECK_THROWS_WITH_AS(dbscan_labels(at::full({3, 2}, INFINITY), {0.5, 1}), doctest::Contains("not finite"), Error);
  std::vector<DbscanStep> const wrong{{0.5, 1}, {0.5, 0}};
  CHECK_THROWS_AS(dbscan_scan(at::zeros({2, 2}), wrong), Error);
}
