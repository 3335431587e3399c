// SPDX-License-Identifier: BSL-1.0
#include "dew/core/file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "support/temp_dir.hpp"

using namespace dew;

namespace {
std::size_t files_in(std::filesystem::path const& folder) {
  return std::size_t(std::distance(std::filesystem::directory_iterator(folder), {}));
}
template <class F> std::string message(F&& f) {
  try {
    f();
    return "no error";
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::input);
    return e.what();
  }
}
}  // namespace

TEST_CASE("what is written is read back, whatever the bytes, and nothing is left beside it") {
  test::TempDir const folder;
  std::string large(3 << 20, 'x');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = char(i * i % 251);
  for (auto const& bytes : {std::string(), std::string("a"), std::string("\0\r\n\xff", 4), large}) {
    write_file_atomically(folder / "file", bytes);
    CHECK((read_file(folder / "file") == bytes));
    CHECK(files_in(folder.path()) == 1);
  }
}

TEST_CASE("errors name the file, and a failed write leaves the old file and nothing else") {
  test::TempDir const folder;
  auto const absent = (folder / "absent").string();
  CHECK(message([&] { read_file(absent); }) == absent + ": no such file");
  CHECK(message([&] { read_file(folder.path()); }) == folder.path().string() + ": is a folder, not a file");
  auto const nowhere = (folder / "no/such/folder/file").string();
  CHECK(message([&] { write_file_atomically(nowhere, "x"); }) == nowhere + ": cannot be written: No such file or directory");
  std::filesystem::create_directories(folder / "taken/by/a/folder");
  CHECK(message([&] { write_file_atomically(folder / "taken", "x"); }).starts_with((folder / "taken").string() + ": cannot be written: "));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a reader sees the old file or the new one, never a part") {
  test::TempDir const folder;
  std::string const a(200'000, 'a'), b(300'000, 'b');
  write_file_atomically(folder / "file", a);
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) write_file_atomically(folder / "file", i % 2 ? a : b);
  });
  bool whole = true;
  for (int i = 0; i < 400; ++i) {
    auto const seen = read_file(folder / "file");
    whole = whole && (seen == a || seen == b);
  }
  writer.join();
  CHECK(whole);
}

TEST_CASE("several threads may write one file") {
  test::TempDir const folder;
  std::vector<std::thread> writers;
  for (char c : {'a', 'b', 'c', 'd'})
    writers.emplace_back([&, c] {
      for (int i = 0; i < 10; ++i) write_file_atomically(folder / "file", std::string(1000, c));
    });
  for (auto& writer : writers) writer.join();
  auto const bytes = read_file(folder / "file");
  CHECK((bytes.size() == 1000 && bytes == std::string(1000, bytes[0])));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a pipe, whose size nobody knows, is read to its end") {
  test::TempDir const folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::string const bytes(100'000, 'p');
  std::thread writer([&] { std::ofstream(folder / "pipe", std::ios::binary) << bytes; });
  auto const seen = read_file(folder / "pipe");
  writer.join();
  CHECK((seen == bytes));
}

TEST_CASE("a mapped file has a file's bytes, which are not changed by writing to them") {
  test::TempDir const folder;
  std::string const bytes = std::string(100'000, 'm') + "end";
  write_file_atomically(folder / "file", bytes);
  write_file_atomically(folder / "empty", "");
  {
    MappedFile file(folder / "file");
    CHECK((std::string(file.bytes().begin(), file.bytes().end()) == bytes));
    file.bytes()[0] = '!';
    CHECK(file.bytes()[0] == '!');
  }
  CHECK((read_file(folder / "file") == bytes));
  MappedFile old(folder / "file");
  write_file_atomically(folder / "file", "new");
  CHECK((std::string(old.bytes().begin(), old.bytes().end()) == bytes));
  CHECK(MappedFile(folder / "empty").bytes().empty());
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(folder / "pipe", std::ios::binary) << bytes; });
  MappedFile pipe(folder / "pipe");
  writer.join();
  CHECK((std::string(pipe.bytes().begin(), pipe.bytes().end()) == bytes));
  CHECK_THROWS_WITH_AS(MappedFile(folder / "absent"), doctest::Contains("absent: no such file"), Error);
  CHECK_THROWS_WITH_AS(MappedFile(folder.path()), doctest::Contains("is a folder, not a file"), Error);
}

TEST_CASE("a content hash tells contents apart") {
  CHECK(content_hash("") == content_hash(""));
  CHECK(content_hash("abc") == content_hash(std::string("abc")));
  CHECK(content_hash("abc", 1) != content_hash("abc", 2));
  std::set<std::string> texts;
  for (std::size_t size = 0; size < 40; ++size) texts.emplace(size, '\0');  // lengths
  std::string const text = "hit_id,x,y,z\n1,-64.4099,-7.1637,-1502.5\n";
  for (std::size_t at = 0; at < text.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = text;
      changed[at] = char(changed[at] ^ (1 << bit));
      texts.insert(changed);
    }
  for (std::size_t at = 0; at + 8 < text.size(); ++at) {
    auto swapped = text;
    std::swap_ranges(swapped.begin() + std::ptrdiff_t(at), swapped.begin() + std::ptrdiff_t(at) + 4,
                     swapped.begin() + std::ptrdiff_t(at) + 4);
    texts.insert(swapped);
  }
  std::set<std::uint64_t> hashes;
  for (auto const& t : texts) hashes.insert(content_hash(t));
  CHECK(hashes.size() == texts.size());
}
