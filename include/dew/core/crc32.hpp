// SPDX-License-Identifier: BSL-1.0
// Cyclic checksums: of gzip and checkpoints, and of TensorBoard's files.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dew {

namespace detail {
/// The checksum to a reflected polynomial, eight bytes a step.
template <std::uint32_t POLYNOMIAL>
std::uint32_t reflected_crc(std::string_view bytes) {
  static constexpr auto tables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? POLYNOMIAL : 0);
      t[0][i] = c;
    }
    for (std::size_t k = 1; k < 8; ++k)
      for (std::size_t i = 0; i < 256; ++i) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xff];
    return t;
  }();
  std::uint32_t c = 0xffffffffU;
  auto const* p = reinterpret_cast<unsigned char const*>(bytes.data());
  std::size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    std::uint32_t const low = c ^ (std::uint32_t(p[0]) | std::uint32_t(p[1]) << 8 | std::uint32_t(p[2]) << 16 | std::uint32_t(p[3]) << 24);
    c = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^ tables[4][low >> 24] ^ tables[3][p[4]] ^
        tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
  }
  for (; n > 0; --n, ++p) c = (c >> 8) ^ tables[0][(c ^ *p) & 0xff];
  return ~c;
}
}  // namespace detail

/// CRC-32 as gzip uses it. Every change within 32 neighbouring bits changes it; no defence against forgery.
inline std::uint32_t crc32(std::string_view bytes) { return detail::reflected_crc<0xedb88320U>(bytes); }

/// CRC-32C (Castagnoli), as TensorBoard's files use it.
inline std::uint32_t crc32c(std::string_view bytes) { return detail::reflected_crc<0x82f63b78U>(bytes); }

}  // namespace dew
