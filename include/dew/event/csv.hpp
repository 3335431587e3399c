// SPDX-License-Identifier: BSL-1.0
// Tables from CSV files, plain or gzip'ed: columns by header name, 64-bit integers exact, errors that say where.
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "dew/core/error.hpp"
#include "dew/core/file.hpp"
#include "dew/core/simd.hpp"
#include "dew/event/decimal.hpp"
#include "dew/event/gzip.hpp"

namespace dew {

namespace detail { class CsvReader; }

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
  friend class detail::CsvReader;
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
/// A value's text for an error: not too long, and printable.
inline std::string quoted(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 40)) out += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return text.size() > 40 ? "'" + out + "…'" : "'" + out + "'";
}

/// Reads a field that the fast scanners refused, or says where it stands and what is wrong with it.
template <class T>
T read_field(std::string_view text, std::string_view column, CsvTable const& table) {
  T value{};
  auto const fault = read_number(text, value);
  if (fault == NumberFault::none) return value;
  bool const is_number = fault == NumberFault::out_of_range;
  auto const what = std::is_floating_point_v<T> ? is_number ? "a finite number" : "a number"
                    : is_number                 ? "an integer of 64 bits"
                                                : "an integer";
  fail(ErrorKind::input, "{}: column '{}': expected {}, got {}", table.where(table.rows()), column, what, quoted(text));
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

/// Writes the places of all commas and line ends of `text` to `out`, which has room for 8 more than there are characters; returns their
/// number. The plain way.
inline std::size_t find_delimiters_reference(std::string_view text, std::uint32_t* out) {
  auto* next = out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    *next = std::uint32_t(i);
    next += text[i] == ',' || text[i] == '\n';
  }
  return std::size_t(next - out);
}

#ifdef __SSE2__
/// The same, 64 characters a step.
DEW_SIMD inline std::size_t find_delimiters(std::string_view text, std::uint32_t* out) {
  auto const commas = _mm_set1_epi8(','), ends = _mm_set1_epi8('\n');
  auto* next = out;
  std::size_t at = 0;
  for (; at + 64 <= text.size(); at += 64) {
    std::uint64_t found = 0;
    for (unsigned part = 0; part < 4; ++part) {
      auto const characters = _mm_loadu_si128(reinterpret_cast<__m128i const*>(text.data() + at) + part);
      auto const equal = _mm_or_si128(_mm_cmpeq_epi8(characters, commas), _mm_cmpeq_epi8(characters, ends));
      found |= std::uint64_t(std::uint32_t(_mm_movemask_epi8(equal))) << (16 * part);
    }
    auto* const behind = next + std::popcount(found);
    // eight at a time, too many rather than as many as there are: how many there are nobody could predict
    for (; next < behind; next += 8)
      for (int k = 0; k < 8; ++k, found &= found - 1) next[k] = std::uint32_t(at) + std::uint32_t(std::countr_zero(found));
    next = behind;
  }
  auto const rest = find_delimiters_reference(text.substr(at), next);
  for (std::size_t k = 0; k < rest; ++k) next[k] += std::uint32_t(at);
  return std::size_t(next - out) + rest;
}
#else
inline std::size_t find_delimiters(std::string_view text, std::uint32_t* out) { return find_delimiters_reference(text, out); }
#endif

/// Fills the columns of a table from lines of text.
class CsvReader {
  using Column = CsvTable::Column;

 public:
  CsvReader(CsvTable& table, std::vector<std::string> names, std::vector<Column*> target)
      : table_(table), names_(std::move(names)), target_(std::move(target)), places_(block_size + 8) {}

  /// All lines of `text`, each with its end.
  void read(std::string_view text) {
    auto const all = text.size();
    while (!text.empty()) {
      // whole lines, with what the readers of fields may look at behind them
      auto const most = std::min(block_size, text.size() - std::min(text.size(), std::size_t(field_slack)));
      auto block = text.substr(0, text.substr(0, most).rfind('\n') + 1);
      bool const first = table_.rows_ == 0;
      if (block.empty()) {
        block = text.substr(0, text.find('\n') + 1);
        read_lines(block, text);
      } else if (!read_regular(block)) read_lines(block, text);
      if (first) reserve(table_.rows_ * (all / block.size() + 1));
      text.remove_prefix(block.size());
    }
  }

