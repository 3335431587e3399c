// SPDX-License-Identifier: BSL-1.0
#include "dew/event/csv.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>
#include <random>

#include "event/gzip_writer.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using test::put_file;

namespace {
using enum CsvColumn::Type;
std::vector<CsvColumn> const columns{{"id", integer}, {"x"}, {"y"}};
std::string message(std::string_view text, std::vector<CsvColumn> const& asked = columns) {
  try {
    parse_csv(text, "f.csv", asked);
    return "no error";
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::input);
    return e.what();
  }
}
double parsed(std::string const& text) { return parse_csv("x\n" + text + "\n", "f.csv", {{"x"}}).reals("x").at(0); }
std::int64_t whole(std::string const& text) { return parse_csv("i\n" + text + "\n", "f.csv", {{"i", integer}}).integers("i").at(0); }
}  // namespace

TEST_CASE("columns are found by name, in any order, among others") {
  auto const check_table = [](CsvTable const& t) {
    CHECK(t.rows() == 2);
    CHECK(t.integers("id") == std::vector<std::int64_t>{7, 8});
    CHECK(t.reals("x") == std::vector<double>{1.5, -2});
    CHECK(t.reals("y") == std::vector<double>{0.25, 1e-3});
    CHECK(t.where(1) == "f.csv:3");
  };
  check_table(parse_csv("id,x,y\n7,1.5,0.25\n8,-2,1e-3\n", "f.csv", columns));
  check_table(parse_csv("y,what,x,text,id\n0.25,9,1.5,a b c,7\n1e-3,nan,-2,,8\n", "f.csv", columns));
  check_table(parse_csv("\xef\xbb\xbfid, x ,y\r\n7,1.5,0.25\r\n8,-2,1e-3\r\n", "f.csv", columns));  // byte-order mark, CRLF, blanks
  check_table(parse_csv("id,x,y\n 7, +1.5 ,0.25\n8,-2\t,1e-3", "f.csv", columns));                  // no line end behind the last row
  check_table(parse_csv("id,x,y\n7,1.5,0.25\n8,-2,1e-3\n\n\r\n\n", "f.csv", columns));              // empty lines at the end
}

TEST_CASE("optional columns may be absent, and rows may be none") {
  auto asked = columns;
  asked.push_back({"weight", real, true});
  auto const without = parse_csv("id,x,y\n1,2,3\n", "f.csv", asked);
  CHECK_FALSE(without.has("weight"));
  CHECK_THROWS_AS((void)without.reals("weight"), Error);
  CHECK_THROWS_AS((void)without.reals("id"), Error);
  CHECK_THROWS_AS((void)without.integers("nobody asked"), Error);
  auto const with = parse_csv("id,weight,x,y\n1,0.5,2,3\n", "f.csv", asked);
  CHECK(with.has("weight"));
  CHECK(with.reals("weight") == std::vector<double>{0.5});
  for (auto text : {"id,x,y", "id,x,y\n", "id,x,y\r\n", "id,x,y\n\n"}) CHECK(parse_csv(text, "f.csv", columns).rows() == 0);
}

TEST_CASE("64-bit integers are exact, and only integers are taken") {
  for (std::int64_t value : {std::int64_t(0), std::int64_t(-1), std::int64_t(855686265662603264), (std::int64_t(1) << 53) + 1,
                             std::int64_t(999999999999999999), std::int64_t(1000000000000000001), INT64_MAX, INT64_MIN})
    CHECK(whole(std::to_string(value)) == value);
  CHECK(whole("+12") == 12);
  CHECK(whole("007") == 7);
  for (auto text : {"1.0", "1e3", "x", "", "-", "--1", "1 2", "0x10", "+-1"})
    CHECK(message(fmt::format("i\n{}\n", text[0] ? text : ","), {{"i", integer}}).starts_with("f.csv:2: "));
  CHECK(message("i\n9223372036854775808\n", {{"i", integer}}) ==
        "f.csv:2: column 'i': expected an integer of 64 bits, got '9223372036854775808'");
  CHECK(message("i\n1.0\n", {{"i", integer}}) == "f.csv:2: column 'i': expected an integer, got '1.0'");
}

