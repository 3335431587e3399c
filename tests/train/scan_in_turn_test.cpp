// SPDX-License-Identifier: BSL-1.0
// A scan whose metric measures all labellings of an event in turn.
#include "dew/cluster/dbscan.hpp"
#include "dew/metric/tracking_metrics.hpp"
#include "dew/train/trainer.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
/// The hits' features as a latent space.
struct AsLatent {
  static constexpr std::string_view name = "as_latent";
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<Latent>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const { return RecordOf<Writes>{key::latent = event[key::hit_features]}; }
};
/// `TrackingMetrics`, one labelling at a time.
struct OneByOne {
  static constexpr std::string_view name = "tracking";
  using Reads = TrackingMetrics::Reads;
  using MayRead = TrackingMetrics::MayRead;
  Figures operator()(RecordOf<Reads, MayRead> const& event) const { return TrackingMetrics{}(event); }
};
/// Says its own figure in turn, so that one sees who was asked.
struct InTurn : OneByOne {
  std::vector<Figures> in_turn(RecordOf<GrowingTracks::Reads, MayRead> const&, std::span<Tensor const> labels) const {
    std::vector<Figures> out;
    for (std::size_t k = 0; k < labels.size(); ++k) out.push_back({{"pt0.9.perfect", double(k)}});
    return out;
  }
};
struct Tried {
  std::vector<double>* out;
  void on(ScanTried const& e) { out->push_back(e.value); }
};

template <class M> std::vector<double> scanned(M const& metric, std::string const& figure) {
  Trained trained(Pipeline{AsLatent{}, Dbscan{}}, ToySource{}.labelled(1), 7);
  std::vector<double> tried;
  Trainer trainer(trained, ToySource{}, std::tuple{metric}, {.train = {1}, .validate = {2, 3, 4}}, Callbacks{}.add(Tried{&tried}));
  CHECK(trainer.run(scan<Dbscan>(maximise(figure), {.eps_min = 0.02, .eps_max = 1.2, .eps_steps = 12, .min_points = {1, 2, 3}})));
  return tried;
}
static_assert(MeasuresInTurn<TrackingMetrics, LabelledRecord> && !MeasuresInTurn<OneByOne, LabelledRecord> &&
              !MeasuresInTurn<TrackingMetrics, HitRecord>);
}  // namespace

TEST_CASE("a scan finds the same in turn as one by one") {
  for (std::string const figure : {"tracking.pt0.9.perfect", "tracking.pt0.double_majority", "tracking.pt0.9.tracks"}) {
    auto const alone = scanned(OneByOne{}, figure);
    CHECK(alone.size() == 36);
    CHECK(scanned(TrackingMetrics{}, figure) == alone);
    CHECK(*std::min_element(alone.begin(), alone.end()) < *std::max_element(alone.begin(), alone.end()));
  }
}

TEST_CASE("a metric that measures in turn is asked so") {
  std::vector<double> numbers(36);
  std::iota(numbers.begin(), numbers.end(), 0);
  CHECK(scanned(InTurn{}, "tracking.pt0.9.perfect") == numbers);
}
