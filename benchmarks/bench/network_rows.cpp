// SPDX-License-Identifier: BSL-1.0
// Rows with networks: inference, training steps, the loss alone, a whole event, an epoch. The same in plain torch operations.
#include <numeric>

#include "rows.hpp"

namespace dew::bench {
namespace {

constexpr double width = 64, hit_features = 6, edge_features = 4;

/// A stack of interaction networks and its encoders, forward: products with node rows are made once a node, not once an edge.
double stack_flops(double n, double e, double layers) {
  auto const h = width;
  auto const encoders = n * (hit_features * h + h * h) + e * (edge_features * h + h * h);
  return 2 * (encoders + layers * (e * 3 * h * h + n * (2 * h * h + 4 * h * h)));
}
double classifier_flops(double n, double e) {
  auto const h = width, layers = 3.0;
  return stack_flops(n, e, layers) + 2 * (e * ((layers + 1) * h * h + h * h + h) + n * 2 * h * h);
}
double condenser_flops(double n, double e) {
  auto const h = width;
  return stack_flops(n, e, 4) + 2 * n * (2 * (h * h + h * h) + h + h * 8);
}

/// A training step as the trainer makes it, with `loss` of the network.
template <class Net>
Row step_row(std::shared_ptr<Net> net, std::function<Tensor()> loss) {
  std::map<std::string, Tensor> const parameters = detail::named_tensors(*net);
  NamedParameters const list(parameters.begin(), parameters.end());
  std::shared_ptr<torch::optim::Optimizer> const optimiser = make_optimiser({.learning_rate = 1e-4}, list);
  Row row;
  row.run = [=] {
    return seconds_of([&] {
      optimiser->zero_grad();
      loss().backward();
      torch::nn::utils::clip_grad_norm_(net->parameters(), 1);
      optimiser->step();
    });
  };
  auto begin = std::make_shared<NamedTensors>();
  for (auto const& [name, t] : parameters) (*begin)[name] = t.detach().clone();
  row.result = [=] {
    detail::copy_by_name(*begin, parameters, "weights");
    optimiser->zero_grad();
    auto const value = loss();
    value.backward();
    NamedTensors out{{"loss", value.detach()}};
    for (auto const& [name, t] : parameters)
      if (t.grad().defined()) out["grad." + name] = t.grad().clone();
    return out;
  };
  return row;
}

// ---- the classifier ---------------------------------------------------------------------------------------------------------------------

/// The classifier's network in torch operations: rows are put together, messages are scattered.
class PlainClassifier {
 public:
  explicit PlainClassifier(torch::nn::Module const& net) : parameters_(detail::named_tensors(net)) {}
  Tensor operator()(GraphRecord const& event) const {
    auto const source = event[key::edge_index][0], target = event[key::edge_index][1];
    auto x = at::relu(mlp("node_encoder", event[key::hit_features], 2)), e = at::relu(mlp("edge_encoder", event[key::edge_features], 2));
    std::vector<Tensor> collected{e};
    for (int layer = 0; layer < 3; ++layer) {
      auto const name = fmt::format("stack.layers.{}.", layer);
      auto const nodes = layer == 0 ? x : at::relu(x), edges = layer == 0 ? e : at::relu(e);
      e = mlp(name + "relational_model", at::cat({nodes.index_select(0, target), nodes.index_select(0, source), edges}, 1), 3);
      auto const made = mlp(name + "object_model", at::cat({nodes, sum_at(e, target, x.size(0))}, 1), 3);
      x = std::sqrt(0.5) * x + std::sqrt(0.5) * made;
      collected.push_back(e);
    }
    std::vector<Tensor> rows{x.index_select(0, source), x.index_select(0, target)};
    rows.insert(rows.end(), collected.begin(), collected.end());
    return 0.001 + 0.998 * at::sigmoid(mlp("head", at::cat(rows, 1), 3).squeeze(1));
  }

