// SPDX-License-Identifier: BSL-1.0
#include "dew/graph/edge_subsample.hpp"

#include <doctest/doctest.h>

#include "graph/edges_by_loops.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("edge subsample: in training all true edges and so many false ones, anew for each event and epoch - else all") {
  seed();
  auto const truth = at::arange(200) % 10 == 0;  // 20 true
  auto const event = Record{key::edge_index = at::randint(0, 9, {2, 200}, at::kLong), key::edge_truth = truth};
  EdgeSubsample const subsample{{.ratio = 2.55}};
  Context const training{.training = true, .epoch = 1, .event = 5, .seed = 3};
  auto const kept = subsample(event, training);
  CHECK(kept.masked_select(truth).all().item<bool>());
  CHECK(kept.sum().item<std::int64_t>() == 20 + 51);
  CHECK(at::equal(kept, subsample(event, training)));
  auto other = training;
  other.epoch = 2;
  CHECK_FALSE(at::equal(kept, subsample(event, other)));
  CHECK(EdgeSubsample{{.ratio = 100}}(event, training).all().item<bool>());
  CHECK(EdgeSubsample{{.ratio = 0}}(event, training).all().item<bool>());
  CHECK(subsample(event, {}).all().item<bool>());
  CHECK(subsample(event.only<Keys<EdgeIndex>>(), training).all().item<bool>());
}

TEST_CASE("edge subsample: edges of unknown hits are neither true nor false, and stay") {
  seed();
  auto const id = at::arange(40) % 4 - 1;  // unknown, noise, 1, 2
  auto const event = Record{key::edge_index = at::randint(0, 40, {2, 400}, at::kLong), key::particle_id = id};
  auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
  auto const truth = at::logical_and(id.index_select(0, source) == id.index_select(0, target), id.index_select(0, source) > 0);
  auto const unknown = at::logical_or(id.index_select(0, source) < 0, id.index_select(0, target) < 0);
  auto const kept = EdgeSubsample{{.ratio = 0.5}}(event.with(key::edge_truth = truth), {.training = true, .seed = 3});
  auto const count = [](Tensor const& mask) { return mask.sum().item<std::int64_t>(); };
  REQUIRE((count(truth) > 10 && count(unknown) > 10));
  CHECK(kept.masked_select(at::logical_or(truth, unknown)).all().item<bool>());
  CHECK(count(kept) == count(truth) + count(unknown) + count(truth) / 2);
}
