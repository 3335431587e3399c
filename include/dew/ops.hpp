// SPDX-License-Identifier: BSL-1.0
// Kernels and their references: every header of the module.
#pragma once
#include "dew/ops/condensation.hpp"
#include "dew/ops/condensation_attraction.hpp"
#include "dew/ops/condensation_repulsion.hpp"
#include "dew/ops/dbscan.hpp"
#include "dew/ops/dbscan_scan.hpp"
#include "dew/ops/gathered_mlp.hpp"
#include "dew/ops/geometric_edges.hpp"
#include "dew/ops/kd_tree.hpp"
#include "dew/ops/message_passing.hpp"
#include "dew/ops/nearest_neighbours.hpp"
#include "dew/ops/neighbours.hpp"
#include "dew/ops/radius_neighbours.hpp"
#include "dew/ops/repulsive_pairs.hpp"
#include "dew/ops/union_find.hpp"
