// SPDX-License-Identifier: BSL-1.0
// Training: every header of the module.
#pragma once
#include "dew/train/callbacks.hpp"
#include "dew/train/checkpoint.hpp"
#include "dew/train/checkpoint_files.hpp"
#include "dew/train/clock.hpp"
#include "dew/train/event_store.hpp"
#include "dew/train/fit.hpp"
#include "dew/train/loggers.hpp"
#include "dew/train/measure.hpp"
#include "dew/train/optimiser.hpp"
#include "dew/train/plan_text.hpp"
#include "dew/train/run_folder.hpp"
#include "dew/train/run_lock.hpp"
#include "dew/train/scan_values.hpp"
#include "dew/train/trainer.hpp"
