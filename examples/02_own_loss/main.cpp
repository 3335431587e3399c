// SPDX-License-Identifier: BSL-1.0
// A loss of one's own: a plain class that says its name, what it reads and how it is computed for one event. It is added and weighted like
// the shipped ones, and its options and weight are flags: --condenser.loss.pt_weighted_attraction.pt_scale_gev 2. This one pulls the hits
// of a particle to its hit of largest charge q, those of high pt most: mean of w q_j q_a |x_j - x_a|^2 with w = pt / (pt + pt_scale_gev).
#include <dew/dew.hpp>

using namespace dew;

struct PtWeightedAttraction {
  struct Options {
    double pt_scale_gev = 1.0;
    static constexpr auto describe() { return hana::make_tuple(DEW_OPTION(pt_scale_gev, "GeV", "pt at which the weight is 1/2")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "pt_weighted_attraction";
  using Reads = Keys<Latent, Beta, ParticleId, Pt>;

  at::Tensor operator()(RecordOf<Reads> const& event) const {
    auto const &x = event[key::latent], &id = event[key::particle_id];                       // [N, d], [N]
    auto const q = at::atanh(event[key::beta]).square() + 1;                                 // [N]
    auto const objects = condensation_objects(q, id, id > 0);                                // the particles
    auto const hit = (objects.object >= 0).nonzero().squeeze(1);                             // [M] hits that have one
    auto const centre = objects.alpha.index_select(0, objects.object.index_select(0, hit));  // [M] its hit of largest charge
    auto const d2 = (x.index_select(0, hit) - x.index_select(0, centre)).square().sum(1);    // [M]
    auto const pt = event[key::pt].index_select(0, hit);                                     // [M]
    auto const weight = pt / (pt + options.pt_scale_gev);
    return (weight * q.index_select(0, hit) * q.index_select(0, centre) * d2).sum() / std::max<double>(1, double(hit.size(0)));
  }
};
static_assert(Loss<PtWeightedAttraction>);

/// A callback: prints the loss's own share after every epoch, which stands in the run's log.jsonl too.
struct PrintsIt {
  void on(EpochEnded const& epoch) {
    for (auto const& [term, value] : epoch.terms) fmt::print("epoch {}: {} = {:.4f}\n", epoch.epoch + 1, term, value);
  }
};

int main(int argc, char** argv) {
  // tried out first: two hits of particle 7 with pt 1 GeV at distance 2; weight 1/2, charges 1: (0 + 1/2 * 4) / 2 hits
  auto const x = at::tensor({0., 2.}).unsqueeze(1).requires_grad_();
  auto const loss = PtWeightedAttraction{}(Record{key::latent = x, key::beta = at::zeros({2}, at::kDouble),
                                                  key::particle_id = at::full({2}, 7, at::kLong), key::pt = at::ones({2}, at::kDouble)});
  loss.backward();
  if (loss.item<double>() != 1 || !at::equal(x.grad(), at::tensor({-1., 1.}).unsqueeze(1))) return fmt::print("the loss is wrong\n"), 1;

  auto pipeline = Pipeline{GeometricGraph{}, Condenser{{.latent = 4, .hidden = 32, .layers = 2}}, Dbscan{{.eps = 0.3}}};
  return App{"own_loss", pipeline}
      .events(SimulatedDetector{{.particles = 100}})
      .train(fit<Condenser>(2 * PtWeightedAttraction{} + Repulsion{}, {.epochs = 10, .learning_rate = 5e-3, .warmup_steps = 5}))
      .evaluate(TrackingMetrics{{.pt_cuts_gev = {0.9}, .pt_bins_gev = {}, .eta_bins = {}}})
      .with(PrintsIt{})
      .run(argc, argv);
}