TEST_CASE("reals are correctly rounded: the same bits as strtod gives") {
  for (std::string text : {"0",
                           "-0",
                           "1",
                           "-1.5",
                           "3.14159265358979323846",
                           "-8.807839999999999",
                           "1e22",
                           "1e23",
                           "9007199254740993",
                           "9007199254740992.5",
                           "0.1",
                           "123456789012345678901234567890",
                           "4.9e-324",
                           "2.2250738585072011e-308",
                           "1.7976931348623157e308",
                           ".5",
                           "5.",
                           "1E5",
                           "1e+5",
                           "-1502.5",
                           "0.000000000000000000000000000001",
                           "1e-400",
                           "-1e-400",
                           "0.3e1",
                           "72057594037927945",
                           "1.00000000000000011102230246251565404e0"}) {
    CAPTURE(text);
    CHECK(std::bit_cast<std::uint64_t>(parsed(text)) == std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)));
  }
  auto const seed = 42U;
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; ++i) {
    auto value = std::bit_cast<double>(random());
    if (i % 2 == 0) value = std::ldexp(double(std::int64_t(random() >> 11)), int(random() % 40) - 60);
    if (!std::isfinite(value)) continue;
    auto const text = i % 3 == 0   ? fmt::format("{:.{}f}", std::fmod(value, 1e6), random() % 9)
                      : i % 3 == 1 ? fmt::format("{}", value)
                                   : fmt::format("{:.6e}", value);
    double const expected = std::strtod(text.c_str(), nullptr);
    if (!std::isfinite(expected)) continue;
    CAPTURE(text);
    CHECK(parsed(text) == expected);
  }
}

TEST_CASE("what is wrong with a table is said with file, line and column") {
  CHECK(message("") == "f.csv: is empty: expected a line of column names");
  CHECK(message("\n1,2,3\n") == "f.csv: begins with an empty line: expected column names");
  CHECK(message("id,x\n1,2\n") == "f.csv:1: column 'y' is missing; there are id, x");
  CHECK(message("id,x,y,x\n1,2,3,4\n") == "f.csv:1: column 'x' stands twice");
  CHECK(message("id,x,y\n1,2,3\n4,five,6\n") == "f.csv:3: column 'x': expected a number, got 'five'");
  CHECK(message("id,x,y\n1,,3\n") == "f.csv:2: column 'x': expected a number, got ''");
  CHECK(message("id,x,y\n1,2,3x\n") == "f.csv:2: column 'y': expected a number, got '3x'");
  CHECK(message("id,x,y\n1,2,1.2.3\n") == "f.csv:2: column 'y': expected a number, got '1.2.3'");
  CHECK(message("id,x,y\n1,2,1e\n") == "f.csv:2: column 'y': expected a number, got '1e'");
  CHECK(message("id,x,y\n1,nan,3\n") == "f.csv:2: column 'x': expected a finite number, got 'nan'");
  CHECK(message("id,x,y\n1,2,-inf\n") == "f.csv:2: column 'y': expected a finite number, got '-inf'");
  CHECK(message("id,x,y\n1,2,1e999\n") == "f.csv:2: column 'y': expected a finite number, got '1e999'");
  CHECK(message("id,x,y\n1,2,0.1e999\n") == "f.csv:2: column 'y': expected a finite number, got '0.1e999'");
  CHECK(message("id,x,y\n1,2,3\n1,2\n") == "f.csv:3: the row is too short: expected 3 fields, got 2; column 'y' is missing");
  CHECK(message("id,x,y\n1,2,3\n1,2") == "f.csv:3: the row is too short: expected 3 fields, got 2; column 'y' is missing");
  CHECK(message("id,x,y,extra\n1,2,3\n") == "f.csv:2: the row is too short: expected 4 fields, got 3; column 'extra' is missing");
  CHECK(message("id,x,y\n1,2,3,4,5\n") == "f.csv:2: the row is too long: expected 3 fields, got 5; the last is column 'y'");
  CHECK(message("id,x,y\n1,2,3,\n") == "f.csv:2: the row is too long: expected 3 fields, got 4; the last is column 'y'");
  CHECK(message("id,x,y\n1,2,3\n\n4,5,6\n") == "f.csv:3: the row is too short: the line is empty");
  CHECK(message("x\n1\n\n2\n", {{"x"}}) == "f.csv:3: the row is too short: the line is empty");
  CHECK(message("x\n1\n\n2", {{"x"}}) == "f.csv:3: the row is too short: the line is empty");
  CHECK(message("id,x,y\n1,2,\x01\x02\n") ==
        "f.csv:2: column 'y': expected a number, got '"
        "?"
        "?'");
  CHECK(message("id,x,y\n1,2," + std::string(100, 'a') + "\n") ==
        "f.csv:2: column 'y': expected a number, got '" + std::string(40, 'a') + "…'");
}

