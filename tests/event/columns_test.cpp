// SPDX-License-Identifier: BSL-1.0
#include "dew/event/columns.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "support/print.hpp"

using namespace dew;

namespace {
/// An event as columns that a test can spoil.
struct Event {
  std::vector<std::int64_t> id{11, 12, 13, 14, 15, 16, 17, 18}, volume{8, 8, 8, 13, 9, 8, 8, 7}, layer{2, 4, 6, 2, 2, 2, 8, 14};
  std::vector<double> x{32, 72, 116, 260, 60, -32, -172, 50}, y{1, 2, 3, 4, 5, -1, 4, 9}, z{10, 20, 30, 50, 600, -100, 0, -600};
  // 12, 11, 13 and 14 are of one particle, 15 and 16 of another, 18 is noise, 17 unknown
  std::vector<std::int64_t> truth_hit{12, 11, 13, 14, 15, 16, 18},
      truth_particle{(1LL << 60) + 1, (1LL << 60) + 1, (1LL << 60) + 1, (1LL << 60) + 1, 6, 6, 0};
  std::vector<std::int64_t> particle{77, (1LL << 60) + 1};
  std::vector<double> px{1, 3}, py{1, -4}, pz{1, 12};

  HitColumns hits() const { return {.hit_id = id, .x = x, .y = y, .z = z, .volume = volume, .layer = layer}; }
  TruthColumns truth() const { return {.hit_id = truth_hit, .particle_id = truth_particle}; }
  ParticleColumns particles() const { return {.particle_id = particle, .px = px, .py = py, .pz = pz}; }
  LabelledRecord labelled(DistinctLayers distinct = DistinctLayers::volume_and_layer) const {
    return make_labelled(pixel_detector(), hits(), truth(), particles(), distinct);
  }
};
template <class T> std::vector<T> values(Tensor const& t) {
  return std::vector<T>(t.const_data_ptr<T>(), t.const_data_ptr<T>() + t.numel());
}
using Integers = std::vector<std::int64_t>;
using Reals = std::vector<float>;
using Booleans = std::vector<bool>;

template <class Spoil> std::string message(Spoil&& spoil) {
  Event e;
  spoil(e);
  try {
    e.labelled();
    return "no error";
  } catch (Error const& error) { return (error.kind() == ErrorKind::input ? "input: " : "internal: ") + std::string(error.what()); }
}
}  // namespace

TEST_CASE("hits outside the geometry's volumes are left out, the others keep their order") {
  auto const record = make_hits(pixel_detector(), Event().hits());
  CHECK(values<std::int64_t>(record[key::hit_id]) == Integers{11, 12, 13, 15, 16, 17, 18});
  CHECK(values<std::int64_t>(record[key::layer]) == Integers{7, 8, 9, 11, 7, 10, 6});
  CHECK(values<float>(record[key::position].select(0, 3).contiguous()) == Reals{60, 5, 600});
  CHECK(at::equal(record[key::hit_features], node_features(record[key::position])));
  auto const full = make_hits(full_detector(), Event().hits());
  CHECK(values<std::int64_t>(full[key::layer]) == Integers{7, 8, 9, 24, 11, 7, 10, 6});
  auto const none = make_hits(Geometry("none", {{1, 1}}, {}), Event().hits());
  CHECK(none.rows(Hits{}) == 0);
}

