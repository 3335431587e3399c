// SPDX-License-Identifier: BSL-1.0
#include "dew/metric/summary.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace dew;

namespace {
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
Summary three_events() {
  Summary s;
  s.add({{"pt0.9.double_majority", 0.5}, {"pt0.9.lhc", nan}, {"pt1.5.double_majority", nan}}, "tracking.");
  s.add({{"pt0.9.double_majority", 0.7}, {"pt0.9.lhc", 0.25}, {"pt1.5.double_majority", nan}}, "tracking.");
  s.add({{"pt0.9.double_majority", 0.9}, {"pt0.9.lhc", 0.75}, {"pt1.5.double_majority", nan}}, "tracking.");
  s.add("edges.auc", 0.99);
  return s;
}
}  // namespace

TEST_CASE("means are over events with a defined value - errors are the sample deviation over the root of their number") {
  auto const s = three_events();
  CHECK(s.mean("tracking.pt0.9.double_majority") == doctest::Approx(0.7));
  CHECK(s.error("tracking.pt0.9.double_majority") == doctest::Approx(0.2 / std::sqrt(3.0)));
  CHECK(s.left_out("tracking.pt0.9.double_majority") == 0);
  CHECK(s.mean("tracking.pt0.9.lhc") == doctest::Approx(0.5));
  CHECK(s.error("tracking.pt0.9.lhc") == doctest::Approx(0.25));
  CHECK(s.events("tracking.pt0.9.lhc") == 2);
  CHECK(s.left_out("tracking.pt0.9.lhc") == 1);
  CHECK(s.values("tracking.pt0.9.lhc") == std::vector<double>{0.25, 0.75});
  CHECK(std::isnan(s.mean("tracking.pt1.5.double_majority")));
  CHECK(s.left_out("tracking.pt1.5.double_majority") == 3);
  CHECK(std::isnan(s.error("edges.auc")));
  CHECK(s.names() ==
        std::vector<std::string>{"tracking.pt0.9.double_majority", "tracking.pt0.9.lhc", "tracking.pt1.5.double_majority", "edges.auc"});
}

TEST_CASE("a misspelt figure is an error that names the nearest") {
  CHECK_THROWS_WITH_AS(three_events().mean("tracking.pt0.9.double_majorty"),
                       "there is no figure 'tracking.pt0.9.double_majorty'; the nearest is 'tracking.pt0.9.double_majority'", Error);
  CHECK_THROWS_WITH_AS(Summary{}.mean("edges.auc"), doctest::Contains("nothing was measured"), Error);
  CHECK(three_events().has("edges.auc"));
  CHECK_FALSE(three_events().has("edges.acu"));
}

TEST_CASE("the table has a column for each selection and readable rows") {
  auto const text = three_events().text();
  CHECK(text ==
        "tracking\n"
        "                               pt0.9               pt1.5\n"
        "  double majority              0.7000 ± 0.1155     undefined *\n"
        "  lhc                          0.5000 ± 0.2500 *\n"
        "edges\n"
        "  auc                          0.9900\n"
        "* undefined for some events, which are left out\n");
  CHECK(Summary{}.text().empty());
}

TEST_CASE("a part of a summary has the figures asked for that are there, in the order asked for") {
  auto const part = three_events().only({"edges.auc", "tracking.pt0.9.lhc", "edges.auc", "edges.f1"});
  CHECK(part.names() == std::vector<std::string>{"edges.auc", "tracking.pt0.9.lhc"});
  CHECK(part.mean("tracking.pt0.9.lhc") == three_events().mean("tracking.pt0.9.lhc"));
  CHECK(part.left_out("tracking.pt0.9.lhc") == three_events().left_out("tracking.pt0.9.lhc"));
}

TEST_CASE("columns of different kinds stand in different blocks") {
  Summary s;
  s.add({{"pt0.a", 1}, {"pt0.5.a", 2}, {"pt_0_1.a", 250}, {"eta_0_1.a", 4}, {"b", 5}}, "m.");
  CHECK(s.text() ==
        "m\n"
        "                               pt0                 pt0.5\n"
        "  a                            1.0000              2.0000\n"
        "                               pt_0_1\n"
        "  a                            250.0\n"
        "                               eta_0_1\n"
        "  a                            4.0000\n"
        "  b                            5.0000\n");
}

TEST_CASE("JSON is one flat object - undefined is null") {
  auto const json = three_events().json();
  CHECK(json["tracking.pt0.9.double_majority"].get<double>() == doctest::Approx(0.7));
  CHECK(json["tracking.pt0.9.double_majority.error"].get<double>() == doctest::Approx(0.11547).epsilon(1e-4));
  CHECK(json["tracking.pt1.5.double_majority"].is_null());
  CHECK(json["tracking.pt0.9.lhc.left_out"] == 1);
  CHECK_FALSE(json.contains("edges.auc.error"));
  CHECK_FALSE(json.contains("edges.auc.left_out"));
  CHECK(Summary{}.json().dump() == "{}");
}
