// SPDX-License-Identifier: BSL-1.0
// Everything.
#pragma once
#include "dew/app.hpp"
#include "dew/cluster.hpp"
#include "dew/core.hpp"
#include "dew/event.hpp"
#include "dew/geometry.hpp"
#include "dew/graph.hpp"
#include "dew/interop.hpp"
#include "dew/loss.hpp"
#include "dew/metric.hpp"
#include "dew/model.hpp"
#include "dew/ops.hpp"
#include "dew/pipeline.hpp"
#include "dew/train.hpp"
#include "dew/version.hpp"