namespace {
/// A table of many blocks of text, in TrackML's columns, and what stands in it.
struct BigTable {
  std::vector<std::string> lines;  // without their ends
  std::vector<std::int64_t> id;
  std::vector<double> x, y;
  std::string text(std::string const& end, bool last_end = true) const {
    std::string out = "id,x,what,y" + end;
    for (auto const& line : lines) out += line + end;
    return last_end ? out : out.substr(0, out.size() - end.size());
  }
  std::string error(std::size_t row, std::string line) const {
    auto copy = *this;
    copy.lines[row] = std::move(line);
    return message(copy.text("\n"));
  }
};
BigTable big_table(unsigned seed, std::size_t rows) {
  std::mt19937_64 random(seed);
  BigTable out;
  for (std::size_t i = 0; i < rows; ++i) {
    auto const id = std::int64_t(random() >> (1 + random() % 62));
    auto const x = fmt::format("{:.{}g}", double(std::int64_t(random())) * 1e-16, 1 + random() % (i % 5 == 0 ? 17 : 7));
    auto const y = fmt::format("{:.{}f}", double(std::int64_t(random())) * 1e-16, random() % 8);
    out.id.push_back(id), out.x.push_back(std::strtod(x.c_str(), nullptr)), out.y.push_back(std::strtod(y.c_str(), nullptr));
    bool const odd = random() % 5000 == 0;  // what only the careful way reads
    out.lines.push_back(fmt::format("{}{},{}{},{},{}", odd ? " +" : "", id, x, odd ? "  " : "", std::string(random() % 9, '.'), y));
  }
  return out;
}
}  // namespace

TEST_CASE("large tables are read as small ones are, with any line ends") {
  auto const seed = 5U;
  INFO("seed ", seed);
  for (std::size_t rows : {1, 2, 30, 1000, 1777, 20000}) {
    auto const big = big_table(seed, rows);
    for (std::string end : {"\n", "\r\n"})
      for (bool last_end : {true, false})
        for (std::string behind : {"", "\n", "\n\r\n\n"}) {
          CAPTURE(rows);
          auto const t = parse_csv(big.text(end, last_end) + (last_end ? behind : ""), "f.csv", columns);
          CHECK(t.rows() == rows);
          CHECK((t.integers("id") == big.id && t.reals("x") == big.x && t.reals("y") == big.y));
        }
  }
  auto const end_of_all = parse_csv(big_table(seed, 9).text("\n") + std::string(100000, '\n'), "f.csv", columns);
  CHECK(end_of_all.rows() == 9);
}

