// SPDX-License-Identifier: BSL-1.0
// Keys, records, options, policies, files: every header of the module.
#pragma once
#include "dew/core/context.hpp"
#include "dew/core/crc32.hpp"
#include "dew/core/error.hpp"
#include "dew/core/file.hpp"
#include "dew/core/key.hpp"
#include "dew/core/memory.hpp"
#include "dew/core/options.hpp"
#include "dew/core/policy.hpp"
#include "dew/core/record.hpp"
#include "dew/core/safetensors.hpp"
#include "dew/core/text.hpp"
#include "dew/core/torch.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/core/traced_range.hpp"
#include "dew/core/values.hpp"
#include "dew/core/widths.hpp"
