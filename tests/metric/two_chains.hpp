// SPDX-License-Identifier: BSL-1.0
// Two particles as chains of edges, for scans.
#pragma once
#include <map>
#include <string>

#include "dew/event/schema.hpp"
#include "dew/metric/summary.hpp"

namespace dew::test {

/// Two particles of four hits on two lines, a chain of edges along each: 0-1-2-3 and 4-5-6-7, and an edge 3-4 between them.
inline auto two_chains() {
  return Record{key::edge_index = at::tensor({0, 1, 2, 4, 5, 6, 3, 1, 2, 3, 5, 6, 7, 4}, at::kLong).reshape({2, 7}),
                key::edge_score = at::tensor({0.9, 0.9, 0.3, 0.9, 0.3, 0.9, 0.1}, at::kDouble),
                key::hit_embedding = at::tensor({0.0, 0.1, 0.21, 0.33, 3.0, 3.1, 4.0, 4.1}, at::kDouble).reshape({8, 1}),
                key::particle_id = at::tensor({1, 1, 1, 1, 2, 2, 2, 2}, at::kLong),
                key::truth_id = at::tensor({1, 2}, at::kLong),
                key::truth_pt = at::tensor({2.0, 2.0}, at::kDouble),
                key::truth_eta = at::tensor({0.0, 1.0}, at::kDouble),
                key::truth_hits = at::tensor({4, 4}, at::kLong),
                key::truth_reconstructable = at::ones({2}, at::kBool)};
}
inline std::map<std::string, double> values(Figures const& figures) { return {figures.begin(), figures.end()}; }

}  // namespace dew::test
