// SPDX-License-Identifier: BSL-1.0
#include "dew/event/truth.hpp"

#include <doctest/doctest.h>

using namespace dew;

TEST_CASE("an edge is true when both ends carry the same id above 0") {
  // hits: two of a particle with a 64-bit id, one that differs in its last bit, two noise, two unknown
  std::int64_t const big = (1LL << 60) + 1;
  auto const id = at::tensor({big, big, big - 1, std::int64_t(0), std::int64_t(0), std::int64_t(-1), std::int64_t(-1)}, at::kLong);
  std::vector<std::int64_t> source, target;
  for (std::int64_t i = 0; i < 7; ++i)
    for (std::int64_t j = 0; j < 7; ++j) source.push_back(i), target.push_back(j);
  auto const edges = at::stack({at::tensor(source), at::tensor(target)});
  SameParticleEdges const truth;
  auto const y = truth(RecordOf<SameParticleEdges::Reads>{key::edge_index = edges, key::particle_id = id})[key::edge_truth];
  for (std::int64_t e = 0; e < 49; ++e) {
    auto const i = source[std::size_t(e)], j = target[std::size_t(e)];
    CHECK(y[e].item<bool>() == ((i <= 1 && j <= 1) || (i == 2 && j == 2)));
  }
}

TEST_CASE("a graph without edges has no truth, and the stage is for labelled events") {
  auto const none = at::zeros({2, 0}, at::kLong);
  auto const out = SameParticleEdges{}(Record{key::edge_index = none, key::particle_id = at::zeros({3}, at::kLong)});
  CHECK(out[key::edge_truth].size(0) == 0);
  CHECK(LabelledOnly<SameParticleEdges>);
  CHECK(SameParticleEdges{} == SameParticleEdges{});
}
