// SPDX-License-Identifier: BSL-1.0
// Writes gzip for tests, and bytes to files.
#pragma once
#include <boost/beast/zlib/deflate_stream.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace dew::test {

inline void put_file(std::filesystem::path const& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

/// The CRC-32 of its definition, a bit at a time.
inline std::uint32_t slow_crc32(std::string_view bytes) {
  std::uint32_t c = ~0U;
  for (unsigned char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      bool const odd = ((c ^ (byte >> bit)) & 1) != 0;
      c = (c >> 1) ^ (odd ? 0xedb88320U : 0);
    }
  return ~c;
}

/// One gzip member. `level` 0 stores, 9 packs hardest; `flags` asks for the header's optional fields (4 extra, 8 name, 16 comment, 2 checksum).
inline std::string gzip(std::string_view text, int level = 6, unsigned char flags = 0) {
  namespace zlib = boost::beast::zlib;
  std::string out{'\x1f', '\x8b', 8, char(flags), 0, 0, 0, 0, 0, 3};
  if (flags & 4) out += std::string("\x05\0extra", 7);
  if (flags & 8) out += std::string("name\0", 5);
  if (flags & 16) out += std::string("a comment\0", 10);
  if (flags & 2) out += "cc";
  zlib::deflate_stream stream;
  stream.reset(level, 15, 8, zlib::Strategy::normal);
  std::string packed(text.size() + text.size() / 8 + 4096, '\0');
  zlib::z_params io;
  io.next_in = text.data(), io.avail_in = text.size(), io.next_out = packed.data(), io.avail_out = packed.size();
  boost::beast::error_code error;
  stream.write(io, zlib::Flush::finish, error);
  packed.resize(packed.size() - io.avail_out);
  out += packed;
  for (std::uint32_t word : {slow_crc32(text), std::uint32_t(text.size())})
    for (int shift = 0; shift < 32; shift += 8) out += char(word >> shift & 0xff);
  return out;
}

}  // namespace dew::test
