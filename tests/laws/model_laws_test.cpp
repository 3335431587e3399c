// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/model_laws.hpp"

#include <doctest/doctest.h>

#include "dew/model.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// A linear β of the hit features, and one thing that is wrong with it.
enum class Wrong { nothing, by_row, detached, hidden_weight, single, truth };
template <Wrong wrong>
struct LinearBeta {
  static constexpr std::string_view name = "linear_beta";
  using Reads = std::conditional_t<wrong == Wrong::truth, dew::Keys<HitFeatures, Pt>, dew::Keys<HitFeatures>>;
  using Writes = dew::Keys<Beta>;
  struct Module : torch::nn::Module { at::Tensor weight, hidden; };
  std::shared_ptr<Module> make(dew::Widths const& widths) const {
    auto net = std::make_shared<Module>();
    net->weight = net->register_parameter("weight", at::randn({widths[key::hit_features]}));
    net->hidden = at::randn({});
    return net;
  }
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event, Module& net, dew::Context const&) const {
    auto const& x = event[key::hit_features];
    auto out = at::sigmoid(at::matmul(x, net.weight));
    if (wrong == Wrong::by_row) out = out.cumsum(0);
    if (wrong == Wrong::detached) out = out * out.detach();
    if (wrong == Wrong::hidden_weight) out = out * net.hidden;
    if (wrong == Wrong::single) out = out.to(at::kFloat);
    return dew::RecordOf<Writes>{key::beta = out};
  }
};
/// Takes it that there is an edge.
struct NeedsAnEdge : LinearBeta<Wrong::nothing> {
  using Reads = dew::Keys<HitFeatures, EdgeScore>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event, Module& net, dew::Context const& context) const {
    auto const least = event[key::edge_score].min();
    return dew::RecordOf<Writes>{key::beta = LinearBeta::operator()(event, net, context)[key::beta] * least};
  }
};
}  // namespace

TEST_CASE("EdgeClassifier in every stack obeys the laws of models") {
  for (auto const stack : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top})
    check_model_laws(EdgeClassifier{{.hidden = 6, .layers = 2, .stack = stack, .embeddings = true}});
  check_model_laws(EdgeClassifier{{.hidden = 6, .layers = 2, .stack = StackKind::skip2, .batch_norm = true}});
  check_model_laws(EdgeClassifier{{.hidden = 6,
                                   .layers = 2,
                                   .node_width = 5,
                                   .edge_width = 4,
                                   .stack = StackKind::skip1,
                                   .encoder = Encoder::reference,
                                   .head = HeadEdges::all}});
}

TEST_CASE("Condenser in every stack obeys the laws of models") {
  for (auto const stack : {StackKind::prenorm, StackKind::skip1, StackKind::skip2, StackKind::skip_top})
    check_model_laws(Condenser{{.latent = 3, .hidden = 6, .layers = 2, .stack = stack}});
  check_model_laws(Condenser{{.latent = 3, .hidden = 6, .layers = 2, .stack = StackKind::skip_top, .add_input = true}});
  check_model_laws(
      Condenser{{.latent = 3, .hidden = 6, .layers = 2, .stack = StackKind::skip1, .encoder = Encoder::reference, .score_logit = false}});
  check_model_laws(Condenser{{.latent = 3, .hidden = 6, .layers = 1, .coordinates = 2, .coordinate_share = 0.3}});
}

TEST_CASE("embedding networks, filters and the point cloud network obey the laws of models") {
  check_model_laws(EmbeddingNetwork{{.dimension = 3, .hidden = 6, .depth = 3}});
  check_model_laws(EmbeddingRefinement{{.dimension = 3, .hidden = 6, .layers = 2}});
  check_model_laws(
      PointCloudNetwork{{.latent = 3, .blocks = 2, .layers = 1, .node_width = 5, .edge_width = 4, .block_hidden = 6, .head_hidden = 6}});
  check_model_laws(DeepSetEdgeFilter{{.hidden = 5, .layers = 3}});
  check_model_laws(MlpEdgeFilter{{.hidden = 5, .depth = 3}});
}

TEST_CASE("models of two detectors obey the laws of models") {
  for (auto detectors : {Detectors::two_networks, Detectors::two_encoders})
    check_model_laws(
        EmbeddingNetwork{{.dimension = 3, .hidden = 6, .depth = 2, .detectors = detectors, .pixel_layers = 9, .encoder_depth = 1}});
  check_model_laws(Condenser{{.latent = 3, .hidden = 6, .layers = 1, .pixel_layers = 9}});
}

TEST_CASE("the laws of models reject broken models") {
  CHECK(model_law_violations(LinearBeta<Wrong::nothing>{}).empty());
  CHECK(test::breaks(model_law_violations(LinearBeta<Wrong::by_row>{}), "order"));
  CHECK(test::breaks(model_law_violations(LinearBeta<Wrong::detached>{}), "gradients"));
  CHECK(test::breaks(model_law_violations(LinearBeta<Wrong::hidden_weight>{}), "made alike"));
  CHECK(test::breaks(model_law_violations(LinearBeta<Wrong::single>{}), "shapes"));
  CHECK(test::breaks(model_law_violations(LinearBeta<Wrong::truth>{}), "bare hits"));
  CHECK(test::breaks(model_law_violations(NeedsAnEdge{}), "one hit"));
}
