// SPDX-License-Identifier: BSL-1.0
// Reads event files back, from the formats' definitions alone: checksums a bit at a time, protobuf as a tree of numbered fields.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/file.hpp"

namespace dew::test {

/// CRC-32C by its definition: division by the polynomial, a bit at a time.
inline std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t c = ~0U;
  for (char const byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      bool const odd = ((c ^ (static_cast<unsigned char>(byte) >> bit)) & 1) != 0;
      c = (c >> 1) ^ (odd ? 0x82f63b78U : 0);
    }
  return ~c;
}

template <class T> T number_at(std::string_view bytes, std::size_t at) {
  if (at + sizeof(T) > bytes.size()) throw std::runtime_error("cut off");
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The payloads of a TFRecord file. Throws on a wrong checksum and on a file that is cut off.
inline std::vector<std::string> records(std::string_view bytes) {
  auto const masked = [](std::string_view text) {
    auto const crc = slow_crc32c(text);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  };
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size();) {
    auto const length = std::size_t(number_at<std::uint64_t>(bytes, at));
    if (number_at<std::uint32_t>(bytes, at + 8) != masked(bytes.substr(at, 8))) throw std::runtime_error("wrong checksum of a length");
    auto const payload = bytes.substr(at + 12, length);
    if (number_at<std::uint32_t>(bytes, at + 12 + length) != masked(payload)) throw std::runtime_error("wrong checksum of a payload");
    out.emplace_back(payload);
    at += 16 + length;
  }
  return out;
}

/// The fields of a protobuf message by number, repeated ones in order: integers, fixed 64 and 32 bits as bits, texts.
struct Fields {
  std::map<unsigned, std::vector<std::uint64_t>> numbers;
  std::map<unsigned, std::vector<std::string>> texts;

  explicit Fields(std::string_view bytes) {
    std::size_t at = 0;
    auto const varint = [&] {
      std::uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        auto const byte = number_at<unsigned char>(bytes, at++);
        value |= std::uint64_t(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
    };
    while (at < bytes.size()) {
      auto const key = varint();
      auto const field = unsigned(key >> 3);
      switch (key & 7) {
        case 0: numbers[field].push_back(varint()); break;
        case 1: numbers[field].push_back(number_at<std::uint64_t>(bytes, at)), at += 8; break;
        case 5: numbers[field].push_back(number_at<std::uint32_t>(bytes, at)), at += 4; break;
        case 2: {
          auto const length = std::size_t(varint());
          if (at + length > bytes.size()) throw std::runtime_error("cut off");
          texts[field].emplace_back(bytes.substr(at, length));
          at += length;
          break;
        }
        default: throw std::runtime_error("unknown kind of field");
      }
    }
  }
  double real(unsigned field) const { return std::bit_cast<double>(numbers.at(field).at(0)); }
  float single(unsigned field) const { return std::bit_cast<float>(std::uint32_t(numbers.at(field).at(0))); }
  std::int64_t integer(unsigned field) const { return std::int64_t(numbers.at(field).at(0)); }
  std::string const& text(unsigned field) const { return texts.at(field).at(0); }
  Fields message(unsigned field) const { return Fields(text(field)); }
  std::vector<double> reals(unsigned field) const {
    std::vector<double> out;
    for (std::size_t at = 0; at < text(field).size(); at += 8) out.push_back(number_at<double>(text(field), at));
    return out;
  }
};

/// A value of an event file.
struct Entry {
  std::string tag;
  std::int64_t step;
  Fields value;
};

/// What a folder of event files holds for TensorBoard: the files in the order of their names, each one's beginning voiding earlier entries of its
/// step and later ones.
inline std::vector<Entry> entries(std::filesystem::path const& folder) {
  std::map<std::string, std::filesystem::path> files;
  for (auto const& entry : std::filesystem::directory_iterator(folder)) files[entry.path().filename().string()] = entry.path();
  std::vector<Entry> out;
  for (auto const& [name, file] : files)
    for (auto const& record : records(read_file(file))) {
      Fields const event(record);
      if (event.texts.contains(7) && event.message(7).integer(1) == 1)
        std::erase_if(out, [&](Entry const& e) { return e.step >= event.integer(2); });
      if (event.texts.contains(5)) {
        auto const value = event.message(5).message(1);
        out.push_back({value.text(1), event.integer(2), value});
      }
    }
  return out;
}

}  // namespace dew::test
