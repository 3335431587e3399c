// SPDX-License-Identifier: BSL-1.0
#include "dew/ops/repulsive_pairs.hpp"

#include <doctest/doctest.h>

#include <map>

#include "dew/core/context.hpp"
#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("repulsive pairs: counted by definition, whatever the tiles - chosen ones are among them, each equally often") {
  seed();
  std::int64_t const n = 40;
  auto const x = at::randn({n, 2}, at::kDouble) * 0.7, q = at::rand({n}, at::kDouble) + 1;
  auto const id = at::randint(0, 6, {n}, at::kLong);
  auto const objects = condensation_objects(q, id, id > 1);
  auto const hits = at::arange(0, n, 2, at::kLong);  // every other hit
  std::map<std::pair<std::int64_t, std::int64_t>, int> pairs;
  for (std::int64_t h = 0; h < n; h += 2)
    for (std::int64_t k = 0; k < objects.count(); ++k) {
      auto const a = objects.alpha[k].item<std::int64_t>();
      if (id[h].item<std::int64_t>() != id[a].item<std::int64_t>() && (x[h] - x[a]).norm().item<double>() < 1) pairs[{h, k}] = 0;
    }
  auto const count = std::int64_t(pairs.size());
  REQUIRE(count > 20);
  Context context;
  for (std::int64_t rows : {1, 7, 2048}) {
    auto const none = choose_repulsive_pairs(x, objects, hits, count, context.generator(), rows);
    CHECK(none.count == count);
    CHECK_FALSE(none.hit.defined());
  }
  int const draws = 2000;
  std::int64_t chosen = 0;
  for (context.epoch = 0; context.epoch < draws; ++context.epoch) {
    auto const some = choose_repulsive_pairs(x, objects, hits, 10, context.generator(), 7);
    REQUIRE(some.hit.defined());
    CHECK(some.count == count);
    for (std::int64_t m = 0; m < some.hit.size(0); ++m) {
      auto const at = pairs.find({some.hit[m].item<std::int64_t>(), some.object[m].item<std::int64_t>()});
      REQUIRE(at != pairs.end());
      ++at->second, ++chosen;
    }
  }
  double const share = 10. / double(count);
  CHECK(double(chosen) / draws == doctest::Approx(10).epsilon(0.05));
  for (auto const& [pair, times] : pairs) CHECK(times / double(draws) == doctest::Approx(share).epsilon(0.3));
}

TEST_CASE("repulsive pairs: no objects, no hits, no room") {
  auto const x = at::zeros({3, 2}), q = at::ones({3});
  auto const id = at::tensor({1, 1, 2}, at::kLong), none = at::zeros({0}, at::kLong);
  auto const nothing = condensation_objects(q, id, id > 5), two = condensation_objects(q, id, id > 0);
  auto const generator = Context{}.generator();
  CHECK(choose_repulsive_pairs(x, nothing, at::arange(3, at::kLong), 1, generator).count == 0);
  CHECK(choose_repulsive_pairs(x, two, none, 1, generator).count == 0);
  CHECK(choose_repulsive_pairs(x, two, at::arange(3, at::kLong), 3, generator).count == 3);
  CHECK_THROWS_AS(choose_repulsive_pairs(x, two, none, 0, generator), Error);
}
