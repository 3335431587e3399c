// SPDX-License-Identifier: BSL-1.0
#include "dew/train/scan_values.hpp"

using namespace dew;

TEST_CASE("a scan's values are averaged where they are defined, and go on from a tensor") {
  ScanValues values(3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(values.mean(i)));
  for (double x : {0.1, 0.2, 0.3}) values.add(0, x), values.add(1, x == 0.2 ? std::nan("") : x), values.add(2, std::nan(""));
  CHECK(values.mean(0) == (0.1 + 0.2 + 0.3) / 3);
  CHECK(values.mean(1) == (0.1 + 0.3) / 2);
  CHECK(std::isnan(values.mean(2)));
  auto const saved = values.tensor();
  CHECK(saved.sizes() == at::IntArrayRef{3, 3});
  ScanValues again(3, saved);
  CHECK(again.mean(1) == values.mean(1));
  values.add(0, 1e16), again.add(0, 1e16);
  CHECK(again.mean(0) == values.mean(0));
  CHECK(ScanValues(2, ScanValues(2).tensor()).tensor().sizes() == at::IntArrayRef{2, 0});
  CHECK_THROWS_WITH_AS(ScanValues(2, saved), "the checkpoint's scan is [3, 3], expected 2 candidates", Error);
  CHECK_THROWS_AS(ScanValues(2, Tensor()), Error);
}
