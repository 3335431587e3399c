// SPDX-License-Identifier: BSL-1.0
#include "dew/core/host_name.hpp"

#include <sys/utsname.h>

using namespace dew;

TEST_CASE("the machine's name is the system's") {
  struct ::utsname system{};
  REQUIRE(::uname(&system) == 0);
  CHECK(host_name() == system.nodename);
}