TEST_CASE("truth: a particle's hits, pt and eta - noise is 0, unknown is -1 - particles are those with a selected hit, by id") {
  auto const record = Event().labelled();
  std::int64_t const big = (1LL << 60) + 1;
  CHECK(values<std::int64_t>(record[key::particle_id]) == Integers{big, big, big, 6, 6, -1, 0});
  CHECK(values<float>(record[key::pt]) == Reals{5, 5, 5, 0, 0, 0, 0});
  auto const eta = float(std::asinh(12. / 5));
  CHECK(values<float>(record[key::eta]) == Reals{eta, eta, eta, 0, 0, 0, 0});
  CHECK(values<std::int64_t>(record[key::truth_id]) == Integers{6, big});
  CHECK(values<float>(record[key::truth_pt]) == Reals{0, 5});  // particle 6 is not among the particles
  CHECK(values<float>(record[key::truth_eta]) == Reals{0, eta});
  CHECK(values<std::int64_t>(record[key::truth_hits]) == Integers{2, 3});  // hit 14 is not selected
  CHECK(values<bool>(record[key::truth_reconstructable]) == Booleans{false, true});
  CHECK(values<bool>(record[key::reconstructable]) == Booleans{true, true, true, false, false, false, false});
  auto const bare = make_hits(pixel_detector(), Event().hits());
  CHECK(at::equal(bare[key::hit_features], record[key::hit_features]));
  CHECK(at::equal(bare[key::hit_id], record[key::hit_id]));
}

TEST_CASE("charge and origin of particles, where they are given") {
  Event const e;
  auto const plain = make_labelled(pixel_detector(), e.hits(), e.truth(), e.particles());
  CHECK(values<float>(plain[key::truth_charge]) == Reals{0, 0});
  CHECK(values<std::int64_t>(plain[key::truth_primary]) == Integers{-1, -1});
  std::vector<double> charge{1, -1};
  Integers primary{1, 0};
  auto particles = e.particles();
  particles.q = charge, particles.primary = primary;
  auto const record = make_labelled(pixel_detector(), e.hits(), e.truth(), particles);
  CHECK(values<float>(record[key::truth_charge]) == Reals{0, -1});  // particle 6 is not among the particles
  CHECK(values<std::int64_t>(record[key::truth_primary]) == Integers{-1, 0});
  charge[1] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), e.truth(), particles),
                       "particles, row 1: column 'q': expected a finite number, got inf", Error);
  charge[1] = 1, primary[1] = 2;
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), e.truth(), particles),
                       "particles, row 1: column 'primary': expected 1, 0 or -1 (unknown), got 2", Error);
  primary.pop_back(), particles.primary = primary;
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), e.truth(), particles),
                       "particles: expected 2 values in column 'primary', got 1", Error);
}

TEST_CASE("weights of hits and particles, and the radius of production, where they are given") {
  Event const e;
  auto const plain = make_labelled(pixel_detector(), e.hits(), e.truth(), e.particles());
  CHECK(values<float>(plain[key::weight]) == Reals(7, 0));
  CHECK(values<float>(plain[key::truth_weight]) == Reals{0, 0});
  CHECK(values<float>(plain[key::truth_radius]) == Reals{-1, -1});
  // 12, 11, 13 and 14 are of the second particle, 15 and 16 of the first, 18 is noise, 17 unknown; 14 is not selected
  std::vector<double> const weight{0.5, 0.25, 0.125, 8, 2, 4, 16}, vx{9, 3}, vy{9, -4};
  auto truth = e.truth();
  truth.weight = weight;
  auto particles = e.particles();
  particles.vx = vx, particles.vy = vy;
  auto const record = make_labelled(pixel_detector(), e.hits(), truth, particles);
  CHECK(values<float>(record[key::weight]) == Reals{0.25, 0.5, 0.125, 2, 4, 0, 16});
  CHECK(values<float>(record[key::truth_weight]) == Reals{6, 0.875});
  CHECK(values<float>(record[key::truth_radius]) == Reals{-1, 5});  // particle 6 is not among the particles
  LabelledRecord const narrow = record;
  CHECK(at::equal(narrow[key::truth_hits], plain[key::truth_hits]));

  auto const short_column = std::span(weight).first(3);
  truth.weight = short_column;
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), truth, particles), "truth: expected 7 values in column 'weight', got 3",
                       Error);
  std::vector<double> const wrong{0.5, std::numeric_limits<double>::infinity(), 0, 0, 0, 0, 0};
  truth.weight = wrong;
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), truth, particles),
                       "truth, row 1: column 'weight': expected a finite number, got inf", Error);
  truth.weight = weight, particles.vy = {};
  CHECK_THROWS_WITH_AS(make_labelled(pixel_detector(), e.hits(), truth, particles), "particles: expected 2 values in column 'vy', got 0",
                       Error);
}

