// SPDX-License-Identifier: BSL-1.0
// The event schema and event sources: every header of the module.
#pragma once
#include "dew/event/columns.hpp"
#include "dew/event/csv.hpp"
#include "dew/event/gzip.hpp"
#include "dew/event/id_index.hpp"
#include "dew/event/loader.hpp"
#include "dew/event/random_numbers.hpp"
#include "dew/event/ranges.hpp"
#include "dew/event/schema.hpp"
#include "dew/event/simulated_detector.hpp"
#include "dew/event/simulated_event.hpp"
#include "dew/event/trackml.hpp"
#include "dew/event/truth.hpp"
