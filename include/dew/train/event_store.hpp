// SPDX-License-Identifier: BSL-1.0
// Events behind the frozen stages: computed once, kept in memory within a budget, graphs kept on disk.
#pragma once
#include <array>
#include <filesystem>
#include <functional>
#include <future>
#include <unordered_map>

#include "dew/core/safetensors.hpp"
#include "dew/event/loader.hpp"
#include "dew/pipeline/trained.hpp"

namespace dew {

namespace detail {
template <class S> constexpr bool cacheable() {
  if constexpr (SaysWhetherCacheable<S>) return S::cacheable;
  else return !CalledWithContext<S, InputOf<S>>;  // what takes a context may draw numbers
}
/// How many stages there are before the first that learns, draws numbers or is `cacheable = false`: what the graph cache holds.
template <class... S> constexpr std::size_t fixed_stages(Pipeline<S...> const*) {
  std::size_t n = 0;
  bool going = true;
  ((going = going && !Learns<S> && cacheable<S>(), n += going), ...);
  return n;
}
/// How many stages before `first`, where a fit begins, can be computed once an event: all, but for those behind the last earlier model from a stage
/// on that says `cacheable = false`. Such a stage serves the next model: it runs as in training for that one's fit, and as ever for later ones.
template <class... S> constexpr std::size_t repeatable_stages(Pipeline<S...> const*, std::size_t first) {
  constexpr std::array learns{Learns<S>...}, fleeting{says_not_cacheable<S>()...};
  std::size_t n = first;
  for (std::size_t i = first; i > 0 && !learns[i - 1]; --i)
    if (fleeting[i - 1]) n = i - 1;
  return n;
}
/// What stages [from, size) and a further set of keys need of a record.
template <class P, std::size_t from, class More> constexpr auto needed_from() {
  return []<std::size_t... i>(std::index_sequence<i...>) {
    return UnionOf<More, Keys<OriginalRow>,
                   UnionOf<ReadsOf<typename P::template Stage<from + i>>, MayReadOf<typename P::template Stage<from + i>>, decltype([] {
                             using S = typename P::template Stage<from + i>;
                             if constexpr (BringsTruth<S>) return ReadsOf<TruthOf<S>>{};
                             else return Keys<>{};
                           }())>...>{};
  }(std::make_index_sequence<P::size - from>{});
}
}  // namespace detail

/// A hash of text as 16 hexadecimal digits: the name of a cached graph.
inline std::string hash_name(std::string_view text) {
  return fmt::format("{:016x}{:016x}", mix_seed(0x9e37, text), mix_seed(0xc2b2, text));
}

/// Events of a source behind its pipeline's fixed stages (graph builders and transforms: everything before the first stage that learns).
/// With a cache folder the graphs are kept there as safetensors, named after the event's content and the options of source and stages; a broken
/// cache file is computed again. What is read from there stays in the file until it is looked at (`map_record`). Never writes beside the events.
template <class P, class Source>
class EventStore {
 public:
  static constexpr std::size_t fixed = detail::fixed_stages(static_cast<P const*>(nullptr));
  using Labelled = decltype(Trained<P>::start(std::declval<Source const&>().labelled(0)));
  template <std::size_t n> using Behind =
      decltype(std::declval<Trained<P> const&>().template run<0, n>(std::declval<Labelled const&>(), Context{}));

  explicit EventStore(Source const& source, std::filesystem::path cache_folder = {}) : source_(source), folder_(std::move(cache_folder)) {}

  /// What the options of source and first n stages say, as text: with an event's content it names the cached graph. A stage that holds more than
  /// options says it in `std::string cache_text() const`.
  std::string options_text(Trained<P> const& trained, std::size_t n) const {
    auto source = source_;
    auto pipeline = trained.pipeline;
    OptionSet source_options, options;
    add_options(source_options, std::string(Source::name), source);
    add_options(options, pipeline);
    auto text = fmt::format("dew {}\n", version);
    for (auto const& e : source_options.entries())
      if (!e.path.ends_with(".events")) text += e.path + "=" + e.get() + "\n";
    for (std::size_t i = 0; i < n; ++i) {
      text += std::string(P::names[i]) + "\n";
      for (auto const& e : options.entries())
        if (e.path.starts_with(std::string(P::names[i]) + ".")) text += e.path + "=" + e.get() + "\n";
    }
    std::size_t i = 0;
    pipeline.for_each([&](auto const& stage) {
      if constexpr (requires { stage.cache_text(); }) {
        if (i < n) text += stage.cache_text() + "\n";
      }
      ++i;
    });
    return text;
  }

