// SPDX-License-Identifier: BSL-1.0
// Precompiled for all tests. Headers that change seldom only; a test includes what it uses all the same.
#pragma once
#include <algorithm>
#include <array>
#include <boost/hana.hpp>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "dew/core/torch_nn.hpp"

// LibTorch has macros of these names too, and the last definition counts: doctest comes after it.
#include <c10/util/Logging.h>
#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE
#include <doctest/doctest.h>

#include "support/print.hpp"
