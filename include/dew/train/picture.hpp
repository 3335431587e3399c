// SPDX-License-Identifier: BSL-1.0
// Pictures of dots, lines and bars, as PNG; and those of a validated event: edge scores, edges in the transverse plane, latent space.
#pragma once
#include <algorithm>
#include <array>
#include <boost/beast/zlib/deflate_stream.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/crc32.hpp"
#include "dew/core/error.hpp"
#include "dew/core/torch.hpp"
#include "dew/core/values.hpp"

namespace dew {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  bool operator==(Colour const&) const = default;
};
namespace colours {
inline constexpr Colour white{255, 255, 255}, black{0, 0, 0}, grey{170, 170, 170}, pale{222, 222, 222}, green{27, 158, 70},
    red{214, 47, 39}, blue{49, 104, 189};
/// Colours that are told apart easily, for as many particles.
inline constexpr std::array<Colour, 12> distinct{{{31, 119, 180},
                                                  {255, 127, 14},
                                                  {44, 160, 44},
                                                  {214, 39, 40},
                                                  {148, 103, 189},
                                                  {140, 86, 75},
                                                  {227, 119, 194},
                                                  {188, 189, 34},
                                                  {23, 190, 207},
                                                  {0, 0, 128},
                                                  {0, 100, 0},
                                                  {60, 60, 60}}};
}  // namespace colours

/// A picture of 8-bit pixels, (0, 0) on the upper left. What lies outside is not drawn.
class Picture {
 public:
  Picture(int width, int height, Colour background = colours::white)
      : width_(width), height_(height), pixels_(std::size_t(width) * std::size_t(height), background) {}

  int width() const { return width_; }
  int height() const { return height_; }
  Colour at(int x, int y) const { return pixels_[index(x, y)]; }

  void set(int x, int y, Colour c) {
    if (x >= 0 && x < width_ && y >= 0 && y < height_) pixels_[index(x, y)] = c;
  }
  /// A filled square of 2·radius + 1 pixels a side.
  void dot(int x, int y, int radius, Colour c) { box(x - radius, y - radius, x + radius, y + radius, c); }
  /// A filled rectangle, both corners in it.
  void box(int x0, int y0, int x1, int y1, Colour c) {
    for (int y = std::max(0, y0); y <= std::min(height_ - 1, y1); ++y)
      for (int x = std::max(0, x0); x <= std::min(width_ - 1, x1); ++x) pixels_[index(x, y)] = c;
  }
  /// One pixel wide, both ends in it.
  void line(int x0, int y0, int x1, int y1, Colour c) {
    int const steps = std::max(std::abs(x1 - x0), std::abs(y1 - y0));
    for (int i = 0; i <= steps; ++i) {
      double const t = steps > 0 ? double(i) / steps : 0;
      set(int(std::lround(x0 + t * (x1 - x0))), int(std::lround(y0 + t * (y1 - y0))), c);
    }
  }

  /// The picture as a PNG file: 8-bit red, green, blue.
  std::string png() const {
    std::string raw;
    raw.reserve(std::size_t(height_) * (3 * std::size_t(width_) + 1));
    for (int y = 0; y < height_; ++y) {
      raw += '\0';  // the row is not filtered
      for (int x = 0; x < width_; ++x) {
        auto const& c = pixels_[index(x, y)];
        raw += {char(c.red), char(c.green), char(c.blue)};
      }
    }
    std::string out = "\x89PNG\r\n\x1a\n";
    out += chunk("IHDR", big_endian(std::uint32_t(width_)) + big_endian(std::uint32_t(height_)) + std::string{8, 2, 0, 0, 0});
    out += chunk("IDAT", "\x78\x9c" + deflated(raw) + big_endian(adler32(raw)));
    return out + chunk("IEND", "");
  }