TEST_CASE("the first wrong line of a large table is named, wherever it is") {
  auto const big = big_table(6, 4000);
  for (std::size_t row : {0, 1, 700, 701, 702, 1500, 2998, 3999}) {
    auto const where = fmt::format("f.csv:{}: ", row + 2);
    CHECK(big.error(row, "1,2,3,4,5") == where + "the row is too long: expected 4 fields, got 5; the last is column 'y'");
    CHECK(big.error(row, "1,2,3") == where + "the row is too short: expected 4 fields, got 3; column 'y' is missing");
    CHECK(big.error(row, "1,2") == where + "the row is too short: expected 4 fields, got 2; column 'what' is missing");
    CHECK(big.error(row, "1,2,,1.5e") == where + "column 'y': expected a number, got '1.5e'");
    CHECK(big.error(row, "1,1e999,,2") == where + "column 'x': expected a finite number, got '1e999'");
    CHECK(big.error(row, "1.5,2,,3") == where + "column 'id': expected an integer, got '1.5'");
    auto two = big;  // of two, the first line: not the first column
    two.lines[row] = "1,2,,z";
    for (auto later = row + 1; later < 4000; ++later) two.lines[later] = "i,x,,y";
    CHECK(message(two.text("\n")) == where + "column 'y': expected a number, got 'z'");
    if (row < 3999) CHECK(big.error(row, "") == where + "the row is too short: the line is empty");
  }
  // a line too long and one too short: as many fields as there should be
  auto shifted = big;
  shifted.lines[1000] = "1,2,3,4,5", shifted.lines[1001] = "1,2,3";
  CHECK(message(shifted.text("\n")) == "f.csv:1002: the row is too long: expected 4 fields, got 5; the last is column 'y'");
  CHECK(message("x\n" + std::string(50000, '1') + "\n", {{"x"}}).starts_with("f.csv:2: column 'x': expected a finite number"));
  CHECK(parse_csv("x,y\n1," + std::string(100000, 'y') + "\n2,\n", "f.csv", {{"x"}}).reals("x") == std::vector<double>{1, 2});
  std::string blank = "x\n";
  for (int i = 0; i < 20000; ++i) blank += i == 15000 ? "\n" : "1\n";
  CHECK(message(blank, {{"x"}}) == "f.csv:15002: the row is too short: the line is empty");
  CHECK(message(blank, {{"w", real, true}}) == "f.csv:15002: the row is too short: the line is empty");
}

TEST_CASE("delimiters are found where the plain search finds them") {
  auto const seed = 8U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (std::size_t size : {0, 1, 15, 63, 64, 65, 127, 128, 1000, 5000})
    for (unsigned rare : {1U, 2U, 8U, 100U}) {
      std::string text(size, 'a');
      for (auto& c : text) c = random() % rare == 0 ? ",\n"[random() % 2] : char(random());
      std::vector<std::uint32_t> fast(size + 8), plain(size + 8);
      fast.resize(dew::detail::find_delimiters(text, fast.data())),
          plain.resize(dew::detail::find_delimiters_reference(text, plain.data()));
      CHECK((fast == plain));
      CHECK(plain.size() == std::size_t(std::count(text.begin(), text.end(), ',') + std::count(text.begin(), text.end(), '\n')));
    }
}

TEST_CASE("several files are read at once, and the first wrong one is named") {
  test::TempDir const folder;
  auto const big = big_table(9, 3000);
  put_file(folder / "a.csv", "id,x,y\n1,2,3\n");
  put_file(folder / "b.csv", big.text("\n"));
  put_file(folder / "c.csv.gz", test::gzip("w\n0.5\n"));
  put_file(folder / "wrong.csv", "id,x,y\n1,2\n");
  auto const file = [&](char const* name) { return CsvFile{folder / name, columns}; };
  auto const tables = read_csv_files({file("a.csv"), file("b.csv"), {folder / "c.csv.gz", {{"w"}}}});
  CHECK(tables.size() == 3);
  CHECK(tables[0].integers("id") == std::vector<std::int64_t>{1});
  CHECK((tables[1].reals("y") == big.y));
  CHECK(tables[2].reals("w") == std::vector<double>{0.5});
  CHECK(read_csv_files({}).empty());
  auto const says = [&](std::vector<CsvFile> const& files) {
    try {
      read_csv_files(files);
      return std::string("no error");
    } catch (Error const& e) { return std::string(e.what()).substr((folder.path().string() + "/").size()); }
  };
  for (int i = 0; i < 20; ++i) {
    CHECK(says({file("b.csv"), file("wrong.csv"), file("absent.csv")}).starts_with("wrong.csv:2: "));
    CHECK(says({file("b.csv"), file("absent.csv"), file("wrong.csv")}) == "absent.csv: no such file");
  }
}

