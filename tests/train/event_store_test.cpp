// SPDX-License-Identifier: BSL-1.0
#include "dew/train/event_store.hpp"

#include "support/temp_dir.hpp"
#include "support/toy.hpp"

using namespace dew;
using namespace dew::test;

namespace {
std::atomic<int> loads = 0;
struct CountingSource : ToySource {
  LabelledRecord labelled(std::int64_t id) const {
    ++loads;
    return ToySource::labelled(id);
  }
};
auto pipeline() { return Pipeline{ToyCut{}, ToyModel{}, ToyClusterer{}}; }
using P = decltype(pipeline());
using All = Keys<HitFeatures, Position, ParticleId, OriginalRow, Beta>;
/// Writes a table whose rows are not one behind the other, and notes by how many threads.
struct Sideways {
  static constexpr std::string_view name = "sideways";
  static inline std::atomic<int> most_threads = 0;
  using Reads = Keys<HitFeatures>;
  using Writes = Keys<HitFeatures>;
  RecordOf<Writes> operator()(RecordOf<Reads> const& event) const {
    most_threads = std::max(most_threads.load(), at::get_num_threads());
    auto const x = event[key::hit_features].select(1, 0);
    return RecordOf<Writes>{key::hit_features = at::stack({x, x}).t()};
  }
  bool operator==(Sideways const&) const = default;
};
}  // namespace

static_assert(EventStore<P, CountingSource>::fixed == 1);  // the cut; the model learns

TEST_CASE("an event behind frozen stages is computed once") {
  CountingSource const source;
  Trained const trained(pipeline(), source.labelled(1), 1);
  EventStore<P, CountingSource> const store(source);
  FrozenEvents<2, All, P, CountingSource> events(store, trained, 1 << 20);
  loads = 0;
  for (int round = 0; round < 3; ++round)
    for (auto id : {1, 2, 3}) {
      auto const want = trained.run<0, 2>(Trained<P>::start(source.ToySource::labelled(id)), Context{.event = id, .seed = 1});
      CHECK(at::equal(events.get(id, id % 3 + 1)[key::beta], want[key::beta].detach()));
    }
  CHECK(loads.load() == 3);
}

TEST_CASE("beyond the byte budget events are computed again") {
  CountingSource const source;
  Trained const trained(pipeline(), source.labelled(1), 1);
  EventStore<P, CountingSource> const store(source);
  FrozenEvents<2, All, P, CountingSource> events(store, trained, 0);
  loads = 0;
  for (int round = 0; round < 2; ++round) events.get(1);
  CHECK(loads.load() == 2);
}

TEST_CASE("graphs are cached by content and options, and a broken file is made again") {
  TempDir const folder;
  CountingSource source;
  Trained trained(pipeline(), source.labelled(1), 1);
  auto const files = [&] { return std::distance(std::filesystem::directory_iterator(folder.path()), {}); };
  auto const get = [&] {
    EventStore<P, CountingSource> const store(source, folder.path());
    return store.load<1>(trained, 1, store.options_text(trained, 1));
  };
  loads = 0;
  auto const first = get();
  CHECK(loads.load() == 1);
  auto const second = get();
  CHECK(loads.load() == 1);
  CHECK(at::equal(first[key::position], second[key::position]));
  CHECK(files() == 1);
  trained.pipeline.get<ToyCut>().options.x_max = 2.5;
  CHECK(get().rows<Hits>() < first.rows<Hits>());
  CHECK(files() == 2);
  trained.pipeline.get<ToyClusterer>().options.width = 9;  // not among the stages before
  get();
  CHECK(files() == 2);
  source.options.particles = 5;
  get();
  CHECK(files() == 3);
  for (auto const& file : std::filesystem::directory_iterator(folder.path())) std::filesystem::resize_file(file, 20);
  loads = 0;
  CHECK(get().rows<Hits>() > 0);
  CHECK(loads.load() == 1);
}

TEST_CASE("an event has one layout and is made by one thread, whether its graph is new or was kept") {
  TempDir const folder;
  ToySource const source;
  Trained const trained(Pipeline{Sideways{}, ToyModel{}}, source.labelled(1), 1);
  using Of = decltype(trained.pipeline);
  EventStore<Of, ToySource> const store(source, folder.path());
  auto const text = store.options_text(trained, 1);
  auto const built = store.load<1>(trained, 1, text), kept = store.load<1>(trained, 1, text);
  CHECK(built[key::hit_features].strides() == kept[key::hit_features].strides());

  auto const threads = at::get_num_threads();
  at::set_num_threads(3);
  Sideways::most_threads = 0;
  FrozenEvents<1, Keys<HitFeatures>, Of, ToySource> events(store, trained, 0);
  for (auto id : {2, 4, 3}) events.get(id, 3);
  at::set_num_threads(threads);
  CHECK(Sideways::most_threads.load() == 1);
}
