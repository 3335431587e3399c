// SPDX-License-Identifier: BSL-1.0
#include "dew/event/random_numbers.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace dew;

TEST_CASE("the sequence of a seed is fixed for all time") {
  RandomNumbers random(1234567);  // SplitMix64's published test sequence
  for (std::uint64_t expected :
       {6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL, 4593380528125082431ULL, 16408922859458223821ULL})
    CHECK(random.bits() == expected);
}

TEST_CASE("numbers follow their distributions") {
  RandomNumbers random(5);
  int const n = 200000;
  auto const moments = [&](auto&& draw) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
      double const x = draw();
      sum += x, squares += x * x;
    }
    return std::pair(sum / n, squares / n - sum / n * sum / n);
  };
  auto const agrees = [&](auto&& draw, double mean, double variance) {  // within five standard errors of the mean, and 3 % of the variance
    auto const [m, v] = moments(draw);
    CHECK(std::abs(m - mean) < 5 * std::sqrt(variance / n));
    CHECK(v == doctest::Approx(variance).epsilon(0.03));
  };
  agrees([&] { return random.uniform(); }, 0.5, 1. / 12);
  agrees([&] { return random.uniform(-2, 4); }, 1, 3);
  agrees([&] { return random.normal(); }, 0, 1);
  agrees([&] { return random.exponential(3); }, 3, 9);
  agrees([&] { return double(random.poisson(0.7)); }, 0.7, 0.7);
  agrees([&] { return double(random.poisson(40)); }, 40, 40);
  agrees([&] { return double(random.poisson(2000)); }, 2000, 2000);
  agrees([&] { return double(random.below(6)); }, 2.5, 35. / 12);
  agrees([&] { return random.happens(0.2) ? 1. : 0.; }, 0.2, 0.16);
  CHECK(random.poisson(0) == 0);
  CHECK_FALSE(random.happens(0));
  CHECK(random.happens(1));
  CHECK(random.below(1) == 0);
}
