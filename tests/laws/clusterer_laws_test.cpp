// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/clusterer_laws.hpp"

#include <doctest/doctest.h>

#include "dew/cluster.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// Hits by the sign of their first latent coordinate, and one thing that is wrong with it.
enum class Wrong { nothing, by_row, below, first_hit, scan, truth };
template <Wrong wrong>
struct TwoHalves {
  struct Options {
    double cut = 0;
    static constexpr auto describe() { return dew::hana::make_tuple(DEW_OPTION(cut, "", "where the halves meet")); }
    bool operator==(Options const&) const = default;
  };
  Options options;
  struct Scan {
    std::vector<Options> candidates() const { return {{0.0}, {0.4}}; }
  };
  static constexpr std::string_view name = "two_halves";
  using Reads = std::conditional_t<wrong == Wrong::truth, dew::Keys<Latent, ParticleId>, dew::Keys<Latent>>;
  using Writes = dew::Keys<Label>;
  dew::RecordOf<Writes> operator()(dew::RecordOf<Reads> const& event) const {
    auto const x = event[key::latent].select(1, 0);
    auto label = (x > options.cut).to(at::kLong);
    if (wrong == Wrong::by_row) label = at::arange(x.size(0), label.options()).floor_divide(3);
    if (wrong == Wrong::below) label = label - 2;
    if (wrong == Wrong::first_hit) label = (x > x[0]).to(at::kLong);
    return dew::RecordOf<Writes>{key::label = label};
  }
  std::vector<dew::RecordOf<Writes>> run_all(dew::RecordOf<Reads> const& event, std::vector<Options> const& candidates) const {
    std::vector<dew::RecordOf<Writes>> out;
    for (auto const& candidate : candidates) out.push_back(TwoHalves{wrong == Wrong::scan ? Options{} : candidate}(event));
    return out;
  }
};
}  // namespace

TEST_CASE("Dbscan obeys the laws of clusterers") {
  check_clusterer_laws(Dbscan{});
  check_clusterer_laws(Dbscan{{.eps = 0.2, .min_points = 3}});
  check_clusterer_laws(Dbscan{{.eps = 0.3, .min_points = 2}}, {.sample = {.seed = 5, .particles = 40, .latent = 8}});
}

TEST_CASE("ConnectedComponents obeys the laws of clusterers") {
  check_clusterer_laws(ConnectedComponents{});
  check_clusterer_laws(ConnectedComponents{{.score_min = 0.8}});
}

TEST_CASE("the laws of clusterers reject broken clusterers") {
  CHECK(clusterer_law_violations(TwoHalves<Wrong::nothing>{}).empty());
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::by_row>{}), "order"));
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::below>{}), "shapes"));
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::first_hit>{}), "empty event"));
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::first_hit>{}), "order"));
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::scan>{}), "scan"));
  CHECK(test::breaks(clusterer_law_violations(TwoHalves<Wrong::truth>{}), "bare hits"));
}