  /// One event with its truth behind the first n ≤ `fixed` stages, on the CPU; `text` is `options_text(trained, n)`. Safe to call from several threads.
  template <std::size_t n>
  Behind<n> load(Trained<P> const& trained, std::int64_t id, std::string const& text) const {
    static_assert(n <= fixed);
    at::NoGradGuard no_grad;
    auto const file =
        folder_.empty() || n == 0 || !has_fingerprint ? std::filesystem::path() : folder_ / (cache_name(id, text) + ".safetensors");
    if (!file.empty() && std::filesystem::exists(file)) {
      try {
        return map_record<Behind<n>>(file);
      } catch (Error const&) {}  // a broken file is made again
    }
    Context const context{.training = false, .device = at::kCPU, .epoch = 0, .event = id, .seed = trained.seed()};
    auto record = trained.template run<0, n>(Trained<P>::start(source_.labelled(id)), context);
    if (!file.empty()) {
      std::filesystem::create_directories(folder_);
      save_record(file, record, {});
      return map_record<Behind<n>>(file);  // strides and alignment decide the last bits of sums: they are those of later reads
    }
    return record;
  }

  Source const& source() const { return source_; }

 private:
  static constexpr bool has_fingerprint = requires(Source const& s) { s.fingerprint(0, true); };
  std::string cache_name(std::int64_t id, std::string const& text) const {
    if constexpr (has_fingerprint) return hash_name(text + fmt::format("{:016x}", source_.fingerprint(id, true)));
    else return hash_name(text + fmt::format("event {}", id));
  }

  Source source_;
  std::filesystem::path folder_;
};

/// What a fit, a scan or a validation sees again and again: events behind the first n stages of a trained pipeline (frozen), narrowed to `Set`,
/// computed once each and kept on the CPU up to a number of bytes; beyond that they are computed again. The next event is prepared by a second thread.
template <std::size_t n, class Set, class P, class Source>
class FrozenEvents {
  static constexpr std::size_t base = std::min(n, EventStore<P, Source>::fixed);
  using Base = typename EventStore<P, Source>::template Behind<base>;
  static auto behind(Trained<P> const& trained, Base const& event, std::int64_t id) {
    at::NoGradGuard no_grad;
    Context const context{.training = false, .device = trained.device(), .epoch = 0, .event = id, .seed = trained.seed()};
    if constexpr (n == base) return event.template only<Set>();
    else return trained.template run<base, n>(event.to(trained.device()), context).template only<Set>().to(at::Device(at::kCPU));
  }

 public:
  using Kept = decltype(behind(std::declval<Trained<P> const&>(), std::declval<Base const&>(), 0));

  FrozenEvents(EventStore<P, Source> const& store, Trained<P> const& trained, std::size_t budget_bytes)
      : store_(store), trained_(trained), text_(store.options_text(trained, base)), budget_(budget_bytes) {}
  ~FrozenEvents() {
    if (ahead_.valid()) ahead_.wait();
  }

  /// The event `id`; `next` (if ≥ 0) is prepared meanwhile when it is not kept yet.
  Kept get(std::int64_t id, std::int64_t next = -1) {
    auto at = kept_.find(id);
    if (at == kept_.end()) {
      prepare(id);  // always there, never by this thread: a stage's last bits may depend on the number of threads
      ahead_id_ = -1;
      auto record = behind(trained_, ahead_.get(), id);
      prepare(next);
      auto const bytes = record.bytes();
      if (held_ + bytes > budget_) return record;
      held_ += bytes;
      at = kept_.emplace(id, std::move(record)).first;
    } else prepare(next);
    return at->second;
  }

 private:
  void prepare(std::int64_t id) {
    if (id < 0 || kept_.contains(id) || (ahead_.valid() && ahead_id_ == id)) return;
    if (ahead_.valid()) ahead_.wait();
    ahead_id_ = id;
    ahead_ = std::async(std::launch::async, [this, id] {
      at::NoGradGuard no_grad;
      detail::become_worker();
      return store_.template load<base>(trained_, id, text_);
    });
  }
  EventStore<P, Source> const& store_;
  Trained<P> const& trained_;
  std::string text_;
  std::size_t budget_, held_ = 0;
  std::unordered_map<std::int64_t, Kept> kept_;
  std::future<Base> ahead_;
  std::int64_t ahead_id_ = -1;
};

}  // namespace dew
