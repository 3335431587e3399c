// SPDX-License-Identifier: BSL-1.0
#include "dew/event/gzip.hpp"

#include <doctest/doctest.h>

#include <random>

#include "event/gzip_writer.hpp"

using namespace dew;
using test::gzip;

namespace {
/// Text that packs well, badly or not at all.
std::string some_text(std::mt19937& random, std::size_t size, unsigned letters) {
  std::string text(size, ' ');
  for (auto& c : text) c = char(random() % letters);
  return text;
}
std::string message(std::string_view bytes) {
  try {
    gunzip(bytes, "f.gz");
    return "no error";
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::input);
    return e.what();
  }
}
}  // namespace

TEST_CASE("gunzip reads what the gzip program wrote") {
  // printf 'hit_id,x\n1,2.5\n' | gzip -n
  unsigned char const bytes[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xc8, 0x2c, 0x89, 0xcf, 0x4c, 0xd1, 0xa9,
                                 0xe0, 0x32, 0xd4, 0x31, 0xd2, 0x33, 0xe5, 0x02, 0x00, 0x8b, 0xe7, 0xda, 0xe1, 0x0f, 0x00, 0x00, 0x00};
  CHECK(gunzip({reinterpret_cast<char const*>(bytes), sizeof bytes}, "f") == "hit_id,x\n1,2.5\n");
}

TEST_CASE("gunzip gives back any text of any size, packed in any way") {
  auto const seed = 20240607U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (std::size_t size : {0, 1, 2, 3, 7, 8, 9, 100, 1000, 4095, 65535, 65536, 65537, 300000})
    for (unsigned letters : {2U, 10U, 256U})
      for (int level : {0, 1, 6, 9}) {
        auto const text = some_text(random, size, letters);
        CAPTURE(size);
        CHECK((gunzip(gzip(text, level), "f") == text));
      }
  for (int i = 0; i < 500; ++i) {  // the last bits of the packed data fall everywhere
    auto const text = some_text(random, random() % 400, 1 + random() % 20);
    CHECK((gunzip(gzip(text), "f") == text));
  }
}

TEST_CASE("gunzip reads several members, padding and the header's optional fields") {
  std::mt19937 random(3);
  std::string all, packed;
  for (int i = 0; i < 40; ++i) {
    auto const text = some_text(random, random() % 3000, 12);
    all += text, packed += gzip(text, i % 10);
  }
  CHECK((gunzip(packed, "f") == all));
  CHECK((gunzip(packed + std::string(512, '\0'), "f") == all));
  for (unsigned char flags = 0; flags < 32; flags += 2) {
    if (flags & 1) continue;
    CHECK(gunzip(gzip("1,2,3\n", 6, flags), "f") == "1,2,3\n");
  }
}

TEST_CASE("every truncation of a gzip file is found") {
  std::mt19937 random(5);
  for (int level : {0, 6}) {
    auto const packed = gzip(some_text(random, 400, 30), level, 4 + 8 + 16 + 2);
    for (std::size_t size = 0; size < packed.size(); ++size) {
      CAPTURE(size);
      CHECK(message(packed.substr(0, size)).starts_with("f.gz: truncated gzip: it "));
    }
  }
  auto const first = gzip("first"), second = gzip("second");
  for (std::size_t size = 1; size < second.size(); ++size) {
    CAPTURE(size);
    CHECK(message(first + second.substr(0, size)) != "no error");
  }
}

TEST_CASE("broken gzip is found: checksum, size, method, data, what follows") {
  auto const good = gzip("hit_id,x,y,z\n1,2,3,4\n2,3,4,5\n");
  REQUIRE(message(good) == "no error");
  auto const broken = [&](std::size_t at, char flip) {
    auto bytes = good;
    bytes[at] = char(bytes[at] ^ flip);
    return message(bytes);
  };
  CHECK(broken(good.size() - 8, 1) == "f.gz: broken gzip: its checksum differs");
  CHECK(broken(good.size() - 1, 1) == "f.gz: broken gzip: its size differs");
  CHECK(broken(2, 1) == "f.gz: broken gzip: unknown method 9");
  CHECK(broken(10, 6).starts_with("f.gz: broken gzip: "));
  CHECK(message(good + "x") == "f.gz: broken gzip: something else follows its end");
  CHECK(message("hit_id,x\n") == "f.gz: is no gzip file");
  for (std::size_t at = 10; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(at);
      auto bytes = good;
      bytes[at] = char(bytes[at] ^ (1 << bit));
      if (message(bytes) == "no error") CHECK(gunzip(bytes, "f") == gunzip(good, "f"));  // one of the unused bits behind the packed data
    }
}
