// SPDX-License-Identifier: BSL-1.0
#include "dew/pipeline/trained.hpp"

#include "dew/event/truth.hpp"
#include "dew/graph/score_cut.hpp"
#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
std::string thrown(auto&& f) {
  try {
    f();
  } catch (Error const& e) { return e.what(); }
  return "";
}
struct Ring {  // a graph in which each hit is joined to the next
  static constexpr std::string_view name = "ring";
  using Reads = Keys<Position>;
  using Writes = Keys<EdgeIndex>;
  SameParticleEdges truth() const { return {}; }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const i = at::arange(event.rows<Hits>(), at::kLong);
    return RecordOf<Writes>{key::edge_index = at::stack({i, i.roll(1)})};
  }
};
struct TruthCounter {
  static constexpr std::string_view name = "truth_counter";
  static constexpr bool labelled_only = true;
  using Reads = Keys<EdgeTruth>;
  using Writes = Keys<EdgeScore>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::edge_score = event[key::edge_truth].to(at::kFloat)};
  }
};
struct Scaled : ToyModel {  // its option `scale` is younger than `shift`
  struct Options {
    double shift = 0, scale = 1;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(shift, "", ""), DEW_OPTION(scale, "", "")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "scaled";
  bool operator==(Scaled const&) const = default;
};
struct Picky : ToyModel {
  static constexpr std::string_view name = "picky";
  void require(Widths const& available) const {
    check(available.has(key::latent), ErrorKind::usage, "picky.option needs the key 'latent'");
  }
};
}  // namespace

TEST_CASE("stages run in order and merge what they write") {
  ToySource const source;
  Trained const trained(toy_pipeline(), source.labelled(1), 7);
  auto const out = trained(source.hits(1));
  CHECK(out[key::beta].size(0) == out.rows<Hits>());
  CHECK(out.rows<Hits>() < 13);  // the cut drops the fourth particle's hits
  CHECK(at::equal(
      out[key::original_row],
      at::arange(out[key::original_row].size(0), at::kLong).where(at::arange(out[key::original_row].size(0)) < 9, out[key::original_row])));
  CHECK(!out[key::beta].requires_grad());
}

TEST_CASE("labels cover every hit - dropped ones have none") {
  ToySource const source;
  Trained const trained(toy_pipeline(), source.labelled(1), 7);
  auto const labels = trained.labels(source.hits(1));
  REQUIRE(labels.size(0) == 13);
  CHECK(at::equal(labels.narrow(0, 0, 9), at::arange(1, 4, at::kLong).repeat_interleave(3)));
  CHECK(at::equal(labels.narrow(0, 9, 3), at::full({3}, -1, at::kLong)));
}

TEST_CASE("the truth that a builder brings exists only where the truth is known") {
  ToySource const source;
  Trained const trained(Pipeline{Ring{}, TruthCounter{}}, source.labelled(1), 1);
  auto const with = trained(source.labelled(1));
  static_assert(decltype(with)::has<EdgeTruth> && decltype(with)::has<EdgeScore>);
  CHECK(with[key::edge_score].sum().item<double>() == 8);
  auto const without = trained(source.hits(1));
  static_assert(!decltype(without)::has<EdgeTruth> && !decltype(without)::has<EdgeScore> && decltype(without)::has<EdgeIndex>);
}

TEST_CASE("a score cut is one more stage") {
  ToySource const source;
  Trained const trained(Pipeline{Ring{}, TruthCounter{}, ScoreCut{{.threshold = 0.5}}}, source.labelled(1), 1);
  CHECK(trained(source.labelled(1)).rows<Edges>() == 8);
}

TEST_CASE("modules depend on seed and stage name alone") {
  ToySource const source;
  Trained const a(toy_pipeline(), source.labelled(1), 7), b(toy_pipeline(), source.labelled(2), 7),
      c(toy_pipeline(), source.labelled(1), 8);
  at::rand({3});
  CHECK(at::equal(a.tensors().at("toy_model.weight"), b.tensors().at("toy_model.weight")));
  CHECK(!at::equal(a.tensors().at("toy_model.weight"), c.tensors().at("toy_model.weight")));
}

