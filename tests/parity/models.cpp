// SPDX-License-Identifier: BSL-1.0
// Networks against reference values: built from a file's configuration, with its weights, on its input.
#include "dew/graph/orphan_mask.hpp"
#include "dew/interop/gnn_tracking.hpp"
#include "parity/report.hpp"

namespace dew::parity {
namespace {

auto graph_of(File const& file) {
  return Record{key::hit_features = file["x"], key::edge_index = file["edge_index"], key::edge_features = file["edge_attr"],
                key::layer = file["layer"].to(at::kLong)};
}
NamedTensors group(File const& file, std::string const& beginning) {
  NamedTensors out;
  for (auto const& [name, tensor] : file.tensors)
    if (name.starts_with(beginning)) out.emplace(name.substr(beginning.size()), tensor);
  return out;
}
template <class T> void load(torch::nn::Module const& net, File const& file, std::string const& root = "") {
  load_reference<T>(net, group(file, "model."), root, file.name);
}
/// Every gradient that the file holds of this module's parameters.
template <class T> void compare_gradients(torch::nn::Module const& net, File const& file, Report& report, std::string const& root = "") {
  auto const expected = from_reference<T>(group(file, "grad."), root);
  check(!expected.empty(), "{}: holds no gradients", file.name);
  auto const parameters = net.named_parameters();
  for (auto const& [name, gradient] : expected) {
    auto const* parameter = parameters.find(name);
    report.gradient("grad." + root + name, parameter != nullptr ? parameter->grad() : Tensor(), gradient);
  }
}
/// The loss whose gradients the files hold: the sum over outputs of the mean of their squares.
void compare_outputs(std::vector<std::pair<std::string, Tensor>> const& outputs, File const& file, Report& report) {
  Tensor loss;
  for (auto const& [name, output] : outputs) {
    report.value("out." + name, output, file["out." + name]);
    auto const mean = output.square().mean();
    loss = loss.defined() ? loss + mean : mean;
  }
  for (auto const& [name, tensor] : group(file, "out."))
    if (name != "hit_mask" && name != "edge_mask")
      check(std::any_of(outputs.begin(), outputs.end(), [&](auto const& o) { return o.first == name; }),
            "{}: the output '{}' is not compared", file.name, name);
  report.value("loss", loss, file["loss"]);
  loss.backward();
}

void mlp(File const& file, Report& report) {
  auto const& c = file.config;
  Mlp const net({.in = c.at("input"),
                 .out = c.at("output"),
                 .hidden = c.at("hidden").is_null() ? 0 : c.at("hidden").get<std::int64_t>(),
                 .layers = c.at("L"),
                 .bias = c.value("bias", true),
                 .final_relu = c.value("include_last_activation", false)});
  load<Mlp>(net, file);
  compare_outputs({{"y", net.forward(file["x"])}}, file, report);
  compare_gradients<Mlp>(net, file, report);
}
void residual_network(File const& file, Report& report) {
  auto const& c = file.config;
  ResidualNetwork const net({.in = c.at("in_dim"),
                             .hidden = c.at("hidden_dim"),
                             .out = c.at("out_dim"),
                             .depth = c.at("depth"),
                             .alpha = c.value("alpha", 0.6),
                             .bias = c.value("bias", true)});
  load<ResidualNetwork>(net, file);
  compare_outputs({{"y", net.forward(file["x"])}}, file, report);
  compare_gradients<ResidualNetwork>(net, file, report);
}
void interaction_network(File const& file, Report& report) {
  auto const& c = file.config;
  InteractionNetwork const net({.node_in = c.at("node_indim"),
                                .edge_in = c.at("edge_indim"),
                                .node_out = c.at("node_outdim"),
                                .edge_out = c.at("edge_outdim"),
                                .hidden = c.at("hidden")});
  load<InteractionNetwork>(net, file);
  auto const [x, e] = net.forward(file["x"], file["edge_index"], file["edge_attr"]);
  compare_outputs({{"x", x}, {"e", e}}, file, report);
  compare_gradients<InteractionNetwork>(net, file, report);
}

StackKind stack_of(nlohmann::json const& c) {
  auto const kind = c.value("residual_type", "skip1");
  check(kind == "skip1" || kind == "skip2" || kind == "skip_top", ErrorKind::input, "residual_type: '{}' is not known", kind);
  return kind == "skip1" ? StackKind::skip1 : kind == "skip2" ? StackKind::skip2 : StackKind::skip_top;
}
/// `alone`: the classifier's own file; otherwise the one inside a condenser's.
EdgeClassifier classifier_of(nlohmann::json const& c, bool alone) {
  return {{.hidden = c.at("hidden_dim"),
           .layers = c.at("L_ec"),
           .node_width = c.at(alone ? "interaction_node_dim" : "h_dim"),
           .edge_width = c.at(alone ? "interaction_edge_dim" : "e_dim"),
           .stack = alone ? stack_of(c) : StackKind::skip1,
           .alpha = c.value(alone ? "alpha" : "alpha_ec", 0.5),
           .batch_norm = c.value("add_bn", false),
           .add_input = c.value("connect_to", 1) == 0,
           .encoder = Encoder::reference,
           .head = c.value("use_intermediate_edge_embeddings", true) ? HeadEdges::all : HeadEdges::last,
           .head_nodes = c.value("use_node_embedding", true),
           .embeddings = true}};
}
void edge_classifier(File const& file, Report& report) {
  auto const classifier = classifier_of(file.config, true);
  auto const graph = graph_of(file);
  auto const net = classifier.make(Widths::of(graph));
  net->eval();
  load<EdgeClassifier>(*net, file);
  auto const out = classifier(graph, *net, {});
  compare_outputs({{"W", out[key::edge_score]}, {"node_embedding", out[key::node_embedding]}, {"edge_embedding", out[key::edge_embedding]}},
                  file, report);
  compare_gradients<EdgeClassifier>(*net, file, report);
}

void condenser(File const& file, Report& report) {
  auto const& c = file.config;
  std::string const root = c.at("type") == "GraphTCN" ? "_gtcn." : "";
  bool const scored = c.contains("L_ec");
  auto const when = [&](char const* option) { return c.value(option, false) ? Use::always : Use::never; };
  Condenser const condenser{{.latent = c.at("h_outdim"),
                             .hidden = c.at("hidden_dim"),
                             .layers = c.at("L_hc"),
                             .node_width = c.at("h_dim"),
                             .edge_width = c.at("e_dim"),
                             .stack = StackKind::skip1,
                             .alpha = c.value(c.contains("alpha_hc") ? "alpha_hc" : "alpha", 0.5),
                             .encoder = Encoder::reference,
                             .score_min = scored ? c.value("ec_threshold", 0.5) : 0,
                             .score = when("feed_edge_weights"),
                             .score_logit = false,
                             .node_embedding = when("use_ec_embeddings_for_hc"),
                             .edge_embedding = when("use_ec_embeddings_for_hc"),
                             .coordinates = c.value("n_embedding_coords", 0),
                             .coordinate_share = c.value("alpha_latent", 0.0),
                             .pixel_layers = c.value("heterogeneous_node_encoder", false) ? 18 : 0}};
  auto const graph = graph_of(file);
  auto const run = [&](auto const& event) {
    auto const net = condenser.make(Widths::of(event));
    net->eval();
    load<Condenser>(*net, file, root);
    return std::pair{condenser(event, *net, {}), net};
  };
  if (!scored) {
    auto const [out, net] = run(graph);
    compare_outputs({{"H", out[key::latent]}, {"B", out[key::beta]}}, file, report);
    return compare_gradients<Condenser>(*net, file, report, root);
  }
  auto const classifier = classifier_of(c, false);
  auto const ec = classifier.make(Widths::of(graph));
  ec->eval();
  load<EdgeClassifier>(*ec, file, root + "ec.");
  auto const event = graph.merge(classifier(graph, *ec, {}));
  auto const [out, net] = run(event);
  auto latent = out[key::latent], beta = out[key::beta];
  if (file.has("out.hit_mask")) {  // hits without edges are dropped there: the same rows, the others left out
    auto const kept = file["out.hit_mask"].nonzero().squeeze(1);
    latent = latent.index_select(0, kept), beta = beta.index_select(0, kept);
    OrphanMask const orphans{{.score_min = condenser.options.score_min}};
    report.equal("out.hit_mask", orphans(event.with(key::position = at::zeros({event.template rows<Hits>(), 3}))),
                 file["out.hit_mask"] != 0);
    report.equal("out.edge_mask", event[key::edge_score] > condenser.options.score_min, file["out.edge_mask"] != 0);
  }
  compare_outputs({{"H", latent}, {"B", beta}, {"W", event[key::edge_score]}}, file, report);
  compare_gradients<Condenser>(*net, file, report, root);
  compare_gradients<EdgeClassifier>(*ec, file, report, root + "ec.");
}

/// A model that is a policy of one kind, with the outputs it writes under their names in the file.
template <class P> void policy(P const& model, File const& file, Report& report, std::vector<std::pair<std::string, std::string>> outputs) {
  auto const graph = graph_of(file);
  auto const net = model.make(Widths::of(graph));
  net->eval();
  load<P>(*net, file);
  auto const written = model(graph, *net, {});
  std::vector<std::pair<std::string, Tensor>> named;
  written.for_each([&]<class K>(K, Tensor const& t) {
    for (auto const& [ours, theirs] : outputs)
      if (ours == K::name) named.emplace_back(theirs, t);
  });
  compare_outputs(named, file, report);
  compare_gradients<P>(*net, file, report);
}
void embedding(File const& file, Report& report) {
  auto const& c = file.config;
  policy(
      EmbeddingNetwork{
          {.dimension = c.at("out_dim"), .hidden = c.at("hidden_dim"), .depth = c.at("depth"), .alpha = c.value("alpha", 0.6)}},
      file, report, {{"hit_embedding", "H"}});
}
void refinement(File const& file, Report& report) {
  auto const& c = file.config;
  policy(EmbeddingRefinement{{.dimension = c.at("h_outdim"),
                              .hidden = c.at("hidden_dim"),
                              .layers = c.at("n_layers"),
                              .alpha = c.value("alpha", 0.5),
                              .input_share = c.value("alpha_fcnn", 0.5)}},
         file, report, {{"hit_embedding", "H"}});
}
void point_cloud(File const& file, Report& report) {
  auto const& c = file.config;
  auto const width = [&](char const* weight) { return file[std::string("model.") + weight].size(0); };
  policy(PointCloudNetwork{{.latent = c.at("h_outdim"),
                            .blocks = c.at("N_blocks"),
                            .layers = c.at("L"),
                            .node_width = c.at("h_dim"),
                            .edge_width = c.at("e_dim"),
                            .block_hidden = width("layers.0.node_encoder.layers.0.weight"),
                            .head_hidden = width("B.layers.0.weight"),
                            .alpha = c.value("alpha", 0.5)}},
         file, report, {{"latent", "H"}, {"beta", "B"}});
}
}  // namespace

std::vector<Reader> model_readers() {
  return {of_type("MLP", mlp),
          of_type("ResFCNN", residual_network),
          of_type("InteractionNetwork", interaction_network),
          of_type("ECForGraphTCN", edge_classifier),
          of_type("ModularGraphTCN", condenser),
          of_type("GraphTCN", condenser),
          of_type("GraphConstructionFCNN", embedding),
          of_type("GraphConstructionResIN", refinement),
          of_type("PointCloudTCN", point_cloud)};
}

}  // namespace dew::parity
