// SPDX-License-Identifier: BSL-1.0
// The laws of event sources, for every shipped source and for a researcher's own.
#pragma once
#include <exception>
#include <map>
#include <set>
#include <thread>

#include "dew/testing/laws.hpp"

namespace dew::testing {

/// How a source is put to the laws.
struct SourceLawOptions {
  std::size_t events = 3;  ///< how many of the source's events are looked at, the first ones
};

namespace detail {
template <class R>
std::string record_difference(R const& got, R const& expected) {
  auto const a = columns(got), b = columns(expected);
  return a.size() == b.size() ? bit_difference(a, b) : std::string("other keys are there");
}

/// What is wrong with the truth of an event, key by key as far as there are any; "" for nothing.
template <class R>
std::string wrong_truth(R const& event) {
  auto const all = [](Tensor const& t) { return t.all().template item<bool>(); };
  if constexpr (R::template has<ParticleId> && R::template has<TruthId>) {
    auto const id = event[key::particle_id], truth_id = event[key::truth_id];
    auto const p = truth_id.size(0);
    if (!all(id >= -1)) return "a particle id is below -1";
    if (p > 0 && !all(truth_id > 0)) return "a truth_id is not above 0";
    if (p > 1 && !all(truth_id.narrow(0, 1, p - 1) > truth_id.narrow(0, 0, p - 1))) return "truth_id is not ascending";
    auto const with_particle = (id > 0).nonzero().squeeze(1);
    if (with_particle.size(0) > 0 && p == 0) return "a hit has a particle, but there are no particles";
    auto const row = at::searchsorted(truth_id, id.index_select(0, with_particle)).clamp_max(std::max<std::int64_t>(p - 1, 0));
    if (row.numel() > 0 && !all(truth_id.index_select(0, row) == id.index_select(0, with_particle)))
      return "a hit's particle is not in truth_id";
    auto const counted = at::bincount(row, {}, p);
    if (!all(counted > 0)) return "a particle of truth_id has no hit";
    if constexpr (R::template has<TruthHits>)
      if (!at::equal(counted, event[key::truth_hits])) return "truth_hits is not the number of a particle's hits";
    auto const spread = [&](Tensor const& of_hits, Tensor const& of_particles) {  // each hit has its particle's value, 0 without one
      auto const expected = at::zeros_like(of_hits).index_put({with_particle}, of_particles.index_select(0, row));
      return at::equal(of_hits, expected);
    };
    if constexpr (R::template has<Pt> && R::template has<TruthPt>)
      if (!spread(event[key::pt], event[key::truth_pt])) return "a hit's pt is not that of its particle, or not 0 without one";
    if constexpr (R::template has<Eta> && R::template has<TruthEta>)
      if (!spread(event[key::eta], event[key::truth_eta])) return "a hit's eta is not that of its particle, or not 0 without one";
    if constexpr (R::template has<Reconstructable> && R::template has<TruthReconstructable>)
      if (!spread(event[key::reconstructable], event[key::truth_reconstructable]))
        return "a hit's reconstructable is not that of its particle, or not false without one";
  }
  return "";
}
}  // namespace detail

/// Puts an event source to the laws and returns a sentence for each one that it breaks:
///
/// - *ids*: ascending, no number twice, at least one; the same in every call;
/// - *hits*: a record on the CPU without truth; finite reals, no hit id twice;
/// - *labelled*: holds the keys of `hits` with the same bits, and the truth besides;
/// - *truth*: particle ids are −1 (unknown), 0 (noise) or rows of `truth_id`, which is ascending; numbers of hits, pt, η and
///   *reconstructable* of hits and particles agree;
/// - *determinism*: an event is the same in every call, in any order of calls, and from several threads at once; LibTorch's
///   global generator is left alone;
/// - *fingerprint*, where there is one: the same in every call, another for every event, another with the truth.
template <class S> requires EventSource<S>
std::vector<std::string> event_source_law_violations(S const& source, SourceLawOptions const& options = {}) {
  Violations violations("");
  std::vector<std::int64_t> ids;
  violations.law("ids", [&]() -> std::string {
    ids = source.ids();
    if (ids.empty()) return "there are none";
    if (ids != source.ids()) return "are others in a second call";
    for (std::size_t i = 1; i < ids.size(); ++i)
      if (ids[i] <= ids[i - 1]) return fmt::format("{} follows {}", ids[i], ids[i - 1]);
    return "";
  });
  if (ids.size() > options.events) ids.resize(options.events);
  auto const each = [&](auto const& what) {
    return [&ids, &what]() -> std::string {
      for (auto const id : ids)
        if (std::string const wrong = what(id); !wrong.empty()) return fmt::format("event {}: {}", id, wrong);
      return "";
    };
  };
  auto const hits_law = [&](std::int64_t id) -> std::string {
    auto const event = source.hits(id);
    event.check_tensors();
    using R = std::remove_const_t<decltype(event)>;
    static_assert(!R::template has<ParticleId>, "the bare event of a source holds no truth");
    if (!event.device().is_cpu()) return "is on " + event.device().str();
    if constexpr (R::template has<HitId>) {
      auto const sorted = std::get<0>(event[key::hit_id].sort());
      auto const n = sorted.size(0);
      if (n > 1 && (sorted.narrow(0, 1, n - 1) == sorted.narrow(0, 0, n - 1)).any().template item<bool>()) return "a hit id is there twice";
    }
    return detail::not_finite(detail::columns(event));
  };
  violations.law("hits", each(hits_law));
  auto const labelled_law = [&](std::int64_t id) -> std::string {
    auto const event = source.labelled(id);
    event.check_tensors();
    using Bare = decltype(source.hits(id));
    static_assert(std::convertible_to<decltype(source.labelled(id)), Bare>, "the labelled event of a source narrows to its bare event");
    if (auto const wrong = detail::record_difference(Bare(event), source.hits(id)); !wrong.empty())
      return wrong + " with and without truth";
    return detail::not_finite(detail::columns(event));
  };
  violations.law("labelled", each(labelled_law));
  auto const truth_law = [&](std::int64_t id) { return detail::wrong_truth(source.labelled(id)); };
  violations.law("truth", each(truth_law));
  violations.law("determinism", [&]() -> std::string {
    auto const generator = at::globalContext().defaultGenerator(at::kCPU);
    auto const before = generator.get_state();
    using R = decltype(source.labelled(0));
    std::map<std::int64_t, R> first;
    for (auto const id : ids) first.emplace(id, source.labelled(id));
    for (auto id = ids.rbegin(); id != ids.rend(); ++id)
      if (auto const wrong = detail::record_difference(source.labelled(*id), first.at(*id)); !wrong.empty())
        return fmt::format("event {}: {} in a second call", *id, wrong);
    if (!at::equal(generator.get_state(), before)) return "uses LibTorch's global generator";
    std::vector<std::string> found(3);
    std::vector<std::thread> workers;
    for (auto& wrong : found)
      workers.emplace_back([&] {
        try {
          for (auto const id : ids)
            if (auto const what = detail::record_difference(source.labelled(id), first.at(id)); !what.empty())
              wrong = fmt::format("event {}: {} in another thread", id, what);
        } catch (std::exception const& e) { wrong = std::string("in another thread: ") + e.what(); }
      });
    for (auto& worker : workers) worker.join();
    for (auto const& wrong : found)
      if (!wrong.empty()) return wrong;
    return "";
  });
  if constexpr (requires(std::int64_t id) { source.fingerprint(id, true); })
    violations.law("fingerprint", [&]() -> std::string {
      std::set<std::uint64_t> seen;
      for (auto const id : ids)
        for (bool const labelled : {false, true}) {
          auto const print = source.fingerprint(id, labelled);
          if (print != source.fingerprint(id, labelled)) return fmt::format("event {}: another in a second call", id);
          if (!seen.insert(print).second) return fmt::format("event {}: the same as another's", id);
        }
      return "";
    });
  return std::move(violations).take();
}

/// Runs a source through `event_source_law_violations` and fails the running doctest test case for each law that it breaks.
template <class S>
void check_event_source_laws(S const& source, SourceLawOptions const& options = {}) {
  check_no_violations(S::name, event_source_law_violations(source, options));
}

}  // namespace dew::testing
