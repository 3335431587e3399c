// SPDX-License-Identifier: BSL-1.0
// Tables from CSV files, plain or gzip'ed: columns by header name, 64-bit integers exact, errors that say where.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/file.hpp"
#include "dew/event/gzip.hpp"

namespace dew {

/// A column that is asked for.
struct CsvColumn {
  std::string name;
  enum class Type { integer, real } type = Type::real;  ///< 64-bit integers, or finite doubles
  bool optional = false;                                ///< may be absent from the file
};

/// The columns of a file that were asked for, one value a row each.
class CsvTable {
 public:
  std::string const& file() const { return file_; }
  std::size_t rows() const { return rows_; }
  /// The number of a row's line in the file, as editors count.
  std::size_t line(std::size_t row) const { return row + 2; }
  /// "FILE:LINE" of a row.
  std::string where(std::size_t row) const { return fmt::format("{}:{}", file_, line(row)); }
  bool has(std::string_view name) const { return find(name) != nullptr && find(name)->present; }
  /// A column's values; throws `Error` (internal) for one that was not asked for with that type or is not there.
  std::vector<std::int64_t> const& integers(std::string_view name) const { return column(name, CsvColumn::Type::integer).integers; }
  std::vector<double> const& reals(std::string_view name) const { return column(name, CsvColumn::Type::real).reals; }

