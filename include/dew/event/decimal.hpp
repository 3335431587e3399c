// SPDX-License-Identifier: BSL-1.0
// Decimal numbers in text: correctly rounded reals and exact 64-bit integers, eight digits at a time where the ends of fields are known.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

namespace dew::detail {

inline constexpr std::array<double, 23> exact_powers_of_ten{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

/// ±mantissa·10^exponent, where one operation on exact numbers gives it correctly rounded; false elsewhere.
inline bool exact_real(std::uint64_t mantissa, int exponent, bool negative, double& value) {
  if (mantissa > (1ULL << 53) || exponent < -22 || exponent > 22) return false;
  auto const whole = double(mantissa);
  auto const absolute =
      exponent < 0 ? whole / exact_powers_of_ten[std::size_t(-exponent)] : whole * exact_powers_of_ten[std::size_t(exponent)];
  value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(absolute) | std::uint64_t(negative) << 63);
  return true;
}

/// Reads a decimal at p: the end of it, or null where there is none that this fast way can read (then `std::from_chars` decides).
/// Up to 19 digits whose integer fits a double and a power of ten that does: one exact operation, so that the result is correctly rounded.
/// Reads past a number only up to the first character that is no part of one: the text must end in such a character.
inline char const* scan_real(char const* p, double& value) {
  bool const negative = *p == '-';
  p += negative;
  std::uint64_t mantissa = 0;
  auto const* const begin = p;
  while (is_digit(*p)) mantissa = mantissa * 10 + std::uint64_t(*p++ - '0');
  auto digits = p - begin;
  int exponent = 0;
  if (*p == '.') {
    auto const* const fraction = ++p;
    while (is_digit(*p)) mantissa = mantissa * 10 + std::uint64_t(*p++ - '0');
    exponent = -int(std::min<std::ptrdiff_t>(p - fraction, 1000));
    digits += p - fraction;
  }
  if (digits == 0 || digits > 19) return nullptr;
  if (*p == 'e' || *p == 'E') {
    ++p;
    bool const down = *p == '-';
    p += down || *p == '+';
    if (!is_digit(*p)) return nullptr;
    int power = 0;
    while (is_digit(*p)) power = std::min(power * 10 + (*p++ - '0'), 10000);
    exponent += down ? -power : power;
  }
  return exact_real(mantissa, exponent, negative, value) ? p : nullptr;
}

/// Reads a decimal integer of at most 18 digits at p; null otherwise.
inline char const* scan_integer(char const* p, std::int64_t& value) {
  bool const negative = *p == '-';
  p += negative;
  auto const* const begin = p;
  std::uint64_t v = 0;
  while (is_digit(*p) && p - begin < 19) v = v * 10 + std::uint64_t(*p++ - '0');
  if (p == begin || p - begin > 18) return nullptr;
  value = negative ? -std::int64_t(v) : std::int64_t(v);
  return p;
}

// Eight characters in a word, the first of them lowest; a digit's byte is 0 to 9.
static_assert(std::endian::native == std::endian::little, "characters are read eight at a time, the first as the lowest byte");

inline std::uint64_t eight_digits(char const* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, 8);
  return word ^ 0x3030303030303030ULL;
}
/// The highest bit of the first byte that is no digit; bytes behind it may be marked wrongly.
inline std::uint64_t marked_non_digits(std::uint64_t word) { return ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL; }
/// The first `count` ≤ 8 characters as the last of eight digits, zeros before them.
inline std::uint64_t last_of_eight(std::uint64_t word, std::ptrdiff_t count) { return count == 0 ? 0 : word << (64 - 8 * count); }
inline std::uint64_t value_of_eight(std::uint64_t word) {
  word = word * 10 + (word >> 8);  // in every second byte: a number of two digits
  return ((word & 0x000000ff000000ffULL) * 0x000f424000000064ULL + ((word >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >> 32;
}

/// How far behind a field's begin `real_field` and `integer_field` read.
inline constexpr std::ptrdiff_t field_slack = 32;

/// The value of up to 18 digits [p, end); false where there is none, something else or more. Without a branch on the number of digits up to 8.
inline bool digits_field(char const* p, char const* end, std::uint64_t& value) {
  auto const count = end - p;
  if (count <= 0 || count > 18) return false;
  auto const first = (count - 1) % 8 + 1;
  auto word = last_of_eight(eight_digits(p), first), wrong = marked_non_digits(word);
  value = value_of_eight(word);
  for (p += first; p < end; p += 8) {
    word = eight_digits(p);
    wrong |= marked_non_digits(word);
    value = value * 100'000'000 + value_of_eight(word);
  }
  return wrong == 0;
}

/// Reads the integer that fills the field [p, end); false where it does not or has more than 18 digits. `field_slack` characters from p on
/// have to be readable.
inline bool integer_field(char const* p, char const* end, std::int64_t& value) {
  bool const negative = *p == '-';
  std::uint64_t absolute = 0;
  if (!digits_field(p + negative, end, absolute)) return false;
  auto const sign = -std::int64_t(negative);
  value = (std::int64_t(absolute) ^ sign) - sign;
  return true;
}

/// The same for a real: 1 to 7 digits before the point and 1 to 16 behind it, or up to 18 without one; others, with exponents, by
/// `scan_real`. The numbers of digits are no branches: in a column of coordinates nobody could predict them.
inline bool real_field(char const* p, char const* end, double& value) {
  auto const* const begin = p;
  bool const negative = *p == '-';
  p += negative;
  auto const word = eight_digits(p);
  auto const whole = std::countr_zero(marked_non_digits(word)) / 8;  // 8 where all are digits
  auto const fraction_digits = end - p - whole - 1;
  std::uint64_t fraction = 0;
  if (whole > 0 && whole < 8 && p[whole] == '.' && whole + fraction_digits <= 18 && digits_field(p + whole + 1, end, fraction)) {
    static constexpr auto powers = [] {
      std::array<std::uint64_t, 19> out{1};
      for (std::size_t i = 1; i < out.size(); ++i) out[i] = out[i - 1] * 10;
      return out;
    }();
    auto const mantissa = value_of_eight(last_of_eight(word, whole)) * powers[std::size_t(fraction_digits)] + fraction;
    if (exact_real(mantissa, -int(fraction_digits), negative, value)) return true;
  }
  return scan_real(begin, value) == end;
}

inline std::string_view without_blanks(std::string_view text) {
  auto const blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// What is wrong with a number.
enum class NumberFault { none, no_number, out_of_range };

/// Reads any number with blanks around it or a plus sign before it: what the fast ways refuse. A real too small for a double is 0.
template <class T>
NumberFault read_number(std::string_view text, T& value) {
  auto field = without_blanks(text);
  if (field.size() > 1 && field[0] == '+' && field[1] != '-') field.remove_prefix(1);
  auto const [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (end != field.data() + field.size() || error == std::errc::invalid_argument) return NumberFault::no_number;
  if constexpr (std::is_floating_point_v<T>) {
    if (error == std::errc::result_out_of_range) {
      auto const power = field.find_first_of("eE");
      auto const digits = field.substr(field.starts_with('-'));
      bool const small =
          power == field.npos ? digits.starts_with('0') || digits.starts_with('.') : field.substr(power + 1).starts_with('-');
      if (small) {
        value = field.starts_with('-') ? -0. : 0.;
        return NumberFault::none;
      }
    }
    return error == std::errc() && std::isfinite(value) ? NumberFault::none : NumberFault::out_of_range;
  } else return error == std::errc() ? NumberFault::none : NumberFault::out_of_range;
}

}  // namespace dew::detail