TEST_CASE("reconstructable counts distinct layers by volume and layer, or by the layer's number alone") {
  Event e;
  e.volume = {7, 8, 9, 13, 9, 8, 8, 7}, e.layer = {2, 2, 2, 2, 2, 2, 8, 14};  // the particle's hits are on layer 2 of three volumes
  CHECK(values<bool>(e.labelled()[key::truth_reconstructable]) == Booleans{false, true});
  CHECK(values<bool>(e.labelled(DistinctLayers::layer_id)[key::truth_reconstructable]) == Booleans{false, false});
}

TEST_CASE("an event without hits, and one without truth") {
  auto const empty = make_labelled(pixel_detector(), {}, {}, {});
  CHECK(empty.rows(Hits{}) == 0);
  CHECK(empty.rows(Particles{}) == 0);
  CHECK(shape_text(empty[key::hit_features]) == "[0, 6]");
  CHECK(make_hits(pixel_detector(), {}).rows(Hits{}) == 0);
  auto const unknown = make_labelled(pixel_detector(), Event().hits(), {}, {});
  CHECK(values<std::int64_t>(unknown[key::particle_id]) == Integers(7, -1));
  CHECK(unknown.rows(Particles{}) == 0);
}

TEST_CASE("columns that contradict themselves are refused, with table, row and column") {
  auto const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(message([](Event&) {}) == "no error");
  CHECK(message([](Event& e) { e.id[4] = 12; }) == "input: hits, row 4: column 'hit_id': duplicate 12, first at hits, row 1");
  CHECK(message([](Event& e) { e.id[3] = 11; }) ==
        "input: hits, row 3: column 'hit_id': duplicate 11, first at hits, row 0");  // outside the volumes too
  CHECK(message([&](Event& e) { e.y[2] = nan; }) == "input: hits, row 2: column 'y': expected a finite number, got nan");
  CHECK(message([](Event& e) { e.layer[1] = 3; }) ==
        "input: hits, row 1: column 'layer_id': volume 8 of the detector 'pixels' has no layer 3");
  CHECK(message([](Event& e) { e.layer[3] = 3; }) == "no error");  // a volume that is not looked at
  CHECK(message([](Event& e) { e.x[0] = e.y[0] = 0; }).starts_with("input: hits, row 0: column 'x': the hit lies on the beam line"));
  CHECK(message([](Event& e) { e.z.pop_back(); }) == "internal: hits: expected 8 values in column 'z', got 7");
  CHECK(message([](Event& e) { e.truth_hit[2] = 99; }) == "input: truth, row 2: column 'hit_id': the event has no hit 99");
  CHECK(message([](Event& e) { e.truth_hit[2] = 12; }) == "input: truth, row 2: column 'hit_id': duplicate 12");
  CHECK(message([](Event& e) { e.truth_particle[5] = -2; }) ==
        "input: truth, row 5: column 'particle_id': expected a particle, 0 (noise) or -1 (unknown), got -2");
  CHECK(message([](Event& e) { e.truth_particle.pop_back(); }) == "internal: truth: expected 7 values in column 'particle_id', got 6");
  CHECK(message([](Event& e) { e.particle[0] = e.particle[1]; }) ==
        fmt::format("input: particles, row 1: column 'particle_id': duplicate {}, first at particles, row 0", (1LL << 60) + 1));
  CHECK(message([&](Event& e) { e.pz[1] = nan; }) == "input: particles, row 1: column 'pz': expected a finite number, got nan");
}
