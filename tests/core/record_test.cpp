// SPDX-License-Identifier: BSL-1.0
#include "dew/core/record.hpp"

#include "dew/event/schema.hpp"

using namespace dew;

namespace {
struct Charge : Key<"charge", Hits, Kind::real, Shape<>, "e", "collected charge"> {};
struct ParticleRow : Key<"particle_row", Hits, Kind::integer, Shape<>, "row", "row of the hit's particle"> {
  using PointsInto = Particles;
};
struct EdgePair : Key<"edge_pair", Cells, Kind::integer, Shape<2>, "row", "two edges"> {
  using PointsInto = Edges;
  static constexpr bool drops_row = true;
};

Tensor integers(std::vector<std::int64_t> const& values) { return at::tensor(values, at::kLong); }
Tensor mask(std::vector<std::int64_t> const& values) { return integers(values).to(at::kBool); }
std::string thrown(auto&& f) {
  try {
    f();
  } catch (Error const& e) { return e.what(); }
  return "";
}
auto small() {
  return Record{key::position = at::arange(15, at::kFloat).reshape({5, 3}),
                key::edge_index = integers({0, 1, 2, 3, 1, 2, 3, 4}).reshape({2, 4}), key::edge_score = at::arange(4, at::kFloat)};
}
}  // namespace

TEST_CASE("a record gives what it was given, in any order of bindings") {
  auto const p = at::rand({5, 3}), b = at::rand({5});
  Record<Beta, Position> const r{key::position = p, key::beta = b};
  CHECK(r[key::position].is_same(p));
  CHECK(r[Beta{}].is_same(b));
  CHECK(Record{key::beta = b}[key::beta].is_same(b));  // by value from a temporary
}

TEST_CASE("a user's key is one line") {
  auto const r = small().with(set<Charge>(at::ones({5})));
  CHECK(r[Charge{}].sum().item<double>() == 5);
  CHECK(r.table().find("collected charge") != std::string::npos);
}

TEST_CASE("with replaces and adds - merge lets the other record win") {
  auto const r = small();
  auto const q = r.with(key::edge_score = at::zeros({4}), key::beta = at::ones({5}));
  CHECK(q[key::edge_score].sum().item<double>() == 0);
  CHECK(r[key::edge_score].sum().item<double>() == 6);  // the first record is as it was
  auto const m = q.merge(r);
  CHECK(m[key::edge_score].sum().item<double>() == 6);
  CHECK(m[key::beta].sum().item<double>() == 5);
  static_assert(std::same_as<decltype(m)::KeySet, Keys<Position, EdgeIndex, EdgeScore, Beta>>);
}

TEST_CASE("a wide record narrows, and find asks for what may be missing") {
  auto const r = small().with(key::beta = at::rand({5}));
  Record<Beta> const narrow = r;
  CHECK(narrow[key::beta].is_same(r[key::beta]));
  RecordOf<Keys<Position>, Keys<Beta, Latent>> const may = r;
  REQUIRE(may.find(key::beta) != nullptr);
  CHECK(may.find(key::beta)->is_same(r[key::beta]));
  CHECK(may.find(key::latent) == nullptr);
  CHECK(narrow.find(key::latent) == nullptr);
  static_assert(std::convertible_to<decltype(r), Record<Beta>>);
  static_assert(!std::convertible_to<Record<Beta>, Record<Position>>);
}

TEST_CASE("only keeps the keys that are there") {
  auto const r = small().only<Keys<Beta, EdgeScore>>();
  static_assert(std::same_as<std::remove_cvref_t<decltype(r)>::KeySet, Keys<EdgeScore>>);
  CHECK(r[key::edge_score].size(0) == 4);
}

TEST_CASE("select keeps all keys of a domain together and renumbers edges") {
  auto const r = small().with(key::beta = at::arange(5, at::kFloat)).select(mask({1, 0, 1, 1, 1}), Hits{});
  CHECK(at::equal(r[key::beta], at::tensor({0.F, 2.F, 3.F, 4.F})));
  CHECK(r[key::position].size(0) == 4);
  CHECK(at::equal(r[key::edge_index], integers({1, 2, 2, 3}).reshape({2, 2})));  // 0-1 and 1-2 pointed at the dropped hit
  CHECK(at::equal(r[key::edge_score], at::tensor({2.F, 3.F})));
}

TEST_CASE("select of edges leaves hits alone") {
  auto const r = small().select(mask({0, 1, 0, 1}), Edges{});
  CHECK(r.rows<Hits>() == 5);
  CHECK(at::equal(r[key::edge_index], integers({1, 3, 2, 4}).reshape({2, 2})));
}

TEST_CASE("a hit's dropped particle becomes -1, and what was -1 stays") {
  auto const r =
      Record{key::truth_id = integers({7, 8, 9}), set<ParticleRow>(integers({0, 1, 2, -1, 1}))}.select(mask({1, 0, 1}), Particles{});
  CHECK(at::equal(r[ParticleRow{}], integers({0, -1, 1, -1, -1})));
}

TEST_CASE("dropping goes on: a dropped hit drops its edge, which drops what points at the edge") {
  auto const r = small().with(set<EdgePair>(integers({0, 1, 2, 3, 1, 2}).reshape({3, 2}))).select(mask({0, 1, 1, 1, 1}), Hits{});
  CHECK(r.rows<Edges>() == 3);
  CHECK(at::equal(r[EdgePair{}], integers({1, 2, 0, 1}).reshape({2, 2})));
}

