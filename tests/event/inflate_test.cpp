// SPDX-License-Identifier: BSL-1.0
#include "dew/event/inflate.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <random>

#include "dew/event/gzip.hpp"
#include "event/gzip_writer.hpp"

using namespace dew;
namespace zlib = boost::beast::zlib;

namespace {
std::string deflate(std::string_view text, int level, zlib::Strategy strategy = zlib::Strategy::normal) {
  zlib::deflate_stream stream;
  stream.reset(level, 15, 8, strategy);
  std::string packed(text.size() + text.size() / 8 + 4096, '\0');
  zlib::z_params io;
  io.next_in = text.data(), io.avail_in = text.size(), io.next_out = packed.data(), io.avail_out = packed.size();
  boost::beast::error_code error;
  stream.write(io, zlib::Flush::finish, error);
  packed.resize(packed.size() - io.avail_out);
  return packed;
}
struct Inflated {
  std::string text;
  std::optional<std::size_t> taken;
};
Inflated inflate(std::string_view bytes, std::string const& before = "") {
  auto const inflater = std::make_unique<dew::detail::Inflater>();
  Inflated out{before, {}};
  auto filled = before.size();
  out.taken = (*inflater)(bytes, out.text, filled);
  if (!out.taken) CHECK(filled == before.size());
  out.text.resize(filled);
  return out;
}
void comes_back(std::string const& text, std::string const& packed) {
  auto const out = inflate(packed + "what follows", "before");
  CHECK(out.taken == std::optional(packed.size()));
  CHECK((out.text == "before" + text));
}
/// Letters of which each is half as frequent as the one before it: codes of all sizes.
std::string skewed(std::mt19937& random, std::size_t size) {
  std::string text(size, ' ');
  for (auto& c : text) c = char(40 + std::min(25, std::countr_zero(random() | 1U << 26)) * 7);
  return text;
}
}  // namespace

TEST_CASE("streams of every kind come back, and it is known where they end") {
  auto const seed = 4U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::string csv = "hit_id,x,y,z\n";
  for (int i = 0; i < 20000; ++i)
    csv += fmt::format("{},{:.4f},{:.3f},{}\n", i, double(random()) / 1e7, -double(random()) / 1e8, random() % 3000);
  std::string far(100000, ' ');  // the same again at all distances up to the largest
  for (auto& c : far) c = char(random());
  for (std::size_t k = 40000; k + 40 < far.size(); k += 300)
    std::copy_n(far.begin() + std::ptrdiff_t(k - 1 - random() % 32768), 40, far.begin() + std::ptrdiff_t(k));
  std::vector<std::string> texts{"", "a", "aa", std::string(1000, 'a'), std::string(70000, '\0'), csv, far, skewed(random, 200000)};
  for (std::size_t period = 1; period < 20; ++period) {  // copies that overlap with what they copy
    std::string text;
    for (std::size_t k = 0; k < 2000; ++k) text += char('a' + k % period);
    texts.push_back(text);
  }
  for (auto const& text : texts)
    for (int level : {0, 1, 6, 9})
      for (auto strategy : {zlib::Strategy::normal, zlib::Strategy::huffman, zlib::Strategy::rle, zlib::Strategy::fixed}) {
        CAPTURE(text.size());
        CAPTURE(level);
        comes_back(text, deflate(text, level, strategy));
      }
}

TEST_CASE("what is cut or changed is refused, or the reference takes it too") {
  auto const seed = 6U;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  int refused = 0, taken = 0;
  for (int level : {0, 1, 9})
    for (auto strategy : {zlib::Strategy::normal, zlib::Strategy::fixed}) {
      auto const text = skewed(random, 3000) + std::string(500, 'x');
      auto const packed = deflate(text, level, strategy);
      for (std::size_t size = 0; size < packed.size(); ++size) CHECK(!inflate(packed.substr(0, size)).taken);
      for (int i = 0; i < 3000; ++i) {
        auto bytes = packed;
        for (auto flips = 1 + random() % 3; flips-- > 0;)
          bytes[random() % std::min<std::size_t>(bytes.size(), 200)] ^= char(1 << random() % 8);
        auto const out = inflate(bytes);
        ++(out.taken ? taken : refused);
        std::string expected;
        std::size_t filled = 0;
        try {
          auto const size = dew::detail::inflate_reference(bytes, expected, filled, "f");
          expected.resize(filled);
          if (out.taken) CHECK((*out.taken == size && out.text == expected));
        } catch (Error const&) { CHECK(!out.taken); }
      }
    }
  CHECK(refused > 1000);
  CHECK(taken > 1000);
}