 private:
  static constexpr std::size_t block_size = 1 << 15;  // characters: they and what is made of them stay in the cache

  void reserve(std::size_t rows) {
    for (auto* column : target_)
      if (column != nullptr && column->asked.type == CsvColumn::Type::integer) column->integers.reserve(rows);
      else if (column != nullptr) column->reals.reserve(rows);
  }

  /// Reads lines that all have as many fields as there are names, and numbers in the columns asked for, column by column; false for others.
  bool read_regular(std::string_view block) {
    auto const fields = names_.size(), places = find_delimiters(block, places_.data()), rows = places / fields;
    if (places % fields != 0 || (fields == 1 && target_[0] == nullptr)) return false;
    auto const* place = places_.data();
    std::size_t wrong = 0;
    for (std::size_t row = 0; row < rows; ++row, place += fields) {
      for (std::size_t f = 0; f + 1 < fields; ++f) wrong += block[place[f]] != ',';
      wrong += block[place[fields - 1]] != '\n';
    }
    if (wrong > 0) return false;
    for (std::size_t f = 0; f < fields; ++f) {
      if (target_[f] == nullptr) continue;
      auto& column = *target_[f];
      bool const numbers = column.asked.type == CsvColumn::Type::integer ? read_column(block, f, rows, column.integers, integer_field)
                                                                         : read_column(block, f, rows, column.reals, real_field);
      if (!numbers) return false;  // and `read_lines` throws, which knows the first of all that are none
    }
    table_.rows_ += rows;
    return true;
  }

  template <class T, class ReadField>
  bool read_column(std::string_view block, std::size_t f, std::size_t rows, std::vector<T>& values, ReadField read_field) {
    auto const fields = names_.size();
    values.resize(table_.rows_ + rows);
    auto* const out = values.data() + table_.rows_;
    auto const* place = places_.data() + f;
    bool const last = f + 1 == fields;
    for (std::size_t row = 0; row < rows; ++row, place += fields) {
      auto const* const begin = block.data() + (row + f == 0 ? 0 : place[-1] + 1);
      auto const* end = block.data() + *place;
      end -= last && end != begin && end[-1] == '\r';
      if (read_field(begin, end, out[row])) continue;
      if (read_number(std::string_view(begin, std::size_t(end - begin)), out[row]) != NumberFault::none) return false;
    }
    return true;
  }

  /// Reads any lines, field by field, and says of the first wrong one what is wrong. `text`: from the block on, to the end of the file.
  void read_lines(std::string_view block, std::string_view text) {
    auto const fields = names_.size();
    auto const* p = block.data();
    auto const *const end = p + block.size(), *const text_end = text.data() + text.size();
    while (p < end) {
      if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
        auto const* rest = p;
        while (rest < text_end && (*rest == '\n' || *rest == '\r')) ++rest;
        if (rest == text_end) return;  // empty lines are allowed at the end
        fail(ErrorKind::input, "{}: the row is too short: the line is empty", table_.where(table_.rows_));
      }
      for (std::size_t f = 0; f < fields; ++f) {
        if (auto* const column = target_[f]; column == nullptr) p = field_end(p);
        else if (column->asked.type == CsvColumn::Type::integer) p = read_value(p, *column, column->integers, scan_integer);
        else p = read_value(p, *column, column->reals, scan_real);
        bool const last = f + 1 == fields;
        if (*p != (last ? '\n' : ',')) [[unlikely]] {
          auto const where = table_.where(table_.rows_);
          if (!last)
            fail(ErrorKind::input, "{}: the row is too short: expected {} fields, got {}; column '{}' is missing", where, fields, f + 1,
                 names_[f + 1]);
          fail(ErrorKind::input, "{}: the row is too long: expected {} fields, got {}; the last is column '{}'", where, fields,
               fields + std::size_t(std::count(p, std::find(p, end, '\n'), ',')), names_.back());
        }
        ++p;
      }
      ++table_.rows_;
    }
  }
  static char const* field_end(char const* p) {
    while (*p != ',' && *p != '\n') ++p;
    return p;
  }
  template <class T>
  char const* read_value(char const* p, Column const& column, std::vector<T>& values, char const* (*scan)(char const*, T&)) const {
    T value{};
    auto const* const stop = scan(p, value);
    if (stop != nullptr && (*stop == ',' || *stop == '\n' || (*stop == '\r' && stop[1] == '\n'))) {
      values.push_back(value);
      return stop + (*stop == '\r');
    }
    auto const* const end = field_end(p);
    values.push_back(read_field<T>(std::string_view(p, std::size_t(end - p)), column.asked.name, table_));
    return end;
  }

  CsvTable& table_;
  std::vector<std::string> names_;
  std::vector<Column*> target_;  // what becomes of each field: a column, or null to pass over it
  std::vector<std::uint32_t> places_;
};
}  // namespace detail

