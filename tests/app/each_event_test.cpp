// SPDX-License-Identifier: BSL-1.0
#include "dew/app/each_event.hpp"

#include <stdexcept>

#include "support/run_program.hpp"

using namespace dew;

namespace {
/// What is said on standard error, which is no terminal.
template <class F> std::string said(F const& f) {
  return test::run_program("", {},
                           [&](int, char const* const*) {
                             f();
                             return 0;
                           })
      .err;
}
}  // namespace

TEST_CASE("each event is done in order until one was the last, and a line at the end says how many") {
  std::vector<std::int64_t> seen;
  auto const all = [&](std::int64_t id) { seen.push_back(id); };
  CHECK(said([&] { each_event({3, 1, 2}, "counting", false, all); }) == "counting: 3 events done\n");
  CHECK(seen == std::vector<std::int64_t>{3, 1, 2});
  seen.clear();
  auto const two = [&](std::int64_t id) {
    seen.push_back(id);
    return seen.size() < 2;
  };
  CHECK(said([&] { each_event({3, 1, 2}, "counting", false, two); }).empty());
  CHECK(seen == std::vector<std::int64_t>{3, 1});
  CHECK(said([&] { each_event({3, 1, 2}, "counting", true, all); }).empty());
  CHECK(said([&] { each_event({}, "counting", false, all); }).empty());
  CHECK(said([&] {
          CHECK_THROWS_AS(each_event({1}, "counting", false, [](std::int64_t) { throw std::runtime_error("broken"); }), std::runtime_error);
        }).empty());
}
