// SPDX-License-Identifier: BSL-1.0
#include "dew/train/throughput.hpp"

#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
double figure(Figures const& figures, std::string const& name) {
  for (auto const& [other, value] : figures)
    if (other == name) return value;
  FAIL("no figure " << name);
  return 0;
}
}  // namespace

TEST_CASE("work is counted and timed by phase until it is taken") {
  double now = 100;
  WorkMeter meter([&] { return now; });
  {
    auto const data = meter.in(Phase::data);
    now += 2;
  }
  {
    auto const forward = meter.in(Phase::forward);
    now += 3;
  }
  meter.count_event(Record{key::position = at::zeros({5, 3})});
  meter.count_event(Record{key::position = at::zeros({6, 3}), key::edge_index = at::zeros({2, 7}, at::kLong)});
  meter.count_step();
  now += 1;
  auto const work = meter.take();
  CHECK(work.steps == 1);
  CHECK(work.events == 2);
  CHECK(work.hits == 11);
  CHECK(work.edges == 7);
  CHECK(work.in(Phase::data) == 2);
  CHECK(work.in(Phase::forward) == 3);
  CHECK(work.elapsed == 6);
  now += 4;
  auto const next = meter.take();
  CHECK(next.steps == 0);
  CHECK(next.in(Phase::data) == 0);
  CHECK(next.elapsed == 4);
}

TEST_CASE("rates are of the steps' time, shares of all time") {
  Work const work{.steps = 4, .events = 8, .hits = 80, .edges = 400, .seconds = {1, 2, 3, 2, 10}, .elapsed = 20};
  auto const figures = throughput_figures(work);
  CHECK(figure(figures, "steps_per_s") == 0.5);
  CHECK(figure(figures, "events_per_s") == 1);
  CHECK(figure(figures, "hits_per_s") == 10);
  CHECK(figure(figures, "edges_per_s") == 50);
  CHECK(figure(figures, "share_data") == 0.05);
  CHECK(figure(figures, "share_validation") == 0.5);
  CHECK(figure(figures, "share_rest") == doctest::Approx(0.1));
  CHECK(figure(figures, "peak_memory_gb") > 0.01);
  CHECK(throughput_figures(Work{}).empty());
}

TEST_CASE("the most memory of a process does not fall") {
  auto const before = peak_memory_bytes();
  {
    std::vector<char> const much(300'000'000, 'x');
    CHECK(much[123'456'789] == 'x');
  }
  CHECK(peak_memory_bytes() >= std::max<std::int64_t>(before, 300'000'000));
}

TEST_CASE("the trainer tells an epoch's work, and one line says it") {
  struct Watch {
    std::vector<Work>* out;
    void on(EpochEnded const& e) { out->push_back(e.work); }
  };
  std::vector<Work> all;
  std::vector<std::string> lines;
  Trained trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  TrainerSettings s{.train = {1, 2, 3, 4}, .validate = {5, 6}};
  double now = 0;
  s.stopwatch = [&] { return now += 1; };
  Trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, s, Callbacks{}.add(Watch{&all}).add(Throughput{[&](std::string const& line) {
    lines.push_back(line);
  }})).run(fit<ToyModel>(ToyLoss{}, {.epochs = 2, .events_per_step = 2}));
  REQUIRE(all.size() == 2);
  for (auto const& work : all) {
    CHECK(work.steps == 2);
    CHECK(work.events == 4);
    CHECK(work.hits == 4 * 13);
    CHECK(work.edges == 0);
    CHECK(work.in(Phase::data) == 4);  // one tick each
    CHECK(work.in(Phase::forward) == 4);
    CHECK(work.in(Phase::backward) == 4);
    CHECK(work.in(Phase::optimiser) == 2);
    CHECK(work.in(Phase::validation) == 1);
    CHECK(work.elapsed >= 15);
  }
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].starts_with("toy_model: 0.143 steps/s, 3.71 hits/s, 0 edges/s; data 1"));
  CHECK(lines[0].ends_with(" GB"));
}