 private:
  std::size_t index(int x, int y) const { return std::size_t(y) * std::size_t(width_) + std::size_t(x); }
  static std::string big_endian(std::uint32_t value) { return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)}; }
  static std::string chunk(std::string const& type, std::string const& data) {
    return big_endian(std::uint32_t(data.size())) + type + data + big_endian(crc32(type + data));
  }
  static std::uint32_t adler32(std::string_view bytes) {
    std::uint32_t a = 1, b = 0;
    for (char const byte : bytes) {
      a = (a + static_cast<unsigned char>(byte)) % 65521;
      b = (b + a) % 65521;
    }
    return b << 16 | a;
  }
  static std::string deflated(std::string const& bytes) {
    namespace zlib = boost::beast::zlib;
    zlib::deflate_stream stream;
    stream.reset(6, 15, 8, zlib::Strategy::normal);
    std::string packed(stream.upper_bound(bytes.size()) + 64, '\0');
    zlib::z_params io;
    io.next_in = bytes.data(), io.avail_in = bytes.size(), io.next_out = packed.data(), io.avail_out = packed.size();
    boost::system::error_code error;
    stream.write(io, zlib::Flush::finish, error);
    check(error == zlib::error::end_of_stream, "a picture could not be packed: {}", error.message());
    packed.resize(io.total_out);
    return packed;
  }

  int width_, height_;
  std::vector<Colour> pixels_;
};

/// A picture with its name and with the words that explain it.
struct NamedPicture {
  std::string name, description;
  Picture picture;
};

namespace detail {
/// Two histograms over [0, 1] of one height: first ones green, others red behind them, by the logarithm of their counts.
inline Picture two_histograms(std::vector<double> const& values, std::vector<char> const& first) {
  constexpr int bins = 50, bar = 8, width = bins * bar, height = 240;
  std::array<std::array<double, bins>, 2> counts{};
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isfinite(values[i])) ++counts[first[i] != 0 ? 0 : 1][std::size_t(std::clamp(int(values[i] * bins), 0, bins - 1))];
  double most = 1;
  for (auto const& one : counts) most = std::max(most, *std::max_element(one.begin(), one.end()));
  auto const top = [&](double count) { return height - 1 - int(std::lround((height - 1) * std::log1p(count) / std::log1p(most))); };
  Picture out(width, height);
  for (int i = 0; i < bins; ++i) {
    auto const b = std::size_t(i);
    if (counts[1][b] > 0) out.box(i * bar, top(counts[1][b]), i * bar + bar - 1, height - 1, colours::red);
    if (counts[0][b] > 0) out.box(i * bar + 2, top(counts[0][b]), i * bar + bar - 3, height - 1, colours::green);
  }
  return out;
}

/// Maps an interval to pixels.
struct Axis {
  double low, high;
  int pixels;
  bool flipped = false;
  int operator()(double value) const {
    double const part = high > low ? (value - low) / (high - low) : 0.5;
    return int(std::lround(std::clamp(flipped ? 1 - part : part, -1.0, 2.0) * (pixels - 1)));
  }
};
/// Three standard deviations about the mean.
inline Axis axis_of(std::vector<double> const& values, int pixels, bool flipped) {
  double sum = 0, squares = 0;
  for (auto const v : values) sum += v, squares += v * v;
  double const n = std::max<double>(1, double(values.size())), mean = sum / n, sigma = std::sqrt(std::max(0.0, squares / n - mean * mean));
  return {mean - 3 * sigma, mean + 3 * sigma, pixels, flipped};
}
}  // namespace detail

/// The tensors of a record by the names of their keys.
using TensorsByName = std::map<std::string, Tensor, std::less<>>;

