// SPDX-License-Identifier: BSL-1.0
#include "dew/train/shared_figures.hpp"

#include "support/fake_processes.hpp"

using namespace dew;
using dew::test::FakeProcesses;

namespace {
constexpr double undefined = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
/// Figures of five events: other names in each, numbers that rounding would change, and none at all.
std::vector<Figures> whole() {
  return {{{"a", 0.1 + 0.2}, {"b", -0.0}}, {{"a", undefined}}, {}, {{"", 1e-310}, {"a", infinity}, {"a", 3}}, {{"longer name", 1.0 / 3}}};
}
/// What one process knows of them.
std::vector<Figures> measured_by(Processes const& process) {
  auto events = whole();
  for (std::size_t i = 0; i < events.size(); ++i)
    if (!process.has(std::int64_t(i))) events[i] = {{"not measured here", 7}};
  return events;
}
bool same(std::vector<Figures> const& a, std::vector<Figures> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](Figures const& x, Figures const& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](auto const& p, auto const& q) {
      return p.first == q.first && std::bit_cast<std::uint64_t>(p.second) == std::bit_cast<std::uint64_t>(q.second);
    });
  });
}
}  // namespace

TEST_CASE("figures of all processes come together bit for bit") {
  for (int const size : {2, 3, 7}) {
    CAPTURE(size);
    std::vector<std::string> given;  // what each process gives
    for (int rank = 0; rank < size; ++rank) {
      FakeProcesses group(rank, size);
      group.answers = [&](std::string const& mine) {
        given.push_back(mine);
        return std::vector<std::string>(std::size_t(size));
      };
      auto mine = measured_by(group);
      share_figures(group, mine);
    }
    for (int rank = 0; rank < size; ++rank) {
      FakeProcesses group(rank, size);
      group.answers = [&](std::string const&) { return given; };
      auto events = measured_by(group);
      share_figures(group, events);
      CHECK(same(events, whole()));
    }
  }
}

TEST_CASE("what another process cannot have given is refused") {
  FakeProcesses group(0, 2);
  std::vector<Figures> events(2);
  group.answers = [](std::string const& mine) { return std::vector<std::string>{mine, "abc"}; };
  CHECK_THROWS_AS(share_figures(group, events), Error);
  group.answers = [](std::string const& mine) {
    std::string other;
    dew::detail::put_number(other, 9), dew::detail::put_number(other, 0);
    return std::vector<std::string>{mine, other};
  };
  CHECK_THROWS_AS(share_figures(group, events), Error);
}

TEST_CASE("the figures in an event's summary are those that were added") {
  Summary summary;
  summary.add("a", 1), summary.add("b", undefined), summary.add("a", 2);
  auto const figures = figures_in(summary);
  REQUIRE(figures.size() == 3);
  CHECK(figures[0] == std::pair<std::string, double>("a", 1));
  CHECK(figures[1] == std::pair<std::string, double>("a", 2));
  CHECK(figures[2].first == "b");
  CHECK(std::isnan(figures[2].second));
}
