// SPDX-License-Identifier: BSL-1.0
// Metrics: every header of the module.
#pragma once
#include "dew/metric/component_tracking.hpp"
#include "dew/metric/edge_metrics.hpp"
#include "dew/metric/graph_metrics.hpp"
#include "dew/metric/summary.hpp"
#include "dew/metric/track_matching.hpp"
#include "dew/metric/tracking_metrics.hpp"
