// SPDX-License-Identifier: BSL-1.0
// Losses: every header of the module.
#pragma once
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/loss/sum.hpp"
