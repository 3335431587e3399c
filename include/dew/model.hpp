// SPDX-License-Identifier: BSL-1.0
// Models: every header of the module.
#pragma once
#include "dew/model/condenser.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/model/encoder.hpp"
#include "dew/model/inputs.hpp"
#include "dew/model/interaction_network.hpp"
#include "dew/model/mlp.hpp"
#include "dew/model/perfect_edge_classifier.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/model/stack.hpp"
