// SPDX-License-Identifier: BSL-1.0
// Models: every header of the module.
#pragma once
#include "dew/model/condenser.hpp"
#include "dew/model/deep_set_edge_filter.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/model/embedding_network.hpp"
#include "dew/model/embedding_refinement.hpp"
#include "dew/model/encoder.hpp"
#include "dew/model/inputs.hpp"
#include "dew/model/interaction_network.hpp"
#include "dew/model/mlp.hpp"
#include "dew/model/mlp_edge_filter.hpp"
#include "dew/model/perfect_edge_classifier.hpp"
#include "dew/model/point_cloud_network.hpp"
#include "dew/model/residual_network.hpp"
#include "dew/model/stack.hpp"
#include "dew/model/two_detector_network.hpp"
