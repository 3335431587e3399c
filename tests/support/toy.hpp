// SPDX-License-Identifier: BSL-1.0
// A small pipeline that learns in a moment, for tests of pipelines and training: hits around the centres of particles on a line.
#pragma once
#include <atomic>

#include "dew/core/torch_nn.hpp"
#include "dew/event/schema.hpp"
#include "dew/metric/summary.hpp"
#include "dew/pipeline/trained.hpp"

namespace dew::test {

/// Events of `particles` particles with 3 hits each at x = id + noise, and one noise hit; everything follows from the event's number.
struct ToySource {
  struct Options {
    std::int64_t particles = 4;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(particles, "", "particles an event")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "toy";
  std::vector<std::int64_t> ids() const { return {1, 2, 3, 4, 5, 6}; }
  std::uint64_t fingerprint(std::int64_t id, bool) const { return std::uint64_t(id); }
  HitRecord hits(std::int64_t id) const { return labelled(id); }
  LabelledRecord labelled(std::int64_t id) const {
    auto const p = options.particles, n = 3 * p + 1;
    auto const pid = at::cat({at::arange(1, p + 1, at::kLong).repeat_interleave(3), at::zeros({1}, at::kLong)});
    auto generator = Context{.event = id, .seed = 99}.generator();
    auto const x = pid.to(at::kFloat) + 0.1 * at::randn({n}, generator);
    auto const ones = at::ones({n});
    return LabelledRecord{key::hit_id = at::arange(n, at::kLong),
                          key::position = at::stack({x, ones, ones}, 1),
                          key::layer = at::arange(n, at::kLong).remainder(3),
                          key::hit_features = x.unsqueeze(1),
                          key::particle_id = pid,
                          key::pt = ones,
                          key::eta = ones * 0,
                          key::reconstructable = pid > 0,
                          key::truth_id = at::arange(1, p + 1, at::kLong),
                          key::truth_pt = at::ones({p}),
                          key::truth_eta = at::zeros({p}),
                          key::truth_hits = at::full({p}, 3, at::kLong),
                          key::truth_reconstructable = at::ones({p}, at::kBool)};
  }
};

/// β = σ(w·x + b): one linear layer.
struct ToyModel {
  struct Options {
    double scale = 1;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(scale, "", "factor of the initial weight")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "toy_model";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Beta>;
  struct Module : torch::nn::Module { Tensor weight, bias, calls; };
  std::shared_ptr<Module> make(Widths const& widths) const {
    auto net = std::make_shared<Module>();
    net->weight = net->register_parameter("weight", options.scale * at::randn({widths[key::hit_features]}));
    net->bias = net->register_parameter("bias", at::zeros({1}));
    net->calls = net->register_buffer("calls", at::zeros({1}));
    return net;
  }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const& context) const {
    if (context.training) net.calls += 1;
    return RecordOf<Writes>{key::beta = (event[key::hit_features].mv(net.weight) + net.bias).sigmoid()};
  }
  bool operator==(ToyModel const&) const = default;
};
static_assert(Model<ToyModel>);

/// Mean square of β − (x > 2): what the toy model can learn.
struct ToyLoss {
  static constexpr std::string_view name = "toy_loss";
  using Reads = Keys<Beta, HitFeatures>;
  Tensor operator()(RecordOf<Reads> const& event) const {
    return (event[key::beta] - (event[key::hit_features].select(1, 0) > 2.0).to(at::kFloat)).square().mean();
  }
};

/// Drops hits with x above a limit.
struct ToyCut {
  struct Options {
    double x_max = 3.5;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(x_max, "mm", "hits beyond are dropped")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "toy_cut";
  using Reads = Keys<Position>;
  using Selects = Hits;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::position].select(1, 0) <= options.x_max; }
  bool operator==(ToyCut const&) const = default;
};

/// Label = round(x / width).
struct ToyClusterer {
  struct Options {
    double width = 1;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(width, "mm", "width of a cluster")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  struct Scan {
    std::vector<double> widths = {0.3, 1, 3};
    using Options = Scan;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(widths, "mm", "widths that are tried")); }
    bool operator==(Scan const&) const = default;
    std::vector<ToyClusterer::Options> candidates() const {
      std::vector<ToyClusterer::Options> out;
      for (auto w : widths) out.push_back({.width = w});
      return out;
    }
  };
  static constexpr std::string_view name = "toy_clusterer";
  using Reads = Keys<Position>;
  using Writes = Keys<Label>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    return RecordOf<Writes>{key::label = (event[key::position].select(1, 0) / options.width).round().to(at::kLong)};
  }
  bool operator==(ToyClusterer const&) const = default;
};
static_assert(Clusterer<ToyClusterer>);

/// The share of hits whose label is their particle's number.
struct ToyMetric {
  static constexpr std::string_view name = "toy_metric";
  using Reads = Keys<Label, ParticleId>;
  Figures operator()(RecordOf<Reads> const& event) const {
    return {{"right", (event[key::label] == event[key::particle_id]).to(at::kDouble).mean().item<double>()}};
  }
};

inline auto toy_pipeline() { return Pipeline{ToyModel{}, ToyCut{}, ToyClusterer{}}; }

}  // namespace dew::test
