// SPDX-License-Identifier: BSL-1.0
// Weights of other systems: every header of the module.
#pragma once
#include "dew/interop/gnn_tracking.hpp"
