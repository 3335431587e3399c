// SPDX-License-Identifier: BSL-1.0
// Losses: every header of the module.
#pragma once
#include "dew/loss/condensation_losses.hpp"
#include "dew/loss/edge_losses.hpp"
#include "dew/loss/hinge_embedding.hpp"
#include "dew/loss/hits_of_interest.hpp"
#include "dew/loss/object_properties.hpp"
#include "dew/loss/paper_condensation.hpp"
#include "dew/loss/sum.hpp"
