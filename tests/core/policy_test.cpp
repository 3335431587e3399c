// SPDX-License-Identifier: BSL-1.0
#include "dew/core/policy.hpp"

#include "dew/event/schema.hpp"

using namespace dew;

namespace {
struct Plain {
  static constexpr std::string_view name = "plain";
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::beta].sum(); }
  bool operator==(Plain const&) const = default;
};
struct WithContext {
  static constexpr std::string_view name = "with_context";
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const&, Context const& context) const { return at::rand({}, context.generator()); }
};
struct NoName {
  using Reads = Keys<Beta>;
  Tensor operator()(RecordOf<Reads> const& event) const { return event[key::beta].sum(); }
};
struct NoCall {
  static constexpr std::string_view name = "no_call";
  using Reads = Keys<Beta>;
};
}  // namespace

static_assert(Loss<Plain> && Loss<WithContext> && !Loss<NoName> && !Loss<NoCall> && !Metric<Plain>);
static_assert(Loss<Named<"other", Plain>> && Named<"other", Plain>::name == "other");
static_assert(std::same_as<WritesOf<Plain>, Keys<>> && std::same_as<MayReadOf<Plain>, Keys<>>);
static_assert(std::same_as<UnionOf<Keys<Beta, Pt>, Keys<Pt, Eta>>, Keys<Beta, Pt, Eta>>);
static_assert(std::same_as<IntersectionOf<Keys<Beta, Pt>, Keys<Pt, Eta>>, Keys<Pt>>);
static_assert(std::same_as<DifferenceOf<Keys<Beta, Pt>, Keys<Pt, Eta>>, Keys<Beta>>);
static_assert(contains_all<Keys<Beta, Pt>, Keys<Pt>> && !contains_all<Keys<Beta>, Keys<Pt>>);

TEST_CASE("a policy is called the way it wants to be") {
  auto const event = Record{key::beta = at::ones({4})};
  CHECK(call(Plain{}, event, Context{}).item<double>() == 4);
  Context const context{.epoch = 2, .event = 7, .seed = 3};
  CHECK(call(WithContext{}, event, context).item<double>() == call(WithContext{}, event, context).item<double>());
}

TEST_CASE("a named policy compares and copies like the policy") {
  auto const a = named<"x">(Plain{});
  auto const b = a;
  CHECK(a == b);
}

TEST_CASE("a context's numbers depend on seed, epoch, event and stream, and on nothing else") {
  auto const draw = [](Context const& c, std::uint64_t stream = 0) { return at::rand({1}, c.generator(stream)).item<double>(); };
  Context const base{.epoch = 1, .event = 2, .seed = 3};
  CHECK(draw(base) == draw(base));
  CHECK(draw(base) != draw({.epoch = 2, .event = 2, .seed = 3}));
  CHECK(draw(base) != draw({.epoch = 1, .event = 3, .seed = 3}));
  CHECK(draw(base) != draw({.epoch = 1, .event = 2, .seed = 4}));
  CHECK(draw(base) != draw(base, 1));
}

TEST_CASE("the global generator is seeded for a scope and restored after") {
  at::manual_seed(5);
  auto const undisturbed = at::rand({2});
  at::manual_seed(5);
  double inside = 0;
  {
    GlobalSeed seeded(11);
    inside = at::rand({1}).item<double>();
  }
  CHECK(at::equal(at::rand({2}), undisturbed));
  GlobalSeed again(11);
  CHECK(at::rand({1}).item<double>() == inside);
}

TEST_CASE("widths tell what is there and how wide") {
  auto const w = Widths::of(
      Record{key::hit_features = at::rand({3, 6}), key::layer = at::zeros({3}, at::kLong), key::edge_index = at::zeros({2, 9}, at::kLong)});
  CHECK(w[key::hit_features] == 6);
  CHECK(w[key::layer] == 1);
  CHECK(w[key::edge_index] == 2);
  CHECK(!w.has(key::beta));
  CHECK_THROWS_WITH_AS(w[key::beta], "the width of 'beta' is asked for, but nothing before this stage writes that key", Error);
  CHECK(Widths(w.by_name()) == w);
}

TEST_CASE("errors say whose mistake it was") {
  CHECK(Error(ErrorKind::usage, "x").exit_status() == 2);
  CHECK(Error(ErrorKind::input, "x").exit_status() == 1);
  CHECK_THROWS_WITH_AS(check(false, ErrorKind::input, "{} of {}", 1, 2), "1 of 2", Error);
  CHECK_NOTHROW(check(true, "never {}", 1));
}