/// Reads a table from text that is in memory; `file` is named in errors. See `read_csv`.
inline CsvTable parse_csv(std::string_view text, std::string file, std::vector<CsvColumn> const& columns) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte-order mark
  check(!detail::without_blanks(text.substr(0, text.find('\n'))).empty(), ErrorKind::input, "{}: {}", file,
        text.empty() ? "is empty: expected a line of column names" : "begins with an empty line: expected column names");
  std::string ended;  // the readers stop at the first character that is no part of a number: every line needs an end
  if (!text.ends_with('\n')) ended.append(text).append("\n"), text = ended;
  CsvTable table;
  table.file_ = std::move(file);
  for (auto const& c : columns) table.columns_.push_back({c, false, {}, {}});

  auto const header_end = text.find('\n');
  auto names = detail::header_fields(text.substr(0, header_end));
  std::vector<CsvTable::Column*> target(names.size(), nullptr);
  for (auto& column : table.columns_) {
    auto const& name = column.asked.name;
    auto const count = std::count(names.begin(), names.end(), name);
    check(count > 0 || column.asked.optional, ErrorKind::input, "{}:1: column '{}' is missing; there are {}", table.file_, name,
          fmt::join(names, ", "));
    check(count <= 1, ErrorKind::input, "{}:1: column '{}' stands twice", table.file_, name);
    if (count == 0) continue;
    column.present = true;
    target[std::size_t(std::find(names.begin(), names.end(), name) - names.begin())] = &column;
  }
  detail::CsvReader(table, std::move(names), std::move(target)).read(text.substr(header_end + 1));
  return table;
}

/// Reads the named columns of a CSV file, plain or gzip'ed (told apart by content; a name that ends in `.gz` must be gzip). Columns stand in
/// any order, others are passed over; decimal points, no quotes; lines end in LF or CRLF.
///
/// Throws `Error` (input): `FILE: what` for a missing or empty file and for broken or truncated gzip, `FILE:LINE: what` with the column's
/// name for a missing column (line 1), a non-number, an integer beyond 64 bits, a number that is not finite, a short and a long row.
/// A header without rows is a table of no rows. The whole file is in memory. Some 10 ns a value that is asked for and 1 ns a character of the
/// rest; of gzip also its inflation. Reals are correctly rounded.
inline CsvTable read_csv(std::filesystem::path const& path, std::vector<CsvColumn> const& columns) {
  auto bytes = read_file(path);
  if (is_gzip(bytes) || (path.extension() == ".gz" && !bytes.empty())) bytes = gunzip(bytes, path.string());
  return parse_csv(bytes, path.string(), columns);
}

/// A file and the columns that are asked for.
struct CsvFile {
  std::filesystem::path path;
  std::vector<CsvColumn> columns;
};

/// Reads several files at once, each as `read_csv` does, on as many of ATen's threads; of several that are wrong, the first one is named.
inline std::vector<CsvTable> read_csv_files(std::vector<CsvFile> const& files) {
  std::vector<std::pair<std::uintmax_t, std::size_t>> order;  // the largest files begin
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::error_code absent;
    order.emplace_back(std::filesystem::file_size(files[i].path, absent), i);
  }
  std::sort(order.rbegin(), order.rend());
  std::vector<CsvTable> tables(files.size());
  std::vector<std::exception_ptr> errors(files.size());
  std::atomic<std::size_t> next = 0;
  auto const readers = std::min(std::int64_t(files.size()), std::int64_t(at::get_num_threads()));
  at::parallel_for(0, readers, 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t at = 0; (at = next++) < order.size();) {
      auto const i = order[at].second;
      try {
        tables[i] = read_csv(files[i].path, files[i].columns);
      } catch (...) { errors[i] = std::current_exception(); }
    }
  });
  for (auto const& error : errors)
    if (error) std::rethrow_exception(error);
  return tables;
}

}  // namespace dew
