// SPDX-License-Identifier: BSL-1.0
#include "dew/cluster/dbscan.hpp"

#include <doctest/doctest.h>

#include "support/points.hpp"

using namespace dew;

TEST_CASE("Dbscan labels the latent space by its options") {
  auto const event = Record{key::latent = test::lattice_points(200, 3, 1)};
  Dbscan const clusterer{{.eps = 0.3, .min_points = 3}};
  CHECK(at::equal(clusterer(event)[key::label], dbscan_labels(event[key::latent], {0.3, 3})));
  CHECK_FALSE(at::equal(clusterer(event)[key::label], Dbscan{}(event)[key::label]));
  CHECK((clusterer == Dbscan{{.eps = 0.3, .min_points = 3}}));
  CHECK_FALSE((clusterer == Dbscan{}));
}

TEST_CASE("a scan's candidates are every m with every eps, ends included") {
  auto const candidates = Dbscan::Scan{.eps_min = 0.1, .eps_max = 0.3, .eps_steps = 3, .min_points = {2, 5}}.candidates();
  REQUIRE(candidates.size() == 6);
  CHECK(candidates[0].eps == 0.1);
  CHECK(candidates[1].eps == doctest::Approx(0.2));
  CHECK(candidates[2].eps == doctest::Approx(0.3));
  CHECK(candidates[3] == Dbscan::Options{.eps = 0.1, .min_points = 5});
  CHECK(Dbscan::Scan{.eps_steps = 1}.candidates().size() == 3);
  CHECK(print(Dbscan::Scan{}).find("min_points = [1, 2, 3]") != std::string::npos);
  CHECK_THROWS_WITH_AS(Dbscan::Scan{.eps_steps = 0}.candidates(), doctest::Contains("eps_steps ≥ 1"), Error);
  CHECK_THROWS_AS((Dbscan::Scan{.eps_min = 2, .eps_max = 1}.candidates()), Error);
  CHECK_THROWS_AS((Dbscan::Scan{.min_points = {}}.candidates()), Error);
}

TEST_CASE("all candidates at once give what each gives alone") {
  auto const event = Record{key::latent = test::lattice_points(400, 4, 2)};
  auto const candidates = Dbscan::Scan{}.candidates();
  auto const all = Dbscan{}.run_all(event, candidates);
  REQUIRE(all.size() == candidates.size());
  for (std::size_t k = 0; k < all.size(); ++k) CHECK(at::equal(all[k][key::label], Dbscan{candidates[k]}(event)[key::label]));
}

TEST_CASE("a permutation of the hits renames the labels") {
  auto const x = test::lattice_points(300, 3, 3);
  auto const order = at::randperm(300, at::kLong);
  auto const a = Dbscan{{.eps = 0.3}}(Record{key::latent = x})[key::label].index_select(0, order);
  auto const b = Dbscan{{.eps = 0.3}}(Record{key::latent = x.index_select(0, order)})[key::label];
  CHECK(at::equal(a.unsqueeze(0) == a.unsqueeze(1), b.unsqueeze(0) == b.unsqueeze(1)));
}
