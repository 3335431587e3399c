// SPDX-License-Identifier: BSL-1.0
// Graph builders: every header of the module.
#pragma once
#include "dew/graph/geometric_edge_truth.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/graph/orphan_mask.hpp"
#include "dew/graph/score_cut.hpp"
