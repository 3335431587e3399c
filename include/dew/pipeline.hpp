// SPDX-License-Identifier: BSL-1.0
// Pipelines: every header of the module.
#pragma once
#include "dew/pipeline/any_of.hpp"
#include "dew/pipeline/pipeline.hpp"
#include "dew/pipeline/trained.hpp"
#include "dew/pipeline/with_options.hpp"
