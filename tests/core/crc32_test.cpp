// SPDX-License-Identifier: BSL-1.0
#include "dew/core/crc32.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "event/gzip_writer.hpp"

using namespace dew;

TEST_CASE("the checksum is CRC-32") {
  CHECK(crc32("") == 0);
  CHECK(crc32("123456789") == 0xcbf43926U);
  std::mt19937 random(9);
  for (std::size_t size = 0; size < 70; ++size) {
    std::string text(size, '\0');
    for (auto& c : text) c = char(random() % 256);
    CHECK(crc32(text) == test::slow_crc32(text));
  }
}
