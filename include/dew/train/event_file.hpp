// SPDX-License-Identifier: BSL-1.0
// TensorBoard's event files: checksummed records (TFRecord), each one `Event` message in protobuf's encoding.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/crc32.hpp"
#include "dew/core/error.hpp"

namespace dew {

namespace detail {
/// The bytes of a number, lowest first.
template <class T>
std::string little_endian_bytes(T value) {
  std::string out(sizeof(T), '\0');
  for (auto& byte : out) {
    byte = static_cast<char>(value & 0xff);
    value = static_cast<T>(value >> 8);
  }
  return out;
}

/// One record of a TFRecord file: length, checksum of the length, payload, checksum of the payload. Checksums are rotated and shifted, because
/// payloads may hold checksums themselves.
inline std::string framed_record(std::string_view payload) {
  auto const masked = [](std::string_view bytes) { return little_endian_bytes(std::rotr(crc32c(bytes), 15) + 0xa282ead8U); };
  auto const length = little_endian_bytes(std::uint64_t(payload.size()));
  return length + masked(length) + std::string(payload) + masked(payload);
}

/// A protobuf message under construction: fields by number, in the encoding's three kinds that event files need.
class Message {
 public:
  Message& integer(unsigned field, std::int64_t value) {
    key(field, 0);
    varint(std::uint64_t(value));
    return *this;
  }
  Message& real(unsigned field, double value) {
    key(field, 1);
    bytes_ += little_endian_bytes(std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  Message& single(unsigned field, float value) {
    key(field, 5);
    bytes_ += little_endian_bytes(std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  Message& text(unsigned field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(unsigned field, Message const& value) { return text(field, value.bytes_); }
  /// A packed list.
  Message& reals(unsigned field, std::span<double const> values) {
    std::string packed;
    for (auto const value : values) packed += little_endian_bytes(std::bit_cast<std::uint64_t>(value));
    return text(field, packed);
  }
  std::string const& bytes() const { return bytes_; }

 private:
  void key(unsigned field, unsigned wire) { varint(std::uint64_t(field) << 3 | wire); }
  void varint(std::uint64_t value) {
    for (; value > 0x7f; value >>= 7) bytes_ += static_cast<char>((value & 0x7f) | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};
}  // namespace detail

/// A histogram as TensorBoard keeps it: moments, and equally wide buckets between the smallest and the largest value.
struct Histogram {
  double min = 0, max = 0, count = 0, sum = 0, sum_squares = 0;
  std::vector<double> limits;  ///< upper limit of each bucket
  std::vector<double> counts;  ///< values in each bucket

  /// Of the finite ones among `values`; without any, `count` is 0. One pass for the range, one for the buckets.
  static Histogram of(std::span<float const> values, std::size_t buckets = 64) {
    Histogram h;
    for (auto const value : values) {
      if (!std::isfinite(value)) continue;
      double const v = value;
      h.min = h.count > 0 ? std::min(h.min, v) : v;
      h.max = h.count > 0 ? std::max(h.max, v) : v;
      h.count += 1, h.sum += v, h.sum_squares += v * v;
    }
    if (h.count == 0) return h;
    if (h.max == h.min) buckets = 1;
    h.counts.assign(buckets, 0);
    double const width = (h.max - h.min) / double(buckets);
    for (std::size_t i = 0; i + 1 < buckets; ++i) h.limits.push_back(h.min + width * double(i + 1));
    h.limits.push_back(h.max);
    for (auto const value : values)
      if (std::isfinite(value)) ++h.counts[buckets == 1 ? 0 : std::min(buckets - 1, std::size_t((double(value) - h.min) / width))];
    return h;
  }
};

/// One event file of TensorBoard, written from its beginning. TensorBoard reads the files of a folder in the order of their names: this one's is
/// behind those that are there, and its first record says that a run begins again at `step`, whereupon TensorBoard forgets what earlier files hold
/// of that step and later ones. So a training that goes on from a checkpoint shows no step twice.
///
/// Times are seconds since 1970. Every call appends one record and hands it to the system at once; throws `Error` (input) where that fails.
class EventFile {
 public:
  EventFile(std::filesystem::path const& folder, std::int64_t step, double time) {
    std::error_code problem;
    std::filesystem::create_directories(folder, problem);
    check(!problem, ErrorKind::input, "{}: cannot be made: {}", folder.string(), problem.message());
    int number = 1;
    for (auto const& entry : std::filesystem::directory_iterator(folder)) {
      auto const name = entry.path().filename().string();
      int there = 0;
      if (name.starts_with(prefix)) std::from_chars(name.data() + prefix.size(), name.data() + name.size(), there);
      number = std::max(number, there + 1);
    }
    file_ = folder / fmt::format("{}{:010}.dew", prefix, number);
    out_.open(file_, std::ios::binary | std::ios::trunc);
    put(detail::Message().real(1, time).text(3, "brain.Event:2"));
    put(event(step, time).message(7, detail::Message().integer(1, 1)));  // SessionLog.START
  }

  std::filesystem::path const& path() const { return file_; }

  /// A number at a step. TensorBoard keeps single precision.
  void scalar(std::string_view tag, std::int64_t step, double value, double time) {
    put_value(detail::Message().text(1, tag).single(2, static_cast<float>(value)), step, time);
  }
  void histogram(std::string_view tag, std::int64_t step, Histogram const& h, double time) {
    detail::Message body;
    body.real(1, h.min).real(2, h.max).real(3, h.count).real(4, h.sum).real(5, h.sum_squares).reals(6, h.limits).reals(7, h.counts);
    put_value(detail::Message().text(1, tag).message(5, body), step, time);
  }
  /// A PNG image; `description` is what TensorBoard shows beside it (with `--load_fast=false`: its fast loader drops it).
  void image(std::string_view tag, std::int64_t step, int width, int height, std::string_view png, std::string_view description,
             double time) {
    detail::Message body, metadata;
    body.integer(1, height).integer(2, width).integer(3, 3).text(4, png);
    metadata.message(1, detail::Message().text(1, "images")).text(3, description);  // the part of TensorBoard that shows it
    put_value(detail::Message().text(1, tag).message(4, body).message(9, metadata), step, time);
  }

 private:
  static constexpr std::string_view prefix = "events.out.tfevents.";
  static detail::Message event(std::int64_t step, double time) { return std::move(detail::Message().real(1, time).integer(2, step)); }
  void put_value(detail::Message const& value, std::int64_t step, double time) {
    put(event(step, time).message(5, detail::Message().message(1, value)));  // Summary
  }
  void put(detail::Message const& event) {
    auto const record = detail::framed_record(event.bytes());
    out_.write(record.data(), std::streamsize(record.size()));
    out_.flush();
    check(out_.good(), ErrorKind::input, "{}: cannot be written (is the disk full?)", file_.string());
  }

  std::filesystem::path file_;
  std::ofstream out_;
};

}  // namespace dew
