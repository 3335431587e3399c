// SPDX-License-Identifier: BSL-1.0
// Inflate: deflate streams (RFC 1951) by tables, several literals a look; what is not well-formed is left to a stricter reader.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dew::detail {

/// A table of a Huffman code: the next bits of a stream lead to a symbol, or two.
class HuffmanTable {
 public:
  /// What a symbol means: the number of bits that it takes (bits 0…7), its kind or how many further bits are to be added to its value (8…15),
  /// and its value (16…31).
  using Entry = std::uint32_t;
  static constexpr Entry literal = 0x8000, two_literals = 0x4000, end_of_block = 0x2000, unknown = 0x1000;
  static constexpr unsigned look = 11;  // bits that a look sees; longer codes are rare and found bit by bit

  static unsigned size(Entry e) { return e & 0xff; }
  static unsigned further_bits(Entry e) { return e >> 8 & 0xf; }
  static unsigned value(Entry e) { return e >> 16; }

  /// `sizes`: of each symbol's code, 0 for none; `meaning(symbol)`: an entry without its size. False where there are more codes than fit, or
  /// fewer; where `may_be_one`, none and one are enough.
  template <class Meaning>
  bool make(std::span<std::uint8_t const> sizes, bool may_be_one, Meaning&& meaning) {
    count_.fill(0);
    for (auto const size : sizes) ++count_[size];
    count_[0] = 0;
    std::array<unsigned, 16> next{};  // code of each size
    unsigned code = 0, place = 0;
    for (unsigned size = 1; size < 16; ++size) {
      code = (code + count_[size - 1]) << 1;
      if (code + count_[size] > 1U << size) return false;
      next[size] = first_code_[size] = code;
      first_place_[size] = place;
      place += count_[size];
    }
    bool const full = code + count_[15] == 1U << 15, one = place == 0 || (place == 1 && count_[1] == 1);
    if (!full && !(may_be_one && one)) return false;
    entries_.fill(unknown);
    for (std::size_t symbol = 0; symbol < sizes.size(); ++symbol) {
      unsigned const size = sizes[symbol];
      if (size == 0) continue;
      Entry const entry = meaning(symbol) | size;
      auto const own = next[size]++;
      sorted_[first_place_[size] + own - first_code_[size]] = entry;
      if (size > look) continue;
      unsigned turned = 0;  // codes come with their first bit lowest
      for (unsigned bit = 0; bit < size; ++bit) turned |= (own >> bit & 1) << (size - 1 - bit);
      for (auto at = turned; at < entries_.size(); at += 1U << size) entries_[at] = entry;
    }
    return true;
  }
  /// Lets a look find two literals where both are in sight.
  void pair_literals() {
    for (auto at = entries_.size(); at-- > 0;) {  // from behind: the second is looked up where nothing has been paired yet
      auto const first = entries_[at], second = entries_[at >> size(first)];
      if ((first & literal) != 0 && (second & literal) != 0 && size(first) + size(second) <= look)
        entries_[at] = (value(first) | value(second) << 8) << 16 | literal | two_literals | (size(first) + size(second));
    }
  }
  Entry find(std::uint64_t bits) const {
    auto const entry = entries_[bits & (entries_.size() - 1)];
    return entry == unknown ? find_long(bits) : entry;
  }

 private:
  Entry find_long(std::uint64_t bits) const {
    unsigned code = 0;
    for (unsigned size = 1; size < 16; ++size, bits >>= 1) {
      code = code << 1 | unsigned(bits & 1);
      if (size > look && code >= first_code_[size] && code - first_code_[size] < count_[size])
        return sorted_[first_place_[size] + code - first_code_[size]];
    }
    return unknown;
  }
  std::array<Entry, 1 << look> entries_;
  std::array<Entry, 288> sorted_;  // by size and code
  std::array<unsigned, 16> count_, first_code_{}, first_place_{};
};

/// Inflates one stream.
class Inflater {
  using Entry = HuffmanTable::Entry;