TEST_CASE("clone is independent, buffers included") {
  ToySource const source;
  Trained a(toy_pipeline(), source.labelled(1), 7);
  a.module<0>().calls += 5;
  auto const b = a.clone();
  CHECK(at::equal(a.tensors().at("toy_model.calls"), b.tensors().at("toy_model.calls")));
  {
    at::NoGradGuard no_grad;
    a.module<0>().weight.fill_(3);
  }
  CHECK(!at::equal(a.tensors().at("toy_model.weight"), b.tensors().at("toy_model.weight")));
}

TEST_CASE("save and load give the same labels, options and widths") {
  TempDir const folder;
  ToySource const source;
  Trained a(toy_pipeline(), source.labelled(1), 7);
  a.pipeline.get<ToyClusterer>().options.width = 0.25;
  a.save(folder.path() / "model.safetensors");
  auto const b = load(toy_pipeline(), folder.path());
  CHECK(b.pipeline == a.pipeline);
  CHECK(b.widths() == a.widths());
  CHECK(b.seed() == 7);
  CHECK(at::equal(a.labels(source.hits(3)), b.labels(source.hits(3))));
  a.save(folder.path() / "again.safetensors");
  CHECK(read_file(folder.path() / "model.safetensors") == read_file(folder.path() / "again.safetensors"));
}

TEST_CASE("an option that is younger than a run is loaded as its struct says, whatever the program chose") {
  TempDir const folder;
  ToySource const source;
  auto const file = folder.path() / "model.safetensors";
  Pipeline chosen{Scaled{}, ToyClusterer{}};
  chosen.get<Scaled>().options = {.shift = 5, .scale = 3};
  chosen.get<ToyClusterer>().options.width = 4;
  Trained(Pipeline{Scaled{}, ToyClusterer{}}, source.labelled(1), 7).save(file);
  auto old = read_safetensors(file);
  auto const loaded_with = [&](char const* options) {
    old.metadata["dew.options"] = options;
    write_safetensors(file, old);
    auto const pipeline = load(chosen, file).pipeline;
    return std::array{pipeline.get<Scaled>().options.shift, pipeline.get<Scaled>().options.scale,
                      pipeline.get<ToyClusterer>().options.width};
  };
  CHECK(loaded_with(R"({"scaled.shift": "2.0", "toy_clusterer.width": "0.25"})") == std::array{2., 1., 0.25});
  CHECK(loaded_with(R"({"scaled.shift": "2.0", "scaled.scale": "7.0"})") == std::array{2., 7., 4.});  // nothing of the clusterer
}

TEST_CASE("a checkpoint of another pipeline is refused with the difference") {
  TempDir const folder;
  ToySource const source;
  auto const file = folder.path() / "model.safetensors";
  Trained(toy_pipeline(), source.labelled(1), 7).save(file);
  CHECK(thrown([&] {
          load(Pipeline{ToyModel{}, ToyClusterer{}}, file);
        }).find("holds a pipeline of [\"toy_model\",\"toy_cut\",\"toy_clusterer\"], not of [\"toy_model\",\"toy_clusterer\"]") !=
        std::string::npos);
  auto broken = read_safetensors(file);
  broken.tensors["toy_model.extra"] = broken.tensors.at("toy_model.bias");
  broken.tensors["toy_model.weight"] = at::ones({4});
  broken.tensors.erase("toy_model.bias");
  write_safetensors(file, broken);
  auto const what = thrown([&] { load(toy_pipeline(), file); });
  for (auto words : {"missing: toy_model.bias", "unexpected: toy_model.extra", "toy_model.weight [4] instead of [1]"})
    CHECK(what.find(words) != std::string::npos);
  write_safetensors(file, {.tensors = {{"x", at::ones({1})}}, .metadata = {}});
  CHECK(thrown([&] { load(toy_pipeline(), file); }).find("is no checkpoint of dew") != std::string::npos);
}

TEST_CASE("an option that needs an absent key throws before anything runs") {
  ToySource const source;
  CHECK(thrown([&] { Trained(Pipeline{Picky{}}, source.labelled(1), 1); }) == "picky.option needs the key 'latent'");
}

TEST_CASE("an empty event and one hit pass through") {
  ToySource const source;
  Trained const trained(toy_pipeline(), source.labelled(1), 7);
  auto const event = source.hits(1);
  CHECK(trained.labels(event.select(at::zeros({13}, at::kBool), Hits{})).size(0) == 0);
  CHECK(trained.labels(event.select(at::arange(13) == 4, Hits{})).size(0) == 1);
}