 private:
  friend CsvTable parse_csv(std::string_view text, std::string file, std::vector<CsvColumn> const& columns);
  struct Column {
    CsvColumn asked;
    bool present = false;
    std::vector<std::int64_t> integers;
    std::vector<double> reals;
  };
  Column const* find(std::string_view name) const {
    auto const at = std::find_if(columns_.begin(), columns_.end(), [&](auto const& c) { return c.asked.name == name; });
    return at == columns_.end() ? nullptr : &*at;
  }
  Column const& column(std::string_view name, CsvColumn::Type type) const {
    auto const* c = find(name);
    check(c != nullptr && c->present && c->asked.type == type, "{}: column '{}' was not read with that type", file_, name);
    return *c;
  }
  std::string file_;
  std::size_t rows_ = 0;
  std::vector<Column> columns_;
};

namespace detail {
inline constexpr std::array<double, 23> exact_powers_of_ten{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                            1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

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
  if (mantissa > (1ULL << 53) || exponent < -22 || exponent > 22) return nullptr;
  auto const whole = double(mantissa);
  auto const absolute =
      exponent < 0 ? whole / exact_powers_of_ten[std::size_t(-exponent)] : whole * exact_powers_of_ten[std::size_t(exponent)];
  value = negative ? -absolute : absolute;
  return p;
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

inline std::string_view without_blanks(std::string_view text) {
  auto const blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// A value's text for an error: not too long, and printable.
inline std::string quoted(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 40)) out += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return text.size() > 40 ? "'" + out + "…'" : "'" + out + "'";
}

/// Reads a field that the fast scanners refused: blanks around it, a plus sign, more digits, or no number at all.
template <class T>
T read_field(std::string_view text, std::string_view column, std::string const& where) {
  auto field = without_blanks(text);
  if (field.size() > 1 && field[0] == '+' && field[1] != '-') field.remove_prefix(1);
  T value{};
  auto const [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  bool const whole = end == field.data() + field.size() && error != std::errc::invalid_argument;
  if constexpr (std::is_floating_point_v<T>) {
    check(whole, ErrorKind::input, "{}: column '{}': expected a number, got {}", where, column, quoted(text));
    if (error == std::errc::result_out_of_range) {  // too small is 0, too large is not finite
      auto const power = field.find_first_of("eE");
      auto const digits = field.substr(field.starts_with('-'));
      if (power == field.npos ? digits.starts_with('0') || digits.starts_with('.') : field.substr(power + 1).starts_with('-'))
        return field.starts_with('-') ? -0. : 0.;
    }
    check(error == std::errc() && std::isfinite(value), ErrorKind::input, "{}: column '{}': expected a finite number, got {}", where,
          column, quoted(text));
  } else {
    check(whole, ErrorKind::input, "{}: column '{}': expected an integer, got {}", where, column, quoted(text));
    check(error == std::errc(), ErrorKind::input, "{}: column '{}': expected an integer of 64 bits, got {}", where, column, quoted(text));
  }
  return value;
}

/// The fields of a header line.
inline std::vector<std::string> header_fields(std::string_view line) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= line.size();) {
    auto const end = std::min(line.find(',', begin), line.size());
    names.emplace_back(without_blanks(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return names;
}
}  // namespace detail

/// Reads a table from text that is in memory; `file` is named in errors. See `read_csv`.
inline CsvTable parse_csv(std::string_view text, std::string file, std::vector<CsvColumn> const& columns) {
  using Column = CsvTable::Column;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte-order mark
  check(!detail::without_blanks(text.substr(0, text.find('\n'))).empty(), ErrorKind::input, "{}: {}", file,
        text.empty() ? "is empty: expected a line of column names" : "begins with an empty line: expected column names");
  CsvTable table;
  table.file_ = std::move(file);
  for (auto const& c : columns) table.columns_.push_back({c, false, {}, {}});

  auto const header_end = std::min(text.find('\n'), text.size());
  auto const names = detail::header_fields(text.substr(0, header_end));
  std::vector<Column*> target(names.size(), nullptr);  // what becomes of each field: a column, or null to pass over it
  std::size_t const rows_at_most = std::size_t(std::count(text.begin() + std::ptrdiff_t(header_end), text.end(), '\n')) + 1;
  for (auto& column : table.columns_) {
    auto const& name = column.asked.name;
    auto const count = std::count(names.begin(), names.end(), name);
    check(count > 0 || column.asked.optional, ErrorKind::input, "{}:1: column '{}' is missing; there are {}", table.file_, name,
          fmt::join(names, ", "));
    check(count <= 1, ErrorKind::input, "{}:1: column '{}' stands twice", table.file_, name);
    if (count == 0) continue;
    column.present = true;
    target[std::size_t(std::find(names.begin(), names.end(), name) - names.begin())] = &column;
    if (column.asked.type == CsvColumn::Type::integer) column.integers.reserve(rows_at_most);
    else column.reals.reserve(rows_at_most);
  }

  // The scanners stop at the first character that is no part of a number. Every line but possibly the last ends in one; the last is copied
  // behind a line end of its own when it has none.
  auto const ends_well = text.ends_with('\n');
  auto const body_end = ends_well ? text.size() : text.rfind('\n') == text.npos ? header_end : text.rfind('\n') + 1;
  std::string last_line(ends_well ? "" : text.substr(std::max(body_end, std::min(header_end + 1, text.size()))));
  if (!last_line.empty()) last_line += '\n';

  auto const fields = names.size();
  auto const* const very_end = ends_well ? text.data() + text.size() : last_line.data() + last_line.size();
  auto const parse_lines = [&](char const* p, char const* const end) {
    while (p < end) {
      if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
        auto const* rest = p;
        while (rest < end && (*rest == '\n' || *rest == '\r')) ++rest;
        if (rest == end && end == very_end) return;  // empty lines are allowed at the end
        fail(ErrorKind::input, "{}: the row is too short: the line is empty", table.where(table.rows_));
      }
      for (std::size_t f = 0; f < fields; ++f) {
        auto* const column = target[f];
        auto const* const field = p;
        char const* stop = nullptr;
        std::int64_t integer = 0;
        double real = 0;
        if (column == nullptr) {
          while (*p != ',' && *p != '\n') ++p;
        } else {
          stop = column->asked.type == CsvColumn::Type::integer ? detail::scan_integer(p, integer) : detail::scan_real(p, real);
          if (stop == nullptr || (*stop != ',' && *stop != '\n' && !(*stop == '\r' && stop[1] == '\n'))) {
            auto const* q = field;
            while (*q != ',' && *q != '\n') ++q;
            auto const value = std::string_view(field, std::size_t(q - field));
            auto const where = table.where(table.rows_);
            if (column->asked.type == CsvColumn::Type::integer)
              integer = detail::read_field<std::int64_t>(value, column->asked.name, where);
            else real = detail::read_field<double>(value, column->asked.name, where);
            stop = q;
          }
          p = stop + (*stop == '\r');
          if (column->asked.type == CsvColumn::Type::integer) column->integers.push_back(integer);
          else column->reals.push_back(real);
        }
        bool const last = f + 1 == fields;
        if (*p != (last ? '\n' : ',')) [[unlikely]] {
          auto const where = table.where(table.rows_);
          if (!last)
            fail(ErrorKind::input, "{}: the row is too short: expected {} fields, got {}; column '{}' is missing", where, fields, f + 1,
                 names[f + 1]);
          fail(ErrorKind::input, "{}: the row is too long: expected {} fields, got {}; the last is column '{}'", where, fields,
               fields + std::size_t(std::count(p, std::find(p, end, '\n'), ',')), names.back());
        }
        ++p;
      }
      ++table.rows_;
    }
  };
  if (header_end < body_end) parse_lines(text.data() + header_end + 1, text.data() + body_end);
  parse_lines(last_line.data(), last_line.data() + last_line.size());
  return table;
}

/// Reads the named columns of a CSV file, plain or gzip'ed (told apart by content; a name that ends in `.gz` must be gzip). Columns stand in
/// any order, others are passed over; decimal points, no quotes; lines end in LF or CRLF.
///
/// Throws `Error` (input): `FILE: what` for a missing or empty file and for broken or truncated gzip, `FILE:LINE: what` with the column's
/// name for a missing column (line 1), a non-number, an integer beyond 64 bits, a number that is not finite, a short and a long row.
/// A header without rows is a table of no rows. The whole file is in memory; several hundred MB/s, reals correctly rounded.
inline CsvTable read_csv(std::filesystem::path const& path, std::vector<CsvColumn> const& columns) {
  auto bytes = read_file(path);
  if (is_gzip(bytes) || (path.extension() == ".gz" && !bytes.empty())) bytes = gunzip(bytes, path.string());
  return parse_csv(bytes, path.string(), columns);
}

}  // namespace dew
