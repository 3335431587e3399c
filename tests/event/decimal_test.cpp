// SPDX-License-Identifier: BSL-1.0
#include "dew/event/decimal.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <optional>
#include <random>
#include <string>

using namespace dew;

namespace {
/// What a reader makes of a field in the middle of a text.
template <class T, class Read>
std::optional<T> field(std::string const& text, Read read, std::string const& before = "7,", std::string const& behind = ",99999999") {
  std::string const all = before + text + behind + std::string(dew::detail::field_slack, '5');
  T value{};
  auto const* const begin = all.data() + before.size();
  if (!read(begin, begin + text.size(), value)) return {};
  return value;
}
std::optional<double> real(std::string const& text) { return field<double>(text, dew::detail::real_field); }
std::optional<std::int64_t> integer(std::string const& text) { return field<std::int64_t>(text, dew::detail::integer_field); }
bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }
}  // namespace

TEST_CASE("a field's integer is read whole or not at all") {
  auto const seed = 11U;
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int digits = 1; digits <= 18; ++digits)
    for (int i = 0; i < 2000; ++i) {
      std::string text = random() % 2 ? "-" : "";
      for (int d = 0; d < digits; ++d) text += char('0' + random() % 10);
      CAPTURE(text);
      CHECK(integer(text) == std::optional<std::int64_t>(std::stoll(text)));
      auto wrong = text;  // any other character anywhere makes it none, but for a sign at the front
      auto const at = random() % text.size();
      do wrong[at] = char(random());
      while (dew::detail::is_digit(wrong[at]) || (wrong[at] == '-' && at == 0));
      CHECK(!integer(wrong));
    }
  for (std::string text : {"", "-", "+1", "1 ", " 1", "1.0", "--1", "1234567890123456789"}) CHECK(!integer(text));
}

TEST_CASE("a field's real has strtod's bits, or is left to the general way") {
  auto const seed = 12U;
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::size_t left = 0;
  for (int i = 0; i < 200000; ++i) {
    auto const value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    auto const coordinate = std::ldexp(double(std::int64_t(random() >> 11)), -40 - int(random() % 12));
    std::string text;
    switch (i % 6) {
      case 0: text = fmt::format("{:.{}f}", coordinate, random() % 10); break;
      case 1: text = fmt::format("{:.{}g}", -coordinate, 1 + random() % 17); break;
      case 2: text = fmt::format("{:.17g}", value); break;  // any double, to its last bit
      case 3: text = fmt::format("{:.{}e}", value, random() % 17); break;
      case 4: text = fmt::format("{:.17g}", coordinate); break;
      default:  // digits without sense
        for (auto n = random() % 12; n-- > 0;) text += char('0' + random() % 10);
        text += '.';
        for (auto n = random() % 20; n-- > 0;) text += char('0' + random() % 10);
    }
    CAPTURE(text);
    char* end = nullptr;
    double const expected = std::strtod(text.c_str(), &end);
    auto const fast = real(text);
    double general = 0;
    auto const fault = dew::detail::read_number(text, general);
    if (text == ".") {
      CHECK((!fast && fault == dew::detail::NumberFault::no_number));
      continue;
    }
    if (fast) CHECK(same_bits(*fast, expected));
    else ++left;
    if (!std::isfinite(expected)) CHECK(fault == dew::detail::NumberFault::out_of_range);
    else CHECK((fault == dew::detail::NumberFault::none && same_bits(general, expected)));
  }
  CHECK(left < 120000);  // of 17 digits most are left
  for (std::string text : {"0.0", "-0.0", "-0", "1e5", "1E-5", "-1.5e+3", "5.", ".5", "123456.5", "1234567.5", "12345678.5",
                           "0.1234567890123456", "99999999", "-999999999999999", "0.00001", "1e22", "1e-22"})
    CHECK_MESSAGE((real(text) && same_bits(*real(text), std::strtod(text.c_str(), nullptr))), text);
  for (std::string text : {"",   "-",  ".",  "-.", "1..2", "1.2.3", "1.5x", "x",     "1.",   "1,5",
                           "+1", " 1", "1 ", "1e", "1e+",  "nan",   "inf",  "0x1p3", "1.5-", "1-2.5"})
    CHECK_MESSAGE((!real(text) || text == "1."), text);
}

TEST_CASE("numbers that a double cannot hold are 0 or at fault") {
  double value = 1;
  for (std::string text : {"1e-400", "-1e-400", "0.1e-999"}) {
    CHECK(dew::detail::read_number(text, value) == dew::detail::NumberFault::none);
    CHECK(same_bits(value, text[0] == '-' ? -0. : 0.));
  }
  for (double const tiny :
       {std::numeric_limits<double>::denorm_min(), 3 * std::numeric_limits<double>::denorm_min(), 2.2250738585072011e-308}) {
    CHECK(dew::detail::read_number(fmt::format(" +{:.17g}\t", tiny), value) == dew::detail::NumberFault::none);
    CHECK(same_bits(value, tiny));
  }
  for (std::string text : {"1e400", "-1e400", "nan", "inf"})
    CHECK(dew::detail::read_number(text, value) == dew::detail::NumberFault::out_of_range);
  std::int64_t whole = 0;
  CHECK(dew::detail::read_number("9223372036854775807", whole) == dew::detail::NumberFault::none);
  CHECK(whole == std::numeric_limits<std::int64_t>::max());
  CHECK(dew::detail::read_number("9223372036854775808", whole) == dew::detail::NumberFault::out_of_range);
  CHECK(dew::detail::read_number("1.0", whole) == dew::detail::NumberFault::no_number);
}
