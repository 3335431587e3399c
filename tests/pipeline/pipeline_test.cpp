// SPDX-License-Identifier: BSL-1.0
#include "dew/pipeline/pipeline.hpp"

#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
using P = decltype(toy_pipeline());
struct NeedsTruth {
  static constexpr std::string_view name = "needs_truth";
  using Reads = Keys<ParticleId>;
  using Writes = Keys<Label>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const { return RecordOf<Writes>{key::label = event[key::particle_id]}; }
};
}  // namespace

static_assert(P::size == 3);
static_assert(P::names[1] == "toy_cut");
static_assert(P::index<ToyCut>() == 1 && P::index<ByName<"toy_clusterer">>() == 2);
static_assert(P::runs_on<HitKeys> && !Pipeline<NeedsTruth>::runs_on<HitKeys> && Pipeline<NeedsTruth>::runs_on<UnionOf<HitKeys, TruthKeys>>);
static_assert(std::same_as<P::KeysAfterFirst<1, HitKeys>, UnionOf<HitKeys, Keys<Beta>>>);
static_assert(P::KeysAfterFirst<3, HitKeys>::has<Label>);

TEST_CASE("a pipeline is a value: copied, compared, changed") {
  auto const a = toy_pipeline();
  auto b = a;
  CHECK(a == b);
  b.get<ToyCut>().options.x_max = 1;
  CHECK(!(a == b));
  CHECK(a.get<ByName<"toy_cut">>().options.x_max == 3.5);
}

TEST_CASE("options of all stages are found under their names") {
  auto p = Pipeline{named<"first">(ToyModel{{.scale = 2}}), ToyModel{}};
  OptionSet set;
  add_options(set, p);
  CHECK(set.entries().size() == 2);
  CHECK(set.at("first.scale").get() == "2.0");
  set.at("toy_model.scale").set({"7"});
  CHECK(p.get<ToyModel>().options.scale == 7);
  CHECK(p.get<ByName<"first">>().options.scale == 2);
}

TEST_CASE("printing shows stages and options") {
  auto const text = print(toy_pipeline());
  CHECK(text == "toy_model\n  scale = 1.0\ntoy_cut\n  x_max = 3.5 mm\ntoy_clusterer\n  width = 1.0 mm\n");
}
