// SPDX-License-Identifier: BSL-1.0
#include "dew/event/sector.hpp"

#include <doctest/doctest.h>

#include <map>

#include "dew/event/layer_selection.hpp"
#include "dew/event/noise_removal.hpp"
#include "model/small_graph.hpp"

using namespace dew;
using namespace dew::test;

namespace {
using Event = Record<Position, ParticleId>;
Event event(std::int64_t n, std::int64_t particles) {
  return Event{key::position = at::randn({n, 3}, at::kDouble) * 100, key::particle_id = at::randint(-1, particles + 1, {n}, at::kLong)};
}
bool inside(double x, double y, std::int64_t n, std::int64_t s, bool extended) {
  double const r2 = x * x + y * y, u = x / r2, v = y / r2, a = 2 * std::acos(-1.) * double(s) / double(n);
  double const u1 = u * std::cos(a) - v * std::sin(a), v1 = u * std::sin(a) + v * std::cos(a), t = std::tan(std::acos(-1.) / double(n));
  return u1 > 0 && std::abs(v1) < (extended ? 1.1 * t * u1 + 1e-4 : t * u1);
}
Tensor point(double r, double phi) { return at::tensor({r * std::cos(phi), r * std::sin(phi), 0.}, at::kDouble).reshape({1, 3}); }
}  // namespace

TEST_CASE("sectors: by definition - together they hold every hit once, extended ones more") {
  seed();
  auto const e = event(300, 10);
  for (std::int64_t n : {3, 4, 8, 17}) {
    auto count = at::zeros({300}, at::kLong);
    for (std::int64_t s = 0; s < n; ++s) {
      Tensor masks[2];
      for (bool extended : {false, true}) {
        auto const mask = Sector{{.sectors = n, .sector = s, .extended = extended}}(e);
        for (std::int64_t i = 0; i < 300; ++i)
          CHECK(mask[i].item<bool>() ==
                inside(e[key::position][i][0].item<double>(), e[key::position][i][1].item<double>(), n, s, extended));
        masks[extended] = mask;
      }
      count += masks[0].to(at::kLong);
      CHECK(at::equal(masks[0].logical_and(masks[1]), masks[0]));
      CHECK(masks[1].sum().item<std::int64_t>() > masks[0].sum().item<std::int64_t>());
    }
    CHECK((count == 1).all().item<bool>());  // no gaps, no overlap
  }
}

TEST_CASE("sectors: sector s lies around the angle -2 pi s / n, its borders are half a sector away") {
  double const pi = std::acos(-1.);
  for (std::int64_t s = 0; s < 6; ++s) {
    double const middle = -2 * pi * double(s) / 6, half = pi / 6;
    for (double off : {-0.99, -0.5, 0.0, 0.5, 0.99}) CHECK(inside_sector(point(100, middle + off * half), 6, s, false).item<bool>());
    for (double off : {-1.01, 1.01, 3.0, 6.0}) CHECK_FALSE(inside_sector(point(100, middle + off * half), 6, s, false).item<bool>());
    double const wide = std::atan(1.1 * std::tan(half));  // at small radius the 1e-4 / mm count little
    for (double sign : {-1, 1}) {
      CHECK(inside_sector(point(1, middle + sign * 0.999 * wide), 6, s, true).item<bool>());
      CHECK_FALSE(inside_sector(point(1, middle + sign * 1.001 * wide), 6, s, true).item<bool>());
      // at 1 m they are as large as a tenth of u
      CHECK(inside_sector(point(1000, middle + sign * std::atan(1.1 * std::tan(half) + 0.08)), 6, s, true).item<bool>());
    }
  }
  CHECK_FALSE(inside_sector(point(0, 0), 3, 0, true).item<bool>());
}

TEST_CASE("sectors: fewer than three and sectors that there are not are refused") {
  auto const e = event(3, 2);
  CHECK_THROWS_WITH_AS((Sector{{.sectors = 2}}(e)), "sectors: expected at least 3, got 2", Error);
  CHECK_THROWS_WITH_AS((Sector{{.sectors = 5, .sector = 5}}(e)), "sector: expected one of 0 to 4, got 5", Error);
  CHECK_THROWS_WITH_AS((SectorLabels{{.sectors = 5, .sector = -1}}(e)), "sector: expected one of 0 to 4, got -1", Error);
}

TEST_CASE("sector labels: a particle with half of its hits inside, by definition - other hits stand for themselves") {
  seed();
  for (std::int64_t n : {0, 1, 200}) {
    auto const e = event(n, 30);
    auto const label = SectorLabels{{.sectors = 3, .sector = 1}}(e)[key::sector_label];
    CHECK((label.scalar_type() == at::kLong));
    auto const id = [&](std::int64_t i) { return e[key::particle_id][i].item<std::int64_t>(); };
    auto const in = [&](std::int64_t i) {
      return inside(e[key::position][i][0].item<double>(), e[key::position][i][1].item<double>(), 3, 1, false);
    };
    int labelled_outside = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      int all = 0, its = 0;
      for (std::int64_t j = 0; j < n; ++j)
        if (id(j) == id(i)) ++all, its += in(j);
      bool const expected = id(i) > 0 ? 2 * its >= all : in(i);
      CHECK(label[i].item<std::int64_t>() == (expected ? 1 : -1));
      labelled_outside += expected && !in(i);
    }
    if (n == 200) CHECK(labelled_outside > 3);
  }
  Event const half{key::position = at::cat({point(10, 0), point(10, 3)}), key::particle_id = at::full({2}, 9, at::kLong)};
  CHECK(at::equal(SectorLabels{}(half)[key::sector_label], at::zeros({2}, at::kLong)));  // exactly half is enough
  static_assert(LabelledOnly<SectorLabels> && !LabelledOnly<Sector>);
}

TEST_CASE("noise removal: noise goes, particles and unknown hits stay") {
  Record const e{key::particle_id = at::tensor({0, 5, -1, 0, 7}, at::kLong)};
  CHECK(at::equal(NoiseRemoval{}(e), at::tensor({0, 1, 1, 0, 1}, at::kLong) > 0));
  static_assert(LabelledOnly<NoiseRemoval> && DropsRows<NoiseRemoval>);
}

TEST_CASE("layer selection: the named layers' hits stay, without names all - negative indices are refused") {
  Record const e{key::layer = at::tensor({0, 7, 8, 7, 17}, at::kLong)};
  CHECK(at::equal(LayerSelection{{.layers = {7, 17}}}(e), at::tensor({0, 1, 0, 1, 1}, at::kLong) > 0));
  CHECK(at::equal(LayerSelection{{.layers = {3}}}(e), at::zeros({5}, at::kBool)));
  CHECK(at::equal(LayerSelection{}(e), at::ones({5}, at::kBool)));
  CHECK_THROWS_WITH_AS((LayerSelection{{.layers = {7, -2}}}(e)), "layer_selection.layers: expected indices of at least 0, got -2", Error);
}
