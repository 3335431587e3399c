// SPDX-License-Identifier: BSL-1.0
// Programs: every header of the module.
#pragma once
#include "dew/app/any_source.hpp"
#include "dew/app/app.hpp"
#include "dew/app/config_file.hpp"
#include "dew/app/logs.hpp"
