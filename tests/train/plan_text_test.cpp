// SPDX-License-Identifier: BSL-1.0
#include "dew/train/plan_text.hpp"

#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// A source that lies in a folder.
struct Folder : ToySource {
  struct Options {
    std::string events = "here";
    int sector = 2;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(events, "", "folder"), DEW_OPTION(sector, "", "part of the detector"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
};
std::vector<std::int64_t> const train{1, 2, 3}, validate{5};
PlanText text(Folder const& source = {}, int epochs = 2) {
  Pipeline const pipeline{named<"coarse">(ToyModel{}), ToyModel{}, ToyCut{}, ToyClusterer{}};
  return plan_text(pipeline, source, std::tuple{ToyMetric{}}, {train, validate, 7, 0.5}, fit<"coarse">(ToyLoss{}, {.epochs = epochs}),
                   fit<"coarse", "toy_model">(ToyLoss{} + named<"more">(ToyLoss{})), fit<"coarse">(ToyLoss{}),
                   scan<ToyClusterer>(maximise("toy_metric.right")));
}
std::string value(PlanText::Lines const& lines, std::string const& name) {
  for (auto const& [other, text] : lines)
    if (name == other) return text;
  return "absent";
}
}  // namespace

TEST_CASE("a training's text says its types and every option, but not where its events lie") {
  auto const t = text();
  CHECK(t.types ==
        PlanText::Lines{
            {"pipeline", "coarse = toy_model, toy_model, toy_cut, toy_clusterer"},
            {"plan", "fit coarse to toy_loss, fit coarse and toy_model to toy_loss + more, fit coarse to toy_loss, scan toy_clusterer"},
            {"source", "toy"},
            {"metrics", "toy_metric"}});
  for (auto const& [name, want] : PlanText::Lines{{"toy_cut.x_max", "3.5"},
                                                  {"coarse.fit.epochs", "2"},
                                                  {"coarse.fit.epochs (2)", "10"},
                                                  {"toy_model.fit.epochs", "10"},
                                                  {"toy_model.loss.more.weight", "1.0"},
                                                  {"toy_clusterer.scan.metric", "\"toy_metric.right\""},
                                                  {"toy.sector", "2"},
                                                  {"toy.events", "absent"},
                                                  {"train", "1-3"},
                                                  {"validate", "5"},
                                                  {"seed", "7"},
                                                  {"minutes", "0.5"}}) {
    CAPTURE(name);
    CHECK(value(t.options, name) == want);
  }
  CHECK(PlanText::from(nlohmann::ordered_json::parse(t.json().dump())) == t);
  CHECK(plan_types(toy_pipeline(), ToySource{}, std::tuple{}) ==
        PlanText::Lines{{"pipeline", "toy_model, toy_cut, toy_clusterer"}, {"plan", "none"}, {"source", "toy"}, {"metrics", "none"}});
}

TEST_CASE("another training is refused with what differs") {
  Folder elsewhere;
  elsewhere.options.events = "there";
  CHECK_NOTHROW(refuse_other_plan(text(), text(elsewhere), "run"));
  elsewhere.options.sector = 3;
  CHECK_THROWS_WITH_AS(refuse_other_plan(text(), text(elsewhere, 4), "run"),
                       "run: is of another training:\n  coarse.fit.epochs: 2 there, 4 here\n  toy.sector: 2 there, 3 here", Error);
  auto fewer = text();
  fewer.options.pop_back();
  CHECK_THROWS_WITH_AS(refuse_other_plan(text(), fewer, "run"), "run: is of another training:\n  minutes: 0.5 there, unknown here", Error);
  CHECK_THROWS_WITH_AS(refuse_other_plan(fewer, text(), "run"), "run: is of another training:\n  minutes: unknown there, 0.5 here", Error);
  auto other = text(elsewhere);
  other.types[3].second = "none";
  CHECK_THROWS_WITH_AS(refuse_other_plan(text(), other, "run"), "run: is of another training:\n  metrics: toy_metric there, none here",
                       Error);
}
