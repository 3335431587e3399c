// SPDX-License-Identifier: BSL-1.0
#include "dew/train/picture.hpp"

#include <boost/beast/zlib/inflate_stream.hpp>

using namespace dew;

namespace {
std::uint32_t big_endian_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}
struct Chunk { std::string type, data; };
/// The chunks of a PNG; throws on a wrong signature, a wrong checksum or a cut.
std::vector<Chunk> chunks(std::string const& png) {
  if (!png.starts_with("\x89PNG\r\n\x1a\n")) throw std::runtime_error("no PNG");
  std::vector<Chunk> out;
  for (std::size_t at = 8; at < png.size();) {
    auto const length = big_endian_at(png, at);
    Chunk c{png.substr(at + 4, 4), png.substr(at + 8, length)};
    std::uint32_t crc = ~0U;  // CRC-32 by its definition
    for (char const byte : c.type + c.data)
      for (int bit = 0; bit < 8; ++bit) {
        bool const odd = ((crc ^ (static_cast<unsigned char>(byte) >> bit)) & 1) != 0;
        crc = (crc >> 1) ^ (odd ? 0xedb88320U : 0);
      }
    if (~crc != big_endian_at(png, at + 8 + length)) throw std::runtime_error("wrong checksum");
    out.push_back(std::move(c));
    at += 12 + length;
  }
  return out;
}
/// The content of a zlib stream, its checksum compared.
std::string inflated(std::string const& stream, std::size_t size) {
  namespace zlib = boost::beast::zlib;
  CHECK((static_cast<unsigned char>(stream[0]) * 256 + static_cast<unsigned char>(stream[1])) % 31 == 0);
  std::string out(size + 1, '\0');
  zlib::inflate_stream inflate;
  zlib::z_params io;
  io.next_in = stream.data() + 2, io.avail_in = stream.size() - 6, io.next_out = out.data(), io.avail_out = out.size();
  boost::system::error_code error;
  inflate.write(io, zlib::Flush::finish, error);
  CHECK(error == zlib::error::end_of_stream);
  out.resize(io.total_out);
  std::uint32_t a = 1, b = 0;
  for (char const byte : out) a = (a + static_cast<unsigned char>(byte)) % 65521, b = (b + a) % 65521;
  CHECK(big_endian_at(stream, stream.size() - 4) == (b << 16 | a));
  return out;
}
std::int64_t count(Picture const& p, Colour c) {
  std::int64_t n = 0;
  for (int y = 0; y < p.height(); ++y)
    for (int x = 0; x < p.width(); ++x) n += p.at(x, y) == c ? 1 : 0;
  return n;
}
Picture const& named(std::vector<NamedPicture> const& all, std::string const& name) {
  for (auto const& one : all)
    if (one.name == name) return one.picture;
  throw std::runtime_error("no picture " + name);
}
}  // namespace

TEST_CASE("a PNG decodes to the pixels") {
  Picture p(300, 7, {1, 2, 3});
  p.set(0, 0, {255, 0, 10});
  p.line(5, 1, 290, 6, colours::green);
  p.dot(299, 6, 2, colours::red);
  auto const all = chunks(p.png());
  REQUIRE(all.size() == 3);
  CHECK(all[0].type == "IHDR");
  CHECK(big_endian_at(all[0].data, 0) == 300);
  CHECK(big_endian_at(all[0].data, 4) == 7);
  CHECK(all[0].data.substr(8) == std::string("\x08\x02\0\0\0", 5));  // 8 bits, colour, deflate, no filter, not interlaced
  CHECK(all[1].type == "IDAT");
  CHECK(all[2].type == "IEND");
  CHECK(all[2].data.empty());
  auto const raw = inflated(all[1].data, 7 * 901);
  REQUIRE(raw.size() == 7 * 901);
  bool same = true;
  for (int y = 0; y < 7; ++y) {
    same = same && raw[std::size_t(y) * 901] == 0;
    for (int x = 0; x < 300; ++x) {
      auto const at = std::size_t(y) * 901 + 1 + 3 * std::size_t(x);
      same = same && p.at(x, y) == Colour{std::uint8_t(raw[at]), std::uint8_t(raw[at + 1]), std::uint8_t(raw[at + 2])};
    }
  }
  CHECK(same);
}

