// SPDX-License-Identifier: BSL-1.0
#include "dew/train/figures_asked.hpp"

#include <atomic>

#include "dew/event/truth.hpp"
#include "dew/graph/score_cut.hpp"
#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// Counts how often an event is read.
struct Counted : ToySource {
  static inline std::atomic<int> read = 0;
  LabelledRecord labelled(std::int64_t id) const {
    ++read;
    return ToySource::labelled(id);
  }
};
/// Has a figure that events of few hits do not have.
struct Sized {
  static constexpr std::string_view name = "sized";
  using Reads = Keys<Beta>;
  Figures operator()(RecordOf<Reads> const& event) const {
    auto const hits = event[key::beta].size(0);
    Figures figures{{"hits", double(hits)}};
    if (hits > 100) figures.emplace_back("many", 1.0);
    return figures;
  }
};
/// Draws from LibTorch's global generator.
struct Drawn {
  static constexpr std::string_view name = "drawn";
  using Reads = Keys<Beta>;
  Figures operator()(RecordOf<Reads> const&) const { return {{"number", at::rand({1}).item<double>()}}; }
};
struct NoFigures {
  static constexpr std::string_view name = "nothing";
  using Reads = Keys<Beta>;
  Figures operator()(RecordOf<Reads> const&) const { return {}; }
};
/// Scores each edge of a ring by the model's β.
struct ScoredRing {
  static constexpr std::string_view name = "scored_ring";
  using Reads = Keys<Beta>;
  using Writes = Keys<EdgeIndex, EdgeScore>;
  SameParticleEdges truth() const { return {}; }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const i = at::arange(event[key::beta].size(0), at::kLong);
    return RecordOf<Writes>{key::edge_index = at::stack({i, i.roll(1)}), key::edge_score = event[key::beta].detach().clone()};
  }
};
std::string refusal(auto const& f) {
  try {
    f();
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::usage);
    return e.what();
  }
  return "none";
}
/// Trains an epoch; `particles` with 3 hits each.
std::string trained_by(std::string const& watch, std::int64_t particles) {
  Counted source;
  source.options.particles = particles;
  Trained trained(toy_pipeline(), source.labelled(1), 7);
  Counted::read = 0;
  return refusal([&] {
    Trainer(trained, source, std::tuple{ToyMetric{}, Sized{}, NoFigures{}}, {.train = {1, 2}, .validate = {5}})
        .run(fit<ToyModel>(ToyLoss{}, {.epochs = 1, .watch = watch}));
  });
}
}  // namespace

TEST_CASE("figures that are asked for are found among names, and the first that is not is refused with all that there are") {
  FiguresAsked asked;
  std::vector<std::string> const known{"tracking.", "edges.", "loss.focal"};
  asked.add("a", "", known);
  asked.add("b", "loss.focal", known);
  CHECK(!asked.missing());
  CHECK_NOTHROW(asked.demand({}));
  CHECK(refusal([&] { asked.add("c", "loss.fokal", known); }) == "c: 'loss.fokal' is no figure of tracking., edges., loss.focal");
  CHECK(refusal([&] { asked.add("c", "tracking", known); }) == "c: 'tracking' is no figure of tracking., edges., loss.focal");
  CHECK(refusal([&] { asked.add("c", "x.y", {}); }) == "c: 'x.y' is no figure of anything that is measured there");
  asked.add("d", "edges.auc", known);
  asked.add("e", "tracking.pt0.9.perfekt", known);
  asked.add("f", "edges.f2", known);
  asked.look_in({"edges.f1", "edges.auc"});
  CHECK(asked.missing());
  CHECK(refusal([&] { asked.demand({"edges.f1", "tracking.pt0.9.perfect", "tracking.pt0.9.lhc"}); }) ==
        "e: there is no figure 'tracking.pt0.9.perfekt'; the nearest is 'tracking.pt0.9.perfect'; there are tracking.pt0.9.perfect, "
        "tracking.pt0.9.lhc");
  CHECK(refusal([&] { asked.demand({"edges.f1"}); }) == "e: there is no figure 'tracking.pt0.9.perfekt': its metric gives none");
  asked.look_in({"tracking.pt0.9.perfekt", "edges.f2"});
  CHECK(!asked.missing());
}

