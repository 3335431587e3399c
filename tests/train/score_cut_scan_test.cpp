// SPDX-License-Identifier: BSL-1.0
// The best threshold on the edges' scores, by a scan between two fits.
#include "dew/graph/score_cut.hpp"
#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// Edges between neighbouring rows; true ones score above 0.6 but for one, false ones below 0.5.
struct Scored {
  static constexpr std::string_view name = "scored";
  using Reads = Keys<ParticleId>;
  using Writes = Keys<EdgeIndex, EdgeTruth, EdgeScore>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const& pid = event[key::particle_id];
    auto const ends = at::arange(pid.size(0) - 1, at::kLong);
    auto const truth = pid.slice(0, 0, -1) == pid.slice(0, 1);
    auto score = at::where(truth, 0.62 + 0.03 * ends.to(at::kFloat), 0.04 * ends.to(at::kFloat));
    score[0] = 0.1;
    return RecordOf<Writes>{key::edge_index = at::stack({ends, ends + 1}), key::edge_truth = truth, key::edge_score = score};
  }
};
struct EdgesLeft {
  static constexpr std::string_view name = "edges_left";
  using Reads = Keys<EdgeScore>;
  Figures operator()(RecordOf<Reads> const& event) const { return {{"number", double(event[key::edge_score].size(0))}}; }
};
static_assert(MeasuresItself<ScoreCut::Scan> && !MeasuresItself<ToyClusterer::Scan>);
}  // namespace

TEST_CASE("a scan sets the cut to the threshold with the best figure") {
  struct Tried {
    std::vector<double>* out;
    void on(ScanTried const& e) { out->push_back(e.value); }
  };
  Trained trained(Pipeline{Scored{}, ScoreCut{{.threshold = 0}}, ToyModel{}, ToyClusterer{}}, ToySource{}.labelled(1), 7);
  std::vector<double> tried;
  Trainer trainer(trained, ToySource{}, std::tuple{ToyMetric{}}, {.train = {1, 2}, .validate = {5, 6}}, Callbacks{}.add(Tried{&tried}));
  CHECK(trainer.run(scan<ScoreCut>(maximise("score_cut.f1"), {.low = 0.1, .high = 0.9, .steps = 9}),
                    fit<ToyModel>(ToyLoss{}, {.epochs = 1})));
  REQUIRE(tried.size() == 9);
  auto const best = std::max_element(tried.begin(), tried.end());
  CHECK(trained.pipeline.get<ScoreCut>().options.threshold == doctest::Approx(0.1 + 0.1 * double(best - tried.begin())));
  CHECK(trained.pipeline.get<ScoreCut>().options.threshold == doctest::Approx(0.5));  // 7 of 8 true ones, no false one
  CHECK(*best == doctest::Approx(2 * 7.0 / (2 * 7 + 1)));
  CHECK_THROWS_WITH_AS(trainer.run(scan<ScoreCut>(maximise("score_cut.auc"))),
                       "score_cut.scan: expected score_cut.f1, score_cut.mcc or score_cut.balanced_accuracy, got score_cut.auc", Error);
  // by what is measured behind it, as every other scan: the least edges are left by the highest cut
  Trainer counting(trained, ToySource{}, std::tuple{EdgesLeft{}}, {.train = {1, 2}, .validate = {5, 6}});
  CHECK(counting.run(scan<ScoreCut>(minimise("edges_left.number"), {.low = 0.2, .high = 0.8, .steps = 3})));
  CHECK(trained.pipeline.get<ScoreCut>().options.threshold == doctest::Approx(0.8));
}
