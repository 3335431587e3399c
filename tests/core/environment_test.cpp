// SPDX-License-Identifier: BSL-1.0
#include "dew/core/environment.hpp"

using namespace dew;

TEST_CASE("a variable of the environment has its value, may be empty, or is not there") {
  auto const environment = process_environment();
  ::setenv("DEW_TEST_VARIABLE", "some text", 1);
  CHECK(environment("DEW_TEST_VARIABLE") == "some text");
  ::setenv("DEW_TEST_VARIABLE", "", 1);
  CHECK(environment("DEW_TEST_VARIABLE") == "");
  ::unsetenv("DEW_TEST_VARIABLE");
  CHECK(environment("DEW_TEST_VARIABLE") == std::nullopt);
}
