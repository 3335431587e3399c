// SPDX-License-Identifier: BSL-1.0
// A model of one's own: an ordinary torch module, made from the widths of the keys in front of it, and a call that takes it. This one scores
// an edge from its two hits alone, without messages from neighbours: the baseline that a graph network has to beat. Training goes without
// App here: a Trainer for a Trained pipeline, in a program of any shape.
#include <dew/dew.hpp>

using namespace dew;

struct PairClassifier {
  struct Options {
    std::int64_t hidden = 32;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(hidden, "", "width of the hidden layer")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "pair_classifier";
  using Reads = Keys<HitFeatures, EdgeIndex, EdgeFeatures>;
  using Writes = Keys<EdgeScore>;

  struct Module : torch::nn::Module { torch::nn::Linear first{nullptr}, second{nullptr}; };
  std::shared_ptr<Module> make(Widths const& widths) const {
    auto net = std::make_shared<Module>();
    net->first =
        net->register_module("first", torch::nn::Linear(2 * widths[key::hit_features] + widths[key::edge_features], options.hidden));
    net->second = net->register_module("second", torch::nn::Linear(options.hidden, 1));
    return net;
  }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    auto const &x = event[key::hit_features], &edge = event[key::edge_index];  // [N, f], [2, E]
    auto const pair = at::cat({x.index_select(0, edge[0]), x.index_select(0, edge[1]), event[key::edge_features]}, 1);
    return RecordOf<Writes>{key::edge_score = at::sigmoid(net.second->forward(at::relu(net.first->forward(pair)))).squeeze(1)};
  }
};
static_assert(Model<PairClassifier>);

int main() {
  keep_memory();  // App does this itself
  SimulatedDetector const events{{.particles = 300}};
  auto const metrics = std::tuple{EdgeMetrics{}};
  Trained model{Pipeline{GeometricGraph{}, PairClassifier{{.hidden = 48}}}, events.labelled(1), /*seed=*/1};

  auto const auc = [&] {
    Summary summary;
    for (int event = 9; event <= 10; ++event) measure(model, events.labelled(event), event, metrics, summary);
    return summary.mean("edges.auc");
  };
  auto const before = auc();
  Trainer trainer{model, events, metrics, {.train = {1, 2, 3, 4, 5, 6, 7, 8}}};
  trainer.run(fit<PairClassifier>(FocalLoss{}, {.epochs = 15, .learning_rate = 1e-2, .warmup_steps = 5}));
  auto const after = auc();
  fmt::print("area under the ROC curve of the edges: {:.3f} untrained, {:.3f} trained\n", before, after);
  return after > before + 0.1 ? 0 : 1;
}
