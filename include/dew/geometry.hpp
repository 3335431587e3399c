// SPDX-License-Identifier: BSL-1.0
// Detectors and hit features: every header of the module.
#pragma once
#include "dew/geometry/features.hpp"
#include "dew/geometry/geometry.hpp"
#include "dew/geometry/helix.hpp"
#include "dew/geometry/open_data_detector.hpp"
#include "dew/geometry/reconstructable.hpp"
