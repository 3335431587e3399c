// SPDX-License-Identifier: BSL-1.0
// Graph builders: every header of the module.
#pragma once
#include "dew/graph/complete_graph.hpp"
#include "dew/graph/edge_subsample.hpp"
#include "dew/graph/geometric_edge_truth.hpp"
#include "dew/graph/geometric_graph.hpp"
#include "dew/graph/learned_graph.hpp"
#include "dew/graph/nearest_neighbour_graph.hpp"
#include "dew/graph/orphan_mask.hpp"
#include "dew/graph/pair_features.hpp"
#include "dew/graph/radius_graph.hpp"
#include "dew/graph/score_cut.hpp"
