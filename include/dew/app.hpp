// SPDX-License-Identifier: BSL-1.0
// Programs: every header of the module.
#pragma once
#include "dew/app/any_source.hpp"
#include "dew/app/app.hpp"
#include "dew/app/batch_flags.hpp"
#include "dew/app/batch_script.hpp"
#include "dew/app/config_file.hpp"
#include "dew/app/git_state.hpp"
#include "dew/app/logs.hpp"
#include "dew/app/run_list.hpp"
#include "dew/app/run_record.hpp"
#include "dew/app/search_space.hpp"
#include "dew/app/submit.hpp"