TEST_CASE("a cut anywhere in a table is no crash, and never a wrong number of whole rows") {
  std::string const text = "id,x,y\r\n11,1.25,-3e1\r\n12,2.5,4\r\n";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    CAPTURE(size);
    try {
      auto const t = parse_csv(text.substr(0, size), "f.csv", columns);
      CHECK(t.rows() <= 2);
      CHECK(t.integers("id").size() == t.rows());
      CHECK(t.reals("y").size() == t.rows());
    } catch (Error const& e) { CHECK(std::string_view(e.what()).starts_with("f.csv:")); }
  }
}

TEST_CASE("plain and gzip'ed files are equal, and are told apart by content") {
  test::TempDir const folder;
  std::string text = "id,x,y\n";
  for (int i = 0; i < 5000; ++i) text += fmt::format("{},{},{}\n", i + (std::int64_t(1) << 60), i * 0.37, -i);
  put_file(folder / "a.csv", text);
  put_file(folder / "b.csv.gz", test::gzip(text));
  put_file(folder / "c.csv.gz", test::gzip(text.substr(0, 1000)) + test::gzip(text.substr(1000)));
  put_file(folder / "d.csv", test::gzip(text));
  auto const plain = read_csv(folder / "a.csv", columns);
  CHECK(plain.rows() == 5000);
  for (auto name : {"b.csv.gz", "c.csv.gz", "d.csv"}) {
    auto const other = read_csv(folder / name, columns);
    CHECK((other.integers("id") == plain.integers("id")));
    CHECK((other.reals("x") == plain.reals("x")));
    CHECK((other.reals("y") == plain.reals("y")));
  }
}

TEST_CASE("files that are absent, empty, truncated or no gzip are named") {
  test::TempDir const folder;
  auto const says = [&](std::string const& name) {
    try {
      read_csv(folder / name, columns);
      return std::string("no error");
    } catch (Error const& e) { return std::string(e.what()).substr((folder.path().string() + "/").size()); }
  };
  put_file(folder / "empty.csv", "");
  put_file(folder / "empty.csv.gz", "");
  put_file(folder / "packed_nothing.csv.gz", test::gzip(""));
  put_file(folder / "plain.csv.gz", "id,x,y\n1,2,3\n");
  auto const packed = test::gzip("id,x,y\n1,2,3\n");
  put_file(folder / "short.csv.gz", packed.substr(0, packed.size() - 12));
  put_file(folder / "tail.csv.gz", packed.substr(0, packed.size() - 2));
  put_file(folder / "wrong.csv.gz", test::gzip("id,x,y\n1,2,3\n4,5,six\n"));
  CHECK(says("absent.csv") == "absent.csv: no such file");
  CHECK(says("empty.csv") == "empty.csv: is empty: expected a line of column names");
  CHECK(says("empty.csv.gz") == "empty.csv.gz: is empty: expected a line of column names");
  CHECK(says("packed_nothing.csv.gz") == "packed_nothing.csv.gz: is empty: expected a line of column names");
  CHECK(says("plain.csv.gz") == "plain.csv.gz: is no gzip file");
  CHECK(says("short.csv.gz") == "short.csv.gz: truncated gzip: it ends in the compressed data");
  CHECK(says("tail.csv.gz") == "tail.csv.gz: truncated gzip: it ends before its checksum");
  CHECK(says("wrong.csv.gz") == "wrong.csv.gz:3: column 'y': expected a number, got 'six'");
  std::filesystem::create_directory(folder / "folder.csv");
  CHECK(says("folder.csv") == "folder.csv: is a folder, not a file");
}