 public:
  /// Appends the content of the deflate stream that `bytes` begin with to `out`, which is used up to `filled`. Returns how many bytes the stream
  /// takes; nothing, with `filled` as it was, where it is truncated or not well-formed.
  std::optional<std::size_t> operator()(std::string_view bytes, std::string& out, std::size_t& filled) {
    begin_ = in_ = bytes.data(), in_end_ = in_ + bytes.size();
    bits_ = bit_count_ = missing_ = 0;
    auto at = filled;
    for (bool last = false; !last;) {
      refill();
      last = take(1) != 0;
      auto const kind = take(2);
      bool const good =
          kind == 0 ? stored(out, at) : (kind == 1 ? fixed_tables() : kind == 2 && dynamic_tables()) && block(out, filled, at);
      if (!good || too_far()) return {};
    }
    filled = at;
    return std::size_t(in_ - begin_) + missing_ - bit_count_ / 8;
  }

 private:
  static constexpr std::size_t longest = 258, slack = longest + 16;  // what one step may write, with what it writes too much

  /// Makes at least 56 bits ready; zeros behind the end.
  void refill() {
    if (in_end_ - in_ >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, in_, 8);
      bits_ |= word << bit_count_;
      in_ += (63 - bit_count_) >> 3;
      bit_count_ |= 56;
    } else
      for (; bit_count_ < 56; bit_count_ += 8)
        if (in_ < in_end_) bits_ |= std::uint64_t(static_cast<unsigned char>(*in_++)) << bit_count_;
        else ++missing_;
  }
  void drop(unsigned count) { bits_ >>= count, bit_count_ -= count; }
  unsigned take(unsigned count) {
    auto const value = unsigned(bits_ & ((1ULL << count) - 1));
    drop(count);
    return value;
  }
  /// Whether bits were taken that were not there.
  bool too_far() const { return missing_ > bit_count_ / 8; }

  bool stored(std::string& out, std::size_t& at) {
    drop(bit_count_ % 8);
    if (too_far()) return false;
    in_ -= bit_count_ / 8 - missing_;  // whole bytes that were not needed
    bits_ = bit_count_ = missing_ = 0;
    if (in_end_ - in_ < 4) return false;
    auto const number = [&](int k) {
      return std::size_t(static_cast<unsigned char>(in_[k])) | std::size_t(static_cast<unsigned char>(in_[k + 1])) << 8;
    };
    auto const size = number(0);
    if ((size ^ number(2)) != 0xffff || std::size_t(in_end_ - in_) - 4 < size) return false;
    if (out.size() < at + size) out.resize(std::max(2 * out.size(), at + size));
    if (size > 0) std::memcpy(out.data() + at, in_ + 4, size);
    at += size, in_ += 4 + size;
    return true;
  }

  bool fixed_tables() {
    std::array<std::uint8_t, 288> sizes;
    for (std::size_t s = 0; s < sizes.size(); ++s) sizes[s] = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
    std::array<std::uint8_t, 32> distances;
    distances.fill(5);
    return make_tables(sizes, distances);
  }
  bool dynamic_tables() {
    static constexpr std::array<std::uint8_t, 19> order{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    auto const literals = take(5) + 257, distances = take(5) + 1, codes = take(4) + 4;
    if (literals > 286 || distances > 30) return false;
    std::array<std::uint8_t, 19> code_sizes{};
    for (unsigned k = 0; k < codes; ++k) {
      if (bit_count_ < 3) refill();
      code_sizes[order[k]] = std::uint8_t(take(3));
    }
    if (!literals_.make(code_sizes, false, [](std::size_t symbol) { return Entry(symbol) << 16; })) return false;
    std::array<std::uint8_t, 286 + 30> sizes{};
    for (std::size_t k = 0; k < literals + distances;) {
      refill();
      auto const entry = literals_.find(bits_);
      if (entry == HuffmanTable::unknown) return false;
      drop(HuffmanTable::size(entry));
      auto const symbol = HuffmanTable::value(entry);
      if (symbol < 16) {
        sizes[k++] = std::uint8_t(symbol);
        continue;
      }
      if (symbol == 16 && k == 0) return false;
      auto const again = symbol == 16 ? 3 + take(2) : symbol == 17 ? 3 + take(3) : 11 + take(7);
      if (k + again > literals + distances) return false;
      std::fill_n(sizes.begin() + std::ptrdiff_t(k), again, symbol == 16 ? sizes[k - 1] : std::uint8_t(0));
      k += again;
    }
    std::span const all(sizes);
    return sizes[256] != 0 && make_tables(all.first(literals), all.subspan(literals, distances));
  }
  bool make_tables(std::span<std::uint8_t const> literals, std::span<std::uint8_t const> distances) {
    static constexpr std::array<std::uint16_t, 29> lengths{3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                                           31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    bool const good = literals_.make(literals, false, [](std::size_t symbol) -> Entry {
      if (symbol < 256) return Entry(symbol) << 16 | HuffmanTable::literal;
      if (symbol == 256) return HuffmanTable::end_of_block;
      auto const k = symbol - 257;
      if (k >= lengths.size()) return HuffmanTable::unknown;
      return Entry(lengths[k]) << 16 | Entry(k < 8 || k == 28 ? 0 : k / 4 - 1) << 8;
    });
    if (!good) return false;
    literals_.pair_literals();
    return distances_.make(distances, true, [](std::size_t symbol) -> Entry {
      if (symbol >= 30) return HuffmanTable::unknown;
      auto const further = symbol < 4 ? 0 : symbol / 2 - 1;
      return Entry(symbol < 4 ? symbol + 1 : ((2 + symbol % 2) << further) + 1) << 16 | Entry(further) << 8;
    });
  }

  /// The symbols of a block. References go back to `first` at most.
  bool block(std::string& out, std::size_t first, std::size_t& filled) {
    for (auto at = filled;;) {
      if (out.size() - at < slack) out.resize(std::max(2 * out.size(), at + 64 * slack));
      auto* const begin = out.data();
      auto* const end = begin + out.size() - slack;
      for (auto* to = begin + at;; at = std::size_t(to - begin)) {
        if (to > end) break;
        refill();
        auto entry = literals_.find(bits_);
        for (int k = 0; k < 2 && (entry & HuffmanTable::literal) != 0; ++k) {
          to = put_literals(to, entry);
          entry = literals_.find(bits_);
        }
        if ((entry & HuffmanTable::literal) != 0) {
          to = put_literals(to, entry);
          continue;
        }
        if ((entry & (HuffmanTable::end_of_block | HuffmanTable::unknown)) != 0) {
          drop(HuffmanTable::size(entry));
          filled = std::size_t(to - begin);
          return (entry & HuffmanTable::end_of_block) != 0;
        }
        refill();
        drop(HuffmanTable::size(entry));
        std::size_t const length = HuffmanTable::value(entry) + take(HuffmanTable::further_bits(entry));
        auto const back = distances_.find(bits_);
        if ((back & HuffmanTable::unknown) != 0 || too_far()) return false;
        drop(HuffmanTable::size(back));
        std::size_t const distance = HuffmanTable::value(back) + take(HuffmanTable::further_bits(back));
        if (distance > std::size_t(to - begin) - first) return false;
        copy(to, distance, length);
        to += length;
      }
      if (too_far()) return false;
      filled = at;
    }
  }
  char* put_literals(char* to, Entry entry) {
    auto const both = std::uint16_t(HuffmanTable::value(entry));
    std::memcpy(to, &both, 2);
    drop(HuffmanTable::size(entry));
    return to + 1 + ((entry & HuffmanTable::two_literals) != 0);
  }
  /// Copies in steps of eight bytes, up to seven too many.
  static void copy(char* to, std::size_t distance, std::size_t length) {
    auto const* from = to - distance;
    auto* const end = to + length;
    if (distance >= 8)
      for (; to < end; to += 8, from += 8) std::memcpy(to, from, 8);
    else
      while (to < end) *to++ = *from++;
  }

  char const *begin_ = nullptr, *in_ = nullptr, *in_end_ = nullptr;
  std::uint64_t bits_ = 0;
  unsigned bit_count_ = 0;
  std::size_t missing_ = 0;  // bytes made up behind the end
  HuffmanTable literals_, distances_;
};

}  // namespace dew::detail