TEST_CASE("an event is read for it once, and none where no figure of a metric is asked for") {
  CHECK(trained_by("", 4) == "none");
  auto const without = Counted::read.load();
  CHECK(trained_by("loss.toy_loss", 4) == "none");
  CHECK(Counted::read == without);
  CHECK(trained_by("toy_metric.right", 4) == "none");
  CHECK(Counted::read == without + 1);
  CHECK(trained_by("sized.hit", 4) ==
        "toy_model.fit.watch: there is no figure 'sized.hit'; the nearest is 'sized.hits'; there are sized.hits");
  CHECK(Counted::read == 1);
  CHECK(trained_by("nothing.x", 4) == "toy_model.fit.watch: there is no figure 'nothing.x': its metric gives none");
}

TEST_CASE("a trainer that has been prepared looks once, also for the next plan, and tells whoever listens last") {
  Trained trained(toy_pipeline(), Counted{}.labelled(1), 7);
  std::vector<std::string> first, last;
  struct Ends {
    std::vector<std::string>* out;
    void on(FitEnded const& e) { out->push_back(e.stage); }
  };
  Trainer trainer(trained, Counted{}, std::tuple{Sized{}}, {.train = {1, 2}, .validate = {5}}, Callbacks{}.add(Ends{&first}));
  trainer.listen(Callbacks{}.add(Ends{&last}));
  auto const plan = fit<ToyModel>(ToyLoss{}, {.epochs = 1, .watch = "sized.hits"});
  CHECK(refusal([&] { trainer.prepare(fit<ToyModel>(ToyLoss{}, {.watch = "sized.hit"})); }) != "none");
  Counted::read = 0;
  trainer.prepare(plan);
  CHECK(Counted::read == 1);
  CHECK(trainer.run(plan));
  CHECK(Counted::read == 1 + 3);
  CHECK(trainer.run(plan));
  CHECK(Counted::read == 1 + 3 + 1 + 3);
  CHECK(first.empty());
  CHECK(last.size() == 2);
}

TEST_CASE("a figure that few hits do not have is looked for in the whole event") {
  CHECK(trained_by("sized.many", 4).starts_with("toy_model.fit.watch: there is no figure 'sized.many'"));
  CHECK(trained_by("sized.many", 50) == "none");
  CHECK(trained_by("sized.manny", 50) ==
        "toy_model.fit.watch: there is no figure 'sized.manny'; the nearest is 'sized.many'; there are sized.hits, sized.many");
}

TEST_CASE("a figure that a grid measures itself is asked of the grid") {
  Trained trained(Pipeline{ToyModel{}, ScoredRing{}, ScoreCut{}}, ToySource{}.labelled(1), 7);
  int checkpoints = 0;
  auto const train = [&](std::string const& metric) {
    return refusal([&] {
      checkpoints = 0;
      Trainer trainer(trained, ToySource{}, std::tuple{Sized{}}, {.train = {1, 2}, .validate = {5}});
      trainer.on_checkpoint([&](Checkpoint const&) { ++checkpoints; });
      trainer.run(fit<ToyModel>(ToyLoss{}, {.epochs = 1}), scan<ScoreCut>(maximise(metric), {.steps = 3}));
    });
  };
  CHECK(train("score_cut.f1") == "none");
  CHECK(checkpoints > 0);
  CHECK(train("score_cut.f2") == "score_cut.scan: expected score_cut.f1, score_cut.mcc or score_cut.balanced_accuracy, got score_cut.f2");
  CHECK(checkpoints == 0);
  CHECK(train("sized.hits") == "none");
}

TEST_CASE("the names of figures are those of a score, and to ask for them leaves random numbers and modules alone") {
  Trained const trained(toy_pipeline(), ToySource{}.labelled(1), 7);
  auto const random = at::globalContext().defaultGenerator(at::kCPU).get_state();
  auto const event = ToySource{}.labelled(2);
  auto const metrics = std::tuple{ToyMetric{}, Sized{}, Drawn{}};
  auto const names = figure_names(trained, Trained<decltype(toy_pipeline())>::few_hits(event), 2, metrics);
  CHECK(at::equal(at::globalContext().defaultGenerator(at::kCPU).get_state(), random));
  Summary summary;
  measure(trained, event, 2, metrics, summary);
  CHECK(names == summary.names());
  CHECK(trained.tensors().at("toy_model.calls").item<float>() == 0);
}
