// SPDX-License-Identifier: BSL-1.0
#include "dew/train/event_file.hpp"

#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "event_records.hpp"
#include "support/temp_dir.hpp"

using namespace dew;
using namespace dew::test;

TEST_CASE("CRC-32C of published vectors and of its definition") {
  CHECK(dew::crc32c("") == 0);
  CHECK(dew::crc32c("123456789") == 0xe3069283U);
  CHECK(dew::crc32c(std::string(32, '\0')) == 0x8a9136aaU);  // RFC 3720, B.4
  CHECK(dew::crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += char(i), falling += char(31 - i);
  CHECK(dew::crc32c(rising) == 0x46dd794eU);
  CHECK(dew::crc32c(falling) == 0x113fdb5cU);
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += char(i * 37 % 251);
  CHECK(dew::crc32c(bytes) == slow_crc32c(bytes));
}

TEST_CASE("a record is framed by its length and two masked checksums") {
  auto const record = dew::detail::framed_record("abc");
  CHECK(record.size() == 8 + 4 + 3 + 4);
  CHECK(records(record + dew::detail::framed_record("")) == std::vector<std::string>{"abc", ""});
  auto broken = record;
  broken[13] ^= 1;
  CHECK_THROWS(records(broken));
  broken = record;
  broken[0] ^= 1;
  CHECK_THROWS(records(broken));
}

TEST_CASE("protobuf messages have the bytes of their definition") {
  dew::detail::Message m;
  m.integer(1, 150).text(2, "testing");
  CHECK(m.bytes() == std::string("\x08\x96\x01\x12\x07testing"));
  CHECK(dew::detail::Message().integer(3, 0).bytes() == std::string("\x18\0", 2));
  CHECK(dew::detail::Message().integer(1, -1).bytes() == "\x08" + std::string(9, '\xff') + "\x01");
  CHECK(dew::detail::Message().real(1, 1.0).bytes() == std::string("\x09\0\0\0\0\0\0\xf0\x3f", 9));
  CHECK(dew::detail::Message().single(2, -2.0F).bytes() == std::string("\x15\0\0\0\xc0", 5));
  CHECK(dew::detail::Message().text(20, "").bytes() == std::string("\xa2\x01\0", 3));  // a key of two bytes
  std::vector<double> const list{0.5, -1};
  CHECK(Fields(dew::detail::Message().reals(6, list).bytes()).reals(6) == list);
}

TEST_CASE("a histogram counts every finite value once, in buckets from the smallest to the largest") {
  std::vector<float> const values{-1, 0, 0.25F, 3, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  auto const h = Histogram::of(values, 4);
  CHECK(h.count == 4);
  CHECK(h.min == -1);
  CHECK(h.max == 3);
  CHECK(h.sum == 2.25);
  CHECK(h.sum_squares == doctest::Approx(10.0625));
  CHECK(h.limits == std::vector<double>{0, 1, 2, 3});
  CHECK(h.counts == std::vector<double>{1, 2, 0, 1});  // a value on a limit is in the bucket above it, the largest in the last
  auto const same = Histogram::of(std::vector<float>(5, 2.0F));
  CHECK(same.counts == std::vector<double>{5});
  CHECK(same.limits == std::vector<double>{2});
  CHECK(Histogram::of(std::vector<float>{}).count == 0);
}

TEST_CASE("an event file begins with its version and a start, and holds what was put in") {
  TempDir const folder;
  EventFile file(folder / "stage", 7, 1.5);
  file.scalar("step/loss", 20, 0.1, 2.5);
  file.histogram("weights/w", 21, Histogram::of(std::vector<float>{1, 2}, 2), 3);
  file.image("event/x", 22, 4, 3, "PNG bytes", "words", 4);
  CHECK(file.path().filename().string().find("tfevents") != std::string::npos);  // how TensorBoard knows its files

  auto const all = records(read_file(file.path()));
  REQUIRE(all.size() == 5);
  CHECK(Fields(all[0]).text(3) == "brain.Event:2");
  CHECK(Fields(all[0]).real(1) == 1.5);
  CHECK(Fields(all[1]).integer(2) == 7);
  CHECK(Fields(all[1]).message(7).integer(1) == 1);
  auto const scalar = Fields(all[2]).message(5).message(1);
  CHECK(Fields(all[2]).real(1) == 2.5);
  CHECK(Fields(all[2]).integer(2) == 20);
  CHECK(scalar.text(1) == "step/loss");
  CHECK(scalar.single(2) == 0.1F);
  auto const histogram = Fields(all[3]).message(5).message(1).message(5);
  CHECK(histogram.real(1) == 1);
  CHECK(histogram.real(2) == 2);
  CHECK(histogram.real(3) == 2);
  CHECK(histogram.real(4) == 3);
  CHECK(histogram.real(5) == 5);
  CHECK(histogram.reals(6) == std::vector<double>{1.5, 2});
  CHECK(histogram.reals(7) == std::vector<double>{1, 1});
  auto const image = Fields(all[4]).message(5).message(1).message(4);
  CHECK(image.integer(1) == 3);  // height
  CHECK(image.integer(2) == 4);
  CHECK(image.text(4) == "PNG bytes");
  CHECK(Fields(all[4]).message(5).message(1).message(9).text(3) == "words");
}

TEST_CASE("a later file of a folder has a later name and voids steps from its beginning on") {
  TempDir const folder;
  std::vector<std::string> names;
  for (int run = 0; run < 12; ++run) {
    EventFile file(folder.path(), 10 * run, 0);
    if (!names.empty()) CHECK(names.back() < file.path().filename().string());
    names.push_back(file.path().filename().string());
    for (int step = 10 * run; step < 10 * run + 15; ++step) file.scalar("x", step, run, 0);
  }
  auto const all = entries(folder.path());
  REQUIRE(all.size() == 125);
  for (int step = 0; step < 125; ++step) {
    CHECK(all[std::size_t(step)].step == step);
    CHECK(all[std::size_t(step)].value.single(2) == float(std::min(11, step / 10)));
  }
}

TEST_CASE("an image has three colours, its step, and the part of TensorBoard that shows it") {
  TempDir const folder;
  EventFile file(folder.path(), 0, 0);
  file.image("event/x", 22, 4, 3, "PNG", "words", 4);
  Fields const event(records(read_file(file.path())).at(2));
  CHECK(event.integer(2) == 22);
  CHECK(event.real(1) == 4);
  auto const value = event.message(5).message(1);
  CHECK(value.text(1) == "event/x");
  CHECK(value.message(4).integer(3) == 3);
  CHECK(value.message(9).message(1).text(1) == "images");
}

TEST_CASE("an event file that cannot be written is an error that names it") {
  TempDir const folder;
  std::ofstream(folder / "file") << "x";
  CHECK_THROWS_AS(EventFile(folder / "file", 1, 0), Error);
}

TEST_CASE("an event file that cannot grow is an error that names it") {
  TempDir const folder;
  EventFile file(folder.path(), 1, 0);
  struct rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto full = limit;
  full.rlim_cur = std::filesystem::file_size(file.path());
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  std::string said;
  try {
    file.scalar("x", 2, 1, 0);
  } catch (Error const& e) { said = e.what(); }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK(said == file.path().string() + ": cannot be written (is the disk full?)");
}