TEST_CASE("select of everything and of nothing") {
  auto const r = small();
  CHECK(at::equal(r.select(mask({1, 1, 1, 1, 1}), Hits{})[key::edge_index], r[key::edge_index]));
  auto const none = r.select(mask({0, 0, 0, 0, 0}), Hits{});
  CHECK(none.rows<Hits>() == 0);
  CHECK(none.rows<Edges>() == 0);
  CHECK(none.select(at::zeros({0}, at::kBool), Hits{}).rows<Edges>() == 0);
}

TEST_CASE("select agrees with a loop on random graphs") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    at::manual_seed(seed);
    auto const n = 12, e = 40;
    auto const r = Record{key::beta = at::rand({n}), key::edge_index = at::randint(n, {2, e}, at::kLong), key::edge_score = at::rand({e})};
    auto const keep = at::rand({n}) < 0.6;
    auto const s = r.select(keep, Hits{});
    std::vector<std::int64_t> number(n, -1), want;
    std::int64_t next = 0;
    for (int i = 0; i < n; ++i)
      if (keep[i].item<bool>()) number[std::size_t(i)] = next++;
    std::vector<float> scores;
    for (int i = 0; i < e; ++i) {
      auto const a = number[std::size_t(r[key::edge_index][0][i].item<std::int64_t>())],
                 b = number[std::size_t(r[key::edge_index][1][i].item<std::int64_t>())];
      if (a >= 0 && b >= 0) want.push_back(a), want.push_back(b), scores.push_back(r[key::edge_score][i].item<float>());
    }
    CHECK(at::equal(s[key::edge_index].t().contiguous().reshape(-1), integers(want)));
    CHECK(at::equal(s[key::edge_score], at::tensor(scores)));
  }
}

TEST_CASE("what does not fit is refused by name where it enters") {
  auto const r = small();
  CHECK(thrown([&] { r.with(key::beta = at::rand({4})); }).find("beta: expected 5 rows") != std::string::npos);
  CHECK(thrown([&] { r.with(key::latent = at::rand({5})); }) == "latent: expected shape [rows, any], got [5]");
  CHECK(thrown([&] { Record{key::position = at::rand({5, 2})}; }) == "position: expected shape [rows, 3], got [5, 2]");
  CHECK(thrown([&] { Record{key::edge_index = integers({1, 2, 3}).reshape({3, 1})}; }).find("edge_index: expected shape [2, rows]") !=
        std::string::npos);
  CHECK(thrown([&] { Record{key::layer = at::rand({5})}; }) == "layer: expected 64-bit integers, got dtype Float");
  CHECK(thrown([&] { Record{key::layer = at::zeros({5}, at::kInt)}; }) == "layer: expected 64-bit integers, got dtype Int");
  CHECK(thrown([&] { Record{key::edge_truth = at::rand({5})}; }) == "edge_truth: expected booleans, got dtype Float");
  CHECK(thrown([&] { Record{key::beta = at::ones({5}, at::kLong)}; }) == "beta: expected float or double, got dtype Long");
  CHECK(thrown([&] { r.with(key::beta = at::rand({5}, at::kDouble)); }).find("all reals of a record share one dtype") != std::string::npos);
  CHECK(thrown([&] { r.select(mask({1, 1}), Hits{}); }).find("expected a mask of 5 rows") != std::string::npos);
  CHECK(thrown([&] { r.select(at::rand({5}), Hits{}); }).find("expected a boolean mask") != std::string::npos);
}

TEST_CASE("a tensor on another device is refused") {
  auto const r = small();
  CHECK(thrown([&] { r.with(key::beta = at::rand({5}, at::TensorOptions(at::kMeta))); }).find("but the record's position is on cpu") !=
        std::string::npos);
}

TEST_CASE("reals convert together") {
  auto const r = small().to(at::kDouble);
  CHECK((r[key::position].scalar_type() == at::kDouble));
  CHECK((r[key::edge_score].scalar_type() == at::kDouble));
  CHECK((r[key::edge_index].scalar_type() == at::kLong));
  CHECK(thrown([&] { small().to(at::kHalf); }).find("float or double") != std::string::npos);
}

TEST_CASE("collate shifts what points and says which event a hit came from") {
  auto const r = small();
  auto const b = collate(std::vector{r, r, r});
  CHECK(b.rows<Hits>() == 15);
  CHECK(at::equal(b[key::edge_index].narrow(1, 4, 4), r[key::edge_index] + 5));
  CHECK(at::equal(b[key::event_index].bincount(), integers({5, 5, 5})));
  CHECK(thrown([&] { collate(std::vector<Record<Position>>{}); }).find("at least one event") != std::string::npos);
}

TEST_CASE("the table has a line a key") {
  auto const text = fmt::format("{}", small());
  for (auto word : {"position", "hits", "[5, 3]", "mm", "edge_index", "edges", "[2, 4]", "integer"})
    CHECK(text.find(word) != std::string::npos);
}

TEST_CASE("ATen's pool is used by loops in headers") {
  auto const before = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<int> chunks = 0;
  at::parallel_for(0, 1000, 1, [&](std::int64_t, std::int64_t) { ++chunks; });
  CHECK(chunks.load() == 2);  // one without -fopenmp, which dew::dew carries
  at::set_num_threads(before);
}