 private:
  Tensor mlp(std::string const& name, Tensor x, int layers) const {
    for (int i = 0; i < layers; ++i) {
      auto const linear = fmt::format("{}.layers.{}.", name, 2 * i);
      auto const bias = parameters_.find(linear + "bias");
      x = at::linear(i == 0 ? x : at::relu(x), parameters_.at(linear + "weight"), bias == parameters_.end() ? Tensor() : bias->second);
    }
    return x;
  }
  NamedTensors parameters_;
};

Row ec_inference_row(SetFiles const& files, bool plain) {
  auto const event = load_record<GraphRecord>(files.graph());
  auto const net = network(classifier(), files);
  auto out = std::make_shared<Tensor>();
  Row row;
  row.run = [=] {
    at::NoGradGuard const no_grad;
    return seconds_of([&] { *out = plain ? PlainClassifier(*net)(event) : classifier()(event, *net, {})[key::edge_score]; });
  };
  row.result = [=] { return NamedTensors{{"score", *out}}; };
  row.n = event.rows(Hits{});
  row.flops = classifier_flops(double(row.n), double(event[key::edge_index].size(1)));
  return row;
}

Row ec_step_row(SetFiles const& files, bool plain) {
  auto const event = load_record<GraphRecord>(files.graph());
  auto const net = network(classifier(), files);
  auto row = step_row(net, [=] {
    if (plain) return FocalLoss{}(event.with(key::edge_score = PlainClassifier(*net)(event)));
    return FocalLoss{}(event.merge(classifier()(event, *net, {.training = true})));
  });
  row.n = event.rows(Hits{});
  row.flops = 3 * classifier_flops(double(row.n), double(event[key::edge_index].size(1)));
  return row;
}

// ---- the condenser and its loss ---------------------------------------------------------------------------------------------------------

Row oc_step_row(SetFiles const& files) {
  auto const event = load_record<GraphRecord>(files.cut_graph());
  auto const stage = condenser(0);
  auto const net = network(stage, files);
  auto row = step_row(net, [=] {
    Context const context{.training = true};
    return evaluate(condensation_loss(), event.merge(stage(event, *net, context)), context).total;
  });
  row.n = event.rows(Hits{});
  row.flops = 3 * condenser_flops(double(row.n), double(event[key::edge_index].size(1)));
  return row;
}

/// Forward and backward. `untrained`: all hits within each other's reach.
Row oc_loss_row(SetFiles const& files, bool untrained, bool plain) {
  auto const event = load_record<LatentRecord>(files.latent());
  auto const x = (untrained ? event[key::latent] * 0.02 : event[key::latent].clone()).requires_grad_(true);
  auto const beta = event[key::beta].clone().requires_grad_(true);
  auto const loss = [=] {
    auto const record = event.with(key::latent = x, key::beta = beta);
    if (!plain) return evaluate(condensation_loss(), record, Context{.training = true}).total;
    auto const q = at::atanh(beta).square() + 0.01;
    auto const interest = hits_of_interest(record, 0.9, 4);
    auto const objects = condensation_objects(q, record[key::particle_id], interest);
    auto const hits = at::arange(x.size(0), at::TensorOptions().dtype(at::kLong));
    auto const k = double(objects.count());
    return attraction_sum_reference(x, q, objects) / (interest.sum().item<double>() - k + 1e-9) +
           repulsion_sum_reference(x, q, objects, hits) / ((k - 1) * double(x.size(0)) + 1e-9);
  };
  auto out = std::make_shared<Tensor>();
  Row row;
  row.run = [=] {
    return seconds_of([&] {
      x.mutable_grad() = Tensor(), beta.mutable_grad() = Tensor();
      *out = loss();
      out->backward();
    });
  };
  row.result = [=] { return NamedTensors{{"loss", out->detach()}, {"grad.x", x.grad()}, {"grad.beta", beta.grad()}}; };
  row.n = event.rows(Hits{});
  auto const interest = hits_of_interest(event, 0.9, 4);
  auto const objects = condensation_objects(event[key::beta], event[key::particle_id], interest);
  if (untrained) row.flops = 3 * 2.0 * double(row.n) * double(objects.count()) * 8;  // every pair counts
  else row.bytes = 2 * 4.0 * (8 + 1) * double(row.n);
  return row;
}

// ---- a whole event, an epoch --------------------------------------------------------------------------------------------------------------

/// Hits → tracks.
Row event_row(SetFiles const& files) {
  auto const settings = files.settings();
  HitRecord const hits = TrackMl{{.events = files.csv().string()}}.hits(1);
  auto trained = std::make_shared<Trained<decltype(pipeline(settings))>>(pipeline(settings), hits, std::uint64_t(1));
  NamedTensors weights;
  for (std::string const stage : {"edge_classifier", "condenser"})
    for (auto const& [name, tensor] : read_safetensors(files.networks(stage)).tensors) weights[stage + "." + name] = tensor;
  trained->load_tensors(weights, "networks");
  auto out = std::make_shared<Tensor>();
  Row row;
  row.run = [=] { return seconds_of([&] { *out = trained->labels(hits); }); };
  row.result = [=] { return NamedTensors{{"label", *out}}; };
  row.n = hits.rows(Hits{});
  at::NoGradGuard const no_grad;
  auto const scored = trained->template run<0, 2>(hits, {});
  auto const edges = double(scored[key::edge_index].size(1));
  auto const kept = (scored[key::edge_score] > settings.score_min).sum().template item<double>();
  row.flops = classifier_flops(double(row.n), edges) + condenser_flops(double(row.n), kept);
  row.bytes = (12 + 8) * double(row.n) + (16 + 16) * edges;
  return row;
}

struct EpochTimes {
  std::shared_ptr<std::vector<EpochEnded>> ended;
  void on(EpochEnded const& e) const { ended->push_back(e); }
};

/// One epoch of the classifier's training on n / 1000 events of 1000 hits, once the graphs are built: the second of two.
Row epoch_row(SetFiles const& files, std::int64_t n) {
  auto const settings = files.settings();
  auto const source = std::make_shared<TrackMl>(TrackMl{{.events = (files.epoch() / "csv").string()}});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n / 1000));
  std::iota(ids.begin(), ids.end(), 1);
  auto const weights = read_safetensors(files.networks("edge_classifier")).tensors;
  auto out = std::make_shared<std::vector<EpochEnded>>();
  auto const train = [=](double rate) {
    Trained trained(Pipeline{graph(settings), classifier()}, source->labelled(1), 1);
    NamedTensors named;
    for (auto const& [name, tensor] : weights) named["edge_classifier." + name] = tensor;
    trained.load_tensors(named, "networks");
    out->clear();
    Callbacks callbacks;
    callbacks.add(EpochTimes{out});
    Trainer trainer(trained, *source, std::tuple<>{}, TrainerSettings{.train = ids}, callbacks);
    trainer.run(fit<EdgeClassifier>(FocalLoss{}, {.epochs = 2, .learning_rate = rate, .schedule = Schedule::constant, .warmup_steps = 0}));
    return out->at(1).seconds - out->at(0).seconds;
  };
  Row row;
  row.n = n;
  row.run = [=] { return train(1e-3); };
  row.result = [=] {
    train(0);
    return NamedTensors{{"loss", at::scalar_tensor(out->at(1).loss, at::kDouble)}};
  };
  for (auto id : ids) {
    auto const event = load_record<GraphRecord>(files.epoch_graph(id));
    row.flops += 3 * classifier_flops(double(event.rows(Hits{})), double(event[key::edge_index].size(1)));
  }
  return row;
}
}  // namespace

Row make_network_row(std::string const& name, SetFiles const& files) {
  if (name == "ec_inference" || name == "ec_inference.reference") return ec_inference_row(files, name != "ec_inference");
  if (name == "ec_step" || name == "ec_step.reference") return ec_step_row(files, name != "ec_step");
  if (name == "oc_step") return oc_step_row(files);
  if (name == "oc_loss" || name == "oc_loss.reference") return oc_loss_row(files, false, name != "oc_loss");
  if (name == "oc_loss_untrained" || name == "oc_loss_untrained.reference") return oc_loss_row(files, true, name != "oc_loss_untrained");
  if (name == "event") return event_row(files);
  if (name == "epoch") return epoch_row(files, load_record<LatentRecord>(files.latent()).rows(Hits{}));
  return {};
}

}  // namespace dew::bench
