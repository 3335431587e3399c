// SPDX-License-Identifier: BSL-1.0
// Clusterers: every header of the module.
#pragma once
#include "dew/cluster/connected_components.hpp"
#include "dew/cluster/dbscan.hpp"
