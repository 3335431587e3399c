// SPDX-License-Identifier: BSL-1.0
#include "dew/pipeline/with_options.hpp"

#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// β = power · w·x + shift: an option for the shape of w, one for its first values, one that is read when the module is made and one that is read
/// when it is called.
struct Adjustable {
  struct Options {
    std::int64_t rows = 1;
    double scale = 1, power = 1, shift = 0;
    std::vector<std::int64_t> more = {};
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(rows, "", "rows of w, which are summed"), DEW_OPTION(scale, "", "factor of the first w"),
                              DEW_OPTION(power, "", "kept by the module"), DEW_OPTION(shift, "", "added by the call"),
                              DEW_OPTION(more, "", "sizes of further parameters"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "adjustable";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Beta>;
  struct Module : torch::nn::Module {
    Tensor weight;
    double power = 1;
  };
  std::shared_ptr<Module> make(Widths const& widths) const {
    check(options.rows > 0, ErrorKind::usage, "adjustable.rows: expected a number above 0, got {}", options.rows);
    auto net = std::make_shared<Module>();
    net->weight = net->register_parameter("weight", options.scale * at::randn({options.rows, widths[key::hit_features]}));
    for (std::size_t i = 0; i < options.more.size(); ++i) net->register_buffer(fmt::format("more{}", i), at::zeros({options.more[i]}));
    net->power = options.power;
    return net;
  }
  RecordOf<Writes> operator()(RecordOf<Reads> const& event, Module& net, Context const&) const {
    return RecordOf<Writes>{key::beta = net.power * event[key::hit_features].mv(net.weight.sum(0)) + options.shift};
  }
  bool operator==(Adjustable const&) const = default;
};
static_assert(Model<Adjustable>);

auto pipeline(Adjustable::Options options = {}, ToyClusterer::Options clusters = {}) {
  return Pipeline{Adjustable{options}, ToyModel{}, ToyClusterer{clusters}};
}
/// With weights that are not the first ones.
auto learned(Adjustable::Options options = {}) {
  Trained trained(pipeline(options), ToySource{}.labelled(1), 7);
  at::NoGradGuard no_grad;
  for (auto const& [name, t] : trained.tensors()) Tensor(t).add_(1);
  return trained;
}
template <class P> Tensor beta(Trained<P> const& trained) { return trained.template run<0, 1>(ToySource{}.hits(1), Context{})[key::beta]; }
template <class P> std::string refusal(Trained<P> const& trained, P const& wanted) {
  try {
    (void)with_options(trained, wanted, "RUN");
  } catch (Error const& e) {
    CHECK(e.kind() == ErrorKind::usage);
    return e.what();
  }
  return "none";
}
}  // namespace

TEST_CASE("options that a module or a call reads act with the weights that were learned") {
  at::NoGradGuard no_grad;
  auto const trained = learned({.power = 2});
  auto const same = with_options(trained, trained.pipeline, "RUN");
  CHECK(at::equal(beta(same), beta(trained)));
  auto const other = with_options(trained, pipeline({.power = 6, .shift = 10}, {.width = 3}), "RUN");
  CHECK(at::allclose(beta(other), 3 * beta(trained) + 10));
  CHECK(other.pipeline.get<ToyClusterer>().options.width == 3);
  CHECK(other.seed() == trained.seed());
  auto const a = trained.tensors(), b = other.tensors();
  REQUIRE(a.size() == b.size());
  for (auto const& [name, t] : a) {
    CAPTURE(name);
    CHECK(at::equal(t, b.at(name)));
    CHECK(t.data_ptr() != b.at(name).data_ptr());  // modules of its own
  }
}

TEST_CASE("options that are in the weights are refused, each by its name and with what it is") {
  auto const trained = learned();
  CHECK(refusal(trained, pipeline()) == "none");
  CHECK(refusal(trained, pipeline({.rows = 2})) ==
        "RUN: adjustable.rows is 1, fixed by the training, and cannot become 2; leave it out, or train another run with it");
  CHECK(refusal(trained, pipeline({.scale = 3})) ==  // the same shapes, other first values
        "RUN: adjustable.scale is 1.0, fixed by the training, and cannot become 3.0; leave it out, or train another run with it");
  CHECK(refusal(trained, pipeline({.more = {4}})).starts_with("RUN: adjustable.more is [], fixed by the training, and cannot become [4]"));
  auto const two = refusal(trained, pipeline({.rows = 2, .scale = 3, .power = 2, .shift = 1}, {.width = 2}));
  CHECK(std::count(two.begin(), two.end(), '\n') == 1);
  CHECK(two.find("adjustable.rows") != std::string::npos);
  CHECK(two.find("\nRUN: adjustable.scale") != std::string::npos);
  CHECK(refusal(trained, pipeline({.rows = 0})) == "adjustable.rows: expected a number above 0, got 0");
}

TEST_CASE("to ask for other options changes nothing: neither the trained pipeline nor the random numbers") {
  auto const trained = learned();
  auto const before = beta(trained).clone();
  auto const random = at::globalContext().defaultGenerator(at::kCPU).get_state();
  (void)with_options(trained, pipeline({.power = 2, .shift = 1}), "RUN");
  CHECK(refusal(trained, pipeline({.rows = 2})) != "none");
  CHECK(at::equal(at::globalContext().defaultGenerator(at::kCPU).get_state(), random));
  CHECK(trained.pipeline == pipeline());
  CHECK(at::equal(beta(trained), before));
}
