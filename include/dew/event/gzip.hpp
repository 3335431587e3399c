// SPDX-License-Identifier: BSL-1.0
// Gzip: whole files in memory, every promise of the format checked.
#pragma once
#include <algorithm>
#include <array>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "dew/core/crc32.hpp"
#include "dew/core/error.hpp"

namespace dew {

namespace detail {
inline std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// The length of a member's header. Throws on a truncated one and on an unknown method.
inline std::size_t gzip_header(std::string_view bytes, std::string const& file) {
  auto const demand = [&](std::size_t size) {
    check(bytes.size() >= size, ErrorKind::input, "{}: truncated gzip: it ends in a header", file);
  };
  demand(10);
  check(bytes[2] == 8, ErrorKind::input, "{}: broken gzip: unknown method {}", file, int(static_cast<unsigned char>(bytes[2])));
  auto const flags = static_cast<unsigned char>(bytes[3]);
  std::size_t at = 10;
  if (flags & 4) {  // extra field
    demand(at + 2);
    at += 2 + static_cast<unsigned char>(bytes[at]) + 256 * std::size_t(static_cast<unsigned char>(bytes[at + 1]));
    demand(at);
  }
  for (unsigned char const text : {8, 16}) {  // name, comment
    if (!(flags & text)) continue;
    auto const end = bytes.find('\0', at);
    demand(end);  // npos is more than there is
    at = end + 1;
  }
  if (flags & 2) at += 2;  // header checksum
  demand(at);
  return at;
}

/// Appends a raw deflate stream's content to `out`, which is used up to `filled`; returns how many bytes of `bytes` it took.
inline std::size_t inflate_member(std::string_view bytes, std::string& out, std::size_t& filled, std::string const& file) {
  namespace zlib = boost::beast::zlib;
  zlib::inflate_stream stream;
  zlib::z_params io;
  io.next_in = bytes.data();
  io.avail_in = bytes.size();
  for (;;) {
    if (filled == out.size()) out.resize(std::max<std::size_t>(out.size() * 2, 1 << 16));
    auto const room = out.size() - filled;
    auto const before = io.avail_in;
    io.next_out = out.data() + filled;
    io.avail_out = room;
    boost::beast::error_code error;
    stream.write(io, zlib::Flush::sync, error);
    auto const made = room - io.avail_out;
    filled += made;
    if (error == zlib::error::end_of_stream) {
      // Whole bytes that were taken into the bit reservoir but not used are not given back: data_type's low six bits count its bits.
      return bytes.size() - io.avail_in - (std::size_t(io.data_type) & 63) / 8;
    }
    bool const stuck = made == 0 && io.avail_in == before;
    check(!(error == zlib::error::need_buffers || !error) || !stuck, ErrorKind::input, "{}: truncated gzip: it ends in the compressed data",
          file);
    check(!error || error == zlib::error::need_buffers, ErrorKind::input, "{}: broken gzip: {}", file, error.message());
  }
}
}  // namespace detail

/// Whether bytes begin like a gzip file.
inline bool is_gzip(std::string_view bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

/// The content of a gzip file of one or more members (zeros behind the last are padding). `file` is named in errors.
/// Throws `Error` (input) where it is truncated, broken, of another checksum or size than it says, or followed by something else.
/// Some 250 MB/s of content; memory: the content.
inline std::string gunzip(std::string_view bytes, std::string const& file) {
  check(is_gzip(bytes), ErrorKind::input, "{}: {}", file, bytes.size() < 2 ? "truncated gzip: it has no header" : "is no gzip file");
  auto const expected = bytes.size() >= 4 ? detail::little_endian(bytes.substr(bytes.size() - 4)) : 0;
  std::string out(std::min<std::size_t>(expected, bytes.size() * 1032) + 1, '\0');  // deflate shrinks by 1032 at most
  std::size_t filled = 0;
  while (!bytes.empty()) {
    if (!is_gzip(bytes)) {
      check(bytes.find_first_not_of('\0') == std::string_view::npos, ErrorKind::input, "{}: broken gzip: something else follows its end",
            file);
      break;
    }
    bytes.remove_prefix(detail::gzip_header(bytes, file));
    auto const begin = filled;
    bytes.remove_prefix(detail::inflate_member(bytes, out, filled, file));
    check(bytes.size() >= 8, ErrorKind::input, "{}: truncated gzip: it ends before its checksum", file);
    auto const content = std::string_view(out).substr(begin, filled - begin);
    check(detail::little_endian(bytes) == crc32(content), ErrorKind::input, "{}: broken gzip: its checksum differs", file);
    check(detail::little_endian(bytes.substr(4)) == std::uint32_t(content.size()), ErrorKind::input, "{}: broken gzip: its size differs",
          file);
    bytes.remove_prefix(8);
  }
  out.resize(filled);
  return out;
}

}  // namespace dew
