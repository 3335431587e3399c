// SPDX-License-Identifier: BSL-1.0
// The option `products` in every model that has it.
#include "dew/model/condenser.hpp"
#include "dew/model/deep_set_edge_filter.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/model/embedding_refinement.hpp"
#include "dew/model/point_cloud_network.hpp"
#include "dew/pipeline/trained.hpp"

#include "model/small_graph.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

using namespace dew;
using namespace dew::test;

namespace {

auto scored_graph() {
  auto const graph = small_graph(60, 300);
  return graph.with(key::edge_score = at::rand({300}) * 0.998 + 0.001);
}

/// Whether each `Mlp` in a network multiplies in that precision, and there is one.
bool all_mlps_use(torch::nn::Module const& net, Products products) {
  int found = 0;
  for (auto const& child : net.modules())
    if (auto const* mlp = dynamic_cast<Mlp const*>(child.get()); mlp != nullptr) {
      if (mlp->parameters_by_layer().products != products) return false;
      ++found;
    }
  return found > 0;
}

/// One set of weights in both precisions.
template <class M>
void compare(M const& exact) {
  INFO(M::name);
  REQUIRE(exact.options.products == Products::float32);
  seed();
  auto const graph = scored_graph();
  auto rounded = exact;
  rounded.options.products = Products::bfloat16;
  auto const net = exact.make(Widths::of(graph)), rounded_net = rounded.make(Widths::of(graph));
  CHECK(all_mlps_use(*net, Products::float32));
  CHECK(all_mlps_use(*rounded_net, Products::bfloat16));
  at::NoGradGuard no_grad;
  auto const from = net->named_parameters();
  for (auto const& p : rounded_net->named_parameters()) p.value().copy_(from[p.key()]);
  auto const expected = exact(graph, *net, {});
  auto const got = rounded(graph, *rounded_net, {}), again = rounded(graph, *rounded_net, {});
  expected.for_each([&]<class K>(K, Tensor const& t) {
    if (t.numel() == 0) return;
    INFO(K::name);
    double const change = ((got[K{}] - t).norm() / t.norm()).template item<double>();
    CHECK(change > 0);
    CHECK(change < 0.02);
    CHECK(at::equal(got[K{}], again[K{}]));
  });
}

}  // namespace

TEST_CASE("products in bfloat16: a run from before the option is loaded with float32, another with its own choice") {
  TempDir const folder;
  auto const file = folder.path() / "model.safetensors";
  Pipeline const chosen{DeepSetEdgeFilter{{.hidden = 4, .products = Products::bfloat16}}};
  auto const products_of = [&] { return load(chosen, file).pipeline.get<DeepSetEdgeFilter>().options.products; };
  Trained(chosen, small_graph(5, 4), 1).save(file);
  CHECK(products_of() == Products::bfloat16);
  auto old = read_safetensors(file);
  auto options = nlohmann::json::parse(old.metadata.at("dew.options"));
  REQUIRE(options.erase("deep_set_edge_filter.products") == 1);
  old.metadata["dew.options"] = options.dump();
  write_safetensors(file, old);
  CHECK(products_of() == Products::float32);
}

TEST_CASE("products in bfloat16: every MLP of an edge classifier has them, and its scores are near those of float32") {
  for (auto stack : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top})
    for (auto encoder : {Encoder::mlp, Encoder::reference}) {
      CAPTURE(int(stack));
      compare(EdgeClassifier{{.hidden = 24, .layers = 2, .stack = stack, .encoder = encoder, .head = HeadEdges::all, .embeddings = true}});
    }
}

TEST_CASE("products in bfloat16: every MLP of a condenser has them, and its latents are near those of float32") {
  for (auto encoder : {Encoder::mlp, Encoder::reference})
    compare(Condenser{{.latent = 3, .hidden = 24, .layers = 2, .encoder = encoder, .smoothing = 2}});
}

TEST_CASE("products in bfloat16: every MLP of the other models has them, and what these write is near that of float32") {
  compare(PointCloudNetwork{{.latent = 3, .blocks = 1, .layers = 2}});  // of more blocks, neighbours may change
  compare(DeepSetEdgeFilter{{.hidden = 24}});
  compare(EmbeddingRefinement{{.dimension = 3, .hidden = 24, .layers = 2}});
}
