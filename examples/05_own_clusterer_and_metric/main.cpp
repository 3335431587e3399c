// SPDX-License-Identifier: BSL-1.0
// A clusterer and a metric of one's own. The clusterer gathers hits around condensation points: the hit of largest beta takes every free hit
// within a radius, then the next, while beta is large enough. The metric looks at pairs of hits: how many pairs of one particle are in one
// track (recall), and how many pairs in one track are of one particle (precision).
#include <dew/dew.hpp>

using namespace dew;

struct CondensationPoints {
  struct Options {
    double radius = 0.5, beta_min = 0.1;
    static constexpr auto describe() {
      return hana::make_tuple(DEW_OPTION(radius, "", "reach of a condensation point in the latent space"),
                              DEW_OPTION(beta_min, "", "its least beta"));
    }
    bool operator==(Options const&) const = default;
  };
  Options options;
  static constexpr std::string_view name = "condensation_points";
  using Reads = Keys<Latent, Beta>;
  using Writes = Keys<Label>;

  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    auto const &x = event[key::latent], &beta = event[key::beta];  // [N, d], [N]
    auto label = at::full({x.size(0)}, -1, beta.options().dtype(at::kLong));
    for (std::int64_t track = 0; x.size(0) > 0; ++track) {
      auto const [largest, point] = at::where(label < 0, beta, 0).max(0);
      if (largest.item<double>() <= options.beta_min) break;
      auto const near = (x - x.index_select(0, point.view(1))).norm(2, 1) <= options.radius;
      label = at::where(near.logical_and(label < 0), track, label);
    }
    return RecordOf<Writes>{key::label = label};
  }
};
static_assert(Clusterer<CondensationPoints>);

struct PairScore {
  static constexpr std::string_view name = "pairs";
  using Reads = Keys<Label, ParticleId, TruthId>;

  Figures operator()(RecordOf<Reads> const& event) const {
    auto const pairs = [](at::Tensor const& values) {  // of equal values
      auto const count = std::get<2>(at::unique_consecutive(std::get<0>(values.sort()), false, true));
      return (count * (count - 1)).sum().item<double>() / 2;
    };
    auto const &id = event[key::particle_id], &label = event[key::label], &ids = event[key::truth_id];
    auto const row = at::searchsorted(ids, id);  // a small number for each particle
    auto const known = (id > 0).nonzero().squeeze(1), found = (id > 0).logical_and(label >= 0).nonzero().squeeze(1);
    auto const both = pairs((label * (ids.size(0) + 1) + row).index_select(0, found));
    return {{"recall", both / pairs(row.index_select(0, known))}, {"precision", both / pairs(label.index_select(0, found))}};
  }
};
static_assert(Metric<PairScore>);

int main(int argc, char** argv) {
  // tried out first: five hits on a line make two tracks, and one hit is left alone
  auto const x = at::tensor({0., .1, 5., 5.2, 9.}).unsqueeze(1), beta = at::tensor({.9, .2, .3, .8, .01});
  auto const tracks = CondensationPoints{}(Record{key::latent = x, key::beta = beta});
  auto const particles = Record{key::particle_id = at::tensor({7, 7, 7, 9, 0}, at::kLong), key::truth_id = at::tensor({7, 9}, at::kLong)};
  if (!at::equal(tracks[key::label], at::tensor({0, 0, 1, 1, -1}, at::kLong))) return fmt::print("the clusterer is wrong\n"), 1;
  if (PairScore{}(tracks.merge(particles)) != Figures{{"recall", 1. / 3}, {"precision", 1. / 2}})
    return fmt::print("the metric is wrong\n"), 1;

  auto pipeline = Pipeline{GeometricGraph{}, Condenser{{.latent = 4, .hidden = 32, .layers = 2}}, CondensationPoints{}};
  return App{"own_clusterer", pipeline}
      .events(SimulatedDetector{{.particles = 100}})
      .train(fit<Condenser>(Attraction{} + Repulsion{} + 10 * Coward{}, {.epochs = 10, .learning_rate = 5e-3, .warmup_steps = 5}))
      .evaluate(PairScore{}, TrackingMetrics{{.pt_cuts_gev = {0.9}, .pt_bins_gev = {}, .eta_bins = {}}})
      .run(argc, argv);
}