TEST_CASE("what is drawn is where it should be, and nothing outside") {
  Picture p(10, 10);
  p.line(0, 0, 9, 9, colours::red);
  for (int i = 0; i < 10; ++i) CHECK(p.at(i, i) == colours::red);
  CHECK(count(p, colours::red) == 10);
  p.dot(0, 9, 1, colours::blue);
  CHECK(count(p, colours::blue) == 4);
  p.box(-5, -5, 100, 100, colours::black);
  CHECK(count(p, colours::black) == 100);
  p.line(-3, -3, -3, -3, colours::white);
  CHECK(count(p, colours::white) == 0);
}

TEST_CASE("pictures of an event: true and false edges, missed ones, the hardest particles") {
  TensorsByName record;
  CHECK(pictures_of(record).empty());
  // a square of hits about the origin, one edge a side: kept true, kept false, missed true, dropped false
  record["position"] = at::tensor({100., 100., 0., 100., -100., 0., -100., -100., 0., -100., 100., 0.}).reshape({4, 3});
  record["edge_index"] = at::tensor({0, 1, 2, 3, 1, 2, 3, 0}, at::kLong).reshape({2, 4});
  record["edge_score"] = at::tensor({0.9, 0.8, 0.2, 0.1});
  record["edge_truth"] = at::tensor({1, 0, 1, 0}, at::kLong).to(at::kBool);
  auto pictures = pictures_of(record);
  CHECK(pictures.size() == 2);
  auto const& plane = named(pictures, "edges_xy");
  int const end = plane.width() - 1, middle = plane.height() / 2;
  CHECK(plane.at(end, middle) == colours::green);  // from (100, 100) to (100, -100): the right side
  CHECK(plane.at(middle, end) == colours::red);    // the lower side: y points up
  CHECK(plane.at(0, middle) == colours::blue);
  CHECK(plane.at(middle, 0) == colours::white);
  auto const& scores = named(pictures, "edge_scores");
  auto const bin = [&](double score) { return int(score * 50) * 8; };
  int const floor = scores.height() - 1;
  CHECK(scores.at(bin(0.9) + 4, floor) == colours::green);
  CHECK(scores.at(bin(0.8) + 4, floor) == colours::red);
  CHECK(scores.at(bin(0.2) + 4, floor) == colours::green);
  CHECK(scores.at(bin(0.5) + 4, floor) == colours::white);

  record.clear();
  record["latent"] = at::tensor({-1., -1., 5., 1., 1., 5., 0., 0., 5.}).reshape({3, 3});
  record["beta"] = at::tensor({0.9, 0.1, 0.5});
  record["particle_id"] = at::tensor({7, 8, 0}, at::kLong);
  record["pt"] = at::tensor({2., 1., 0.});
  record["reconstructable"] = at::tensor({1, 1, 0}, at::kLong).to(at::kBool);
  pictures = pictures_of(record);
  CHECK(pictures.size() == 2);
  auto const& latent = named(pictures, "latent_space");
  CHECK(count(latent, colours::distinct[0]) == 49);  // one hit, 7 pixels a side
  CHECK(count(latent, colours::distinct[1]) == 49);
  CHECK(count(latent, colours::pale) == 1);
  bool first_below = false;  // particle 7, the harder one, at (-1, -1): lower left
  for (int y = 240; y < 480; ++y)
    for (int x = 0; x < 240; ++x) first_below = first_below || latent.at(x, y) == colours::distinct[0];
  CHECK(first_below);
  CHECK(named(pictures, "beta").at(45 * 8 + 4, 239) == colours::green);

  record["latent"] = at::zeros({0, 3});  // an event without hits
  for (auto const* name : {"beta", "particle_id", "pt", "reconstructable"}) record[name] = record[name].slice(0, 0, 0);
  CHECK(pictures_of(record).size() == 2);
}