/// What a physicist looks at first, as far as the record holds it (E edges, N hits):
///
/// - `edge_scores`: how true and false edges' scores are distributed (`edge_score`, `edge_truth` [E]);
/// - `edges_xy`: edges of score above 1/2 in the transverse plane, true and false ones, and the true ones that were missed (also `position` [N, 3],
///   `edge_index` [2, E]);
/// - `beta`: condensation likelihood of reconstructable particles' hits and of the others (`beta`, `reconstructable` [N]);
/// - `latent_space`: hits on the first two latent coordinates, those of the twelve reconstructable particles of highest pt in colour
///   (`latent` [N, d ≥ 2], `particle_id`, `pt`, `reconstructable` [N]).
///
/// O(E + N) time, some 20 ms for 100,000 edges; tensors of other devices are copied.
inline std::vector<NamedPicture> pictures_of(TensorsByName const& record) {
  std::vector<NamedPicture> out;
  auto const has = [&](auto... names) { return (record.contains(names) && ...); };
  auto const reals = [&](std::string_view name) { return values_of<double>(record.find(name)->second); };
  auto const integers = [&](std::string_view name) { return values_of<std::int64_t>(record.find(name)->second); };
  auto const flags = [&](std::string_view name) {
    std::vector<char> yes;
    for (auto const v : integers(name)) yes.push_back(v != 0 ? 1 : 0);
    return yes;
  };

  if (has("edge_score", "edge_truth")) {
    auto const score = reals("edge_score");
    auto const truth = flags("edge_truth");
    out.push_back({"edge_scores", "Score from 0 (left) to 1 (right), logarithm of the number of edges: green true ones, red false ones.",
                   detail::two_histograms(score, truth)});
    if (has("position", "edge_index")) {
      auto const position = reals("position");
      auto const ends = integers("edge_index");
      auto const edges = score.size();
      double reach = 1;
      for (std::size_t i = 0; i < position.size(); i += 3) reach = std::max({reach, std::abs(position[i]), std::abs(position[i + 1])});
      detail::Axis const x{-reach, reach, 640}, y{-reach, reach, 640, true};
      Picture plane(640, 640);
      for (std::size_t i = 0; i < position.size(); i += 3) plane.set(x(position[i]), y(position[i + 1]), colours::grey);
      auto const draw = [&](bool above, bool truly, Colour c) {
        for (std::size_t e = 0; e < edges; ++e) {
          if ((score[e] > 0.5) != above || (truth[e] != 0) != truly) continue;
          auto const a = 3 * std::size_t(ends[e]), b = 3 * std::size_t(ends[edges + e]);
          plane.line(x(position[a]), y(position[a + 1]), x(position[b]), y(position[b + 1]), c);
        }
      };
      draw(true, false, colours::red);
      draw(true, true, colours::green);
      draw(false, true, colours::blue);
      out.push_back(
          {"edges_xy",
           fmt::format("Transverse plane to {:.0f} mm: edges of score above 1/2, green true, red false; blue true edges below it.", reach),
           std::move(plane)});
    }
  }
  if (has("beta", "reconstructable"))
    out.push_back(
        {"beta",
         "Condensation likelihood from 0 (left) to 1 (right), logarithm of the number of hits: green of reconstructable particles, "
         "red the others.",
         detail::two_histograms(reals("beta"), flags("reconstructable"))});
  if (has("latent", "particle_id", "pt", "reconstructable") && record.find("latent")->second.size(1) >= 2) {
    auto const& latent = record.find("latent")->second;
    auto const column = [&](int c) { return values_of<double>(latent.select(1, c)); };
    auto const u = column(0), v = column(1), pt = reals("pt");
    auto const particle = integers("particle_id");
    auto const good = flags("reconstructable");
    std::map<std::int64_t, double> pt_of;
    for (std::size_t i = 0; i < particle.size(); ++i)
      if (good[i] != 0 && particle[i] > 0) pt_of[particle[i]] = pt[i];
    std::vector<std::pair<double, std::int64_t>> hardest;
    for (auto const& [id, value] : pt_of) hardest.emplace_back(-value, id);
    std::sort(hardest.begin(), hardest.end());
    hardest.resize(std::min(hardest.size(), colours::distinct.size()));
    auto const x = detail::axis_of(u, 480, false), y = detail::axis_of(v, 480, true);
    Picture plane(480, 480);
    for (std::size_t i = 0; i < u.size(); ++i) plane.set(x(u[i]), y(v[i]), particle[i] > 0 ? colours::grey : colours::pale);
    for (std::size_t p = 0; p < hardest.size(); ++p)
      for (std::size_t i = 0; i < u.size(); ++i)
        if (particle[i] == hardest[p].second) plane.dot(x(u[i]), y(v[i]), 3, colours::distinct[p]);
    out.push_back({"latent_space",
                   "The first two latent coordinates, three standard deviations to each side: in colour the hits of the reconstructable "
                   "particles of highest pt, grey other particles, pale noise.",
                   std::move(plane)});
  }
  return out;
}

}  // namespace dew
