// SPDX-License-Identifier: BSL-1.0
#include "dew/testing/loss_laws.hpp"

#include <doctest/doctest.h>

#include "dew/event/true_pairs.hpp"
#include "dew/loss.hpp"
#include "laws/broken.hpp"

using namespace dew;
using namespace dew::testing;

namespace {
/// Σ β over hits of known origin, and one thing that is wrong with it.
enum class Wrong { nothing, mean, detached, unknown, first_row, global_random, writes };
template <Wrong wrong>
struct KnownBeta {
  static constexpr std::string_view name = "known_beta";
  using Reads = dew::Keys<Beta, ParticleId>;
  at::Tensor operator()(dew::RecordOf<Reads> const& event) const {
    auto beta = event[key::beta];
    if (wrong != Wrong::unknown) beta = at::where(event[key::particle_id] >= 0, beta, at::zeros_like(beta));
    auto value = (beta * beta).sum();
    if (wrong == Wrong::mean) value = value / double(beta.size(0));
    if (wrong == Wrong::detached) value = (beta * beta.detach()).sum();
    if (wrong == Wrong::first_row && beta.size(0) > 0) value = value + beta[0];
    if (wrong == Wrong::global_random) value = value * at::rand({}, value.options().requires_grad(false));
    if (wrong == Wrong::writes) event[key::beta].detach().mul_(2);
    return value;
  }
};
static_assert(dew::Loss<KnownBeta<Wrong::nothing>>);

/// As a researcher writes one: on a key that is their own.
struct DriftTime : dew::Key<"drift_time", dew::Hits, dew::Kind::real, dew::Shape<>, "ns", "time from the wire's signal"> {};
struct LateHits {
  static constexpr std::string_view name = "late_hits";
  using Reads = dew::Keys<Beta, DriftTime>;
  at::Tensor operator()(dew::RecordOf<Reads> const& event) const { return (event[key::beta] * event[DriftTime{}].log()).sum(); }
};
}  // namespace

TEST_CASE("every edge loss obeys the laws of losses") {
  check_loss_laws(BinaryCrossEntropy{});
  check_loss_laws(BinaryCrossEntropy{{.pt_min_gev = 0.9}});
  check_loss_laws(FocalLoss{});
  check_loss_laws(FocalLoss{{.alpha = 0.4, .gamma = 3, .positive_weight = 2, .pt_min_gev = 0.9}});
  check_loss_laws(HaughtyFocalLoss{});
}

TEST_CASE("every condensation loss obeys the laws of losses") {
  check_loss_laws(Attraction{});
  check_loss_laws(Attraction{{.norm = CondensationNorm::pairs}});
  check_loss_laws(Repulsion{});
  check_loss_laws(Repulsion{{.q_min = 0.01, .norm = CondensationNorm::pairs}});
  check_loss_laws(Repulsion{{.sample_hits = 10}});
  check_loss_laws(Coward{});
  check_loss_laws(Noise{});
}

TEST_CASE("condensation losses that draw particles or pairs obey the laws of losses, and the paper's form does") {
  check_loss_laws(Attraction{{.keep_particles = 0.5}});
  check_loss_laws(Repulsion{{.keep_particles = 0.5, .max_pairs = 20}});
  check_loss_laws(Coward{{.keep_particles = 0.5}});
  check_loss_laws(PaperPotential{});
  check_loss_laws(PaperBeta{{.noise_scale = 0.5}});
  check_loss_laws(paper_condensation());
}

TEST_CASE("the hinge embedding losses obey the laws of losses, on the sample's true pairs") {
  LawOptions options;
  auto const pairs = TruePairs{}(sample_event(options.sample))[key::true_edge_index];
  options.sample.values["true_edge_index"] = [pairs](std::int64_t) { return pairs; };
  REQUIRE(pairs.size(1) > 50);
  check_loss_laws(HingeAttraction{}, options);
  check_loss_laws(HingeAttraction{{.power = 2}}, options);
  check_loss_laws(HingeRepulsion{{.radius = 2}}, options);
  check_loss_laws(HingeRepulsion{{.radius = 2, .power = 1.5, .norm = HingeNorm::n_att_edges, .rep_oi_only = false}}, options);
  check_loss_laws(HingeAttraction{} + 0.4 * HingeRepulsion{{.radius = 2, .norm = HingeNorm::n_rep_edges}}, options);
}

TEST_CASE("the payload loss obeys the laws of losses") {
  check_loss_laws(ObjectProperties{});
  check_loss_laws(ObjectProperties{{.mode = PropertyMode::purity}});
}

TEST_CASE("a sum of losses obeys the laws of losses") {
  check_loss_laws(Attraction{} + Repulsion{} + 0.1 * Coward{} + 0.1 * Noise{});
  check_loss_laws(0.5 * FocalLoss{});
}

TEST_CASE("a loss on a key of one's own obeys the laws of losses, with values from the options") {
  LawOptions options;
  options.sample.values["drift_time"] = [](std::int64_t rows) { return at::linspace(1, 2, rows, at::kDouble); };
  check_loss_laws(LateHits{}, options);
  CHECK(test::breaks(loss_law_violations(LateHits{}), "one number"));  // the logarithm of a negative time
}

TEST_CASE("the laws of losses reject broken losses") {
  CHECK(loss_law_violations(KnownBeta<Wrong::nothing>{}).empty());
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::mean>{}), "empty event"));
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::detached>{}), "gradients"));
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::unknown>{}), "unknown hits"));
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::first_row>{}), "order"));
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::global_random>{}), "determinism"));
  CHECK(test::breaks(loss_law_violations(KnownBeta<Wrong::writes>{}), "input"));
}

TEST_CASE("a broken loss fails the test case that checks it" * doctest::should_fail()) { check_loss_laws(KnownBeta<Wrong::mean>{}); }
