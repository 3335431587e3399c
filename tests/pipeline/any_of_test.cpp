// SPDX-License-Identifier: BSL-1.0
#include "dew/pipeline/any_of.hpp"

#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
struct ByLayer {
  static constexpr std::string_view name = "by_layer";
  using Reads = Keys<Layer>;
  using Writes = Keys<Label, Latent>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::label = event[key::layer], key::latent = at::zeros({event.rows<Hits>(), 1})};
  }
  bool operator==(ByLayer const&) const = default;
};
struct Constant {
  static constexpr std::string_view name = "constant";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Beta>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::beta = at::full({event.rows<Hits>()}, 0.25)};
  }
  bool operator==(Constant const&) const = default;
};
using Choice = AnyOf<ToyClusterer, ByLayer>;
}  // namespace

static_assert(std::same_as<Choice::Reads, Keys<Position, Layer>> && std::same_as<Choice::Writes, Keys<Label>>);
static_assert(Clusterer<Choice> && !Learns<Choice> && Learns<AnyOf<ToyModel, Constant>>);

TEST_CASE("the option choice decides which part is used") {
  ToySource const source;
  auto pipeline = Pipeline{named<"clusterer">(AnyOf{ToyClusterer{}, ByLayer{}})};
  OptionSet set;
  add_options(set, pipeline);
  CHECK(set.at("clusterer.choice").get() == "\"toy_clusterer\"");
  set.at("clusterer.toy_clusterer.width").set({"0.5"});
  auto const event = source.hits(1);
  CHECK(!at::equal(Trained(pipeline, event, 1).labels(event), event[key::layer]));
  set.at("clusterer.choice").set({"by_layer"});
  CHECK(at::equal(Trained(pipeline, event, 1).labels(event), event[key::layer]));
  CHECK_THROWS_WITH_AS(set.at("clusterer.choice").set({"dbscan"}),
                       "clusterer.choice: expected one of toy_clusterer, by_layer, got 'dbscan'", Error);
}

TEST_CASE("a choice among models makes, saves and loads the chosen one") {
  TempDir const folder;
  ToySource const source;
  auto const event = source.hits(1);
  auto pipeline = Pipeline{AnyOf{ToyModel{}, Constant{}}};
  Trained const learned(pipeline, event, 3);
  CHECK(learned.tensors().contains("any_of.toy_model.weight"));
  learned.save(folder.path() / "model.safetensors");
  CHECK(at::equal(load(pipeline, folder.path())(event)[key::beta], learned(event)[key::beta]));
  OptionSet set;
  add_options(set, pipeline);
  set.at("any_of.choice").set({"constant"});
  Trained constant(pipeline, event, 3);
  CHECK(constant.tensors().empty());
  CHECK(constant(event)[key::beta][0].item<double>() == 0.25);
  constant.pipeline = Pipeline{AnyOf{ToyModel{}, Constant{}}};
  CHECK_THROWS_AS(constant(event), Error);  // the model that is asked for was not made
}
