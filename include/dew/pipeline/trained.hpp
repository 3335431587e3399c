// SPDX-License-Identifier: BSL-1.0
// A pipeline with its modules: what runs, is saved and is loaded.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "dew/core/safetensors.hpp"
#include "dew/core/torch_nn.hpp"
#include "dew/core/traced_range.hpp"
#include "dew/pipeline/pipeline.hpp"
#include "dew/version.hpp"

namespace dew {

/// The module slot of a stage that learns nothing.
struct Nothing {};

namespace detail {
template <class S> struct ModuleSlot { using type = Nothing; };
template <Learns S> struct ModuleSlot<S> { using type = std::shared_ptr<typename S::Module>; };

inline std::map<std::string, Tensor> named_tensors(torch::nn::Module const& module) {
  std::map<std::string, Tensor> out;
  for (auto const& p : module.named_parameters()) out.emplace(p.key(), p.value());
  for (auto const& b : module.named_buffers()) out.emplace(b.key(), b.value());
  return out;
}

/// Copies `from` into `into` by name. All names and shapes must agree; every difference is listed and nothing is copied otherwise.
inline void copy_by_name(std::map<std::string, Tensor> const& from, std::map<std::string, Tensor> const& into, std::string const& what) {
  std::vector<std::string> missing, unexpected, shapes;
  for (auto const& [name, t] : into) {
    auto const at = from.find(name);
    if (at == from.end()) missing.push_back(name);
    else if (at->second.sizes() != t.sizes())
      shapes.push_back(fmt::format("{} {} instead of {}", name, shape_text(at->second), shape_text(t)));
  }
  for (auto const& [name, t] : from)
    if (!into.contains(name)) unexpected.push_back(name);
  check(missing.empty() && unexpected.empty() && shapes.empty(), ErrorKind::input,
        "{}: the weights do not fit this pipeline; missing: {}; unexpected: {}; other shape: {}", what,
        missing.empty() ? "none" : fmt::format("{}", fmt::join(missing, ", ")),
        unexpected.empty() ? "none" : fmt::format("{}", fmt::join(unexpected, ", ")),
        shapes.empty() ? "none" : fmt::format("{}", fmt::join(shapes, ", ")));
  at::NoGradGuard no_grad;
  for (auto const& [name, t] : into) Tensor(t).copy_(from.at(name));
}
}  // namespace detail

template <class P> class Trained;

/// A pipeline and what it has learned: stages with their (tuned) options, a module for each stage that learns, and the widths from which the
/// modules can be made again. Move-only; `clone()` makes an independent copy.
///
///     auto finder = load(pipeline, "run");            // a run folder or a .safetensors file
///     auto labels = finder.labels(hits);              // [N] the track of each hit, -1 for none
template <class... S>
class Trained<Pipeline<S...>> {
 public:
  using PipelineType = Pipeline<S...>;
  static constexpr std::size_t size = sizeof...(S);
  template <std::size_t i> using Stage = typename PipelineType::template Stage<i>;

  PipelineType pipeline;  ///< its options may be tuned after training (a scan does); the widths of modules are fixed

  /// Fresh modules for `pipeline`. `sample` is any event as the source gives it: it tells which keys there are and how wide they are.
  /// Initial weights depend on (seed, stage name) alone.
  template <class R>
  Trained(PipelineType p, R const& sample, std::uint64_t seed, at::Device device = at::kCPU)
      : pipeline(std::move(p)), seed_(seed), device_(device) {
    require_keys<typename R::KeySet>();
    at::NoGradGuard no_grad;
    auto const few = few_hits(sample);
    make_from<0>(start(few.to(device)), context(few.device()));
  }
  /// Fresh modules from widths, as a checkpoint holds them.
  Trained(PipelineType p, std::array<Widths, sizeof...(S)> widths, std::uint64_t seed)
      : pipeline(std::move(p)), widths_(std::move(widths)), seed_(seed) {
    make_all(std::make_index_sequence<size>{});
  }
  Trained(Trained&&) = default;
  Trained& operator=(Trained&&) = default;

  /// All stages on one event, in evaluation mode, without gradients. The result holds every key; hits that a stage dropped are not in it.
  template <class R>
  auto operator()(R const& hits, Context c = {}) const {
    at::NoGradGuard no_grad;
    c.device = device_;
    c.seed = seed_;
    return run<0, size>(start(hits.to(device_)), c);
  }

  /// The track of each hit of `hits` [N], −1 for none and for hits that a stage dropped. Needs a clusterer in the pipeline.
  template <class R>
  Tensor labels(R const& hits) const {
    auto const out = (*this)(hits);
    auto const n = hits.template rows<Hits>();
    if constexpr (decltype(out)::template has<OriginalRow>) {
      auto all = at::full({n}, -1, out[Label{}].options());
      return all.index_copy_(0, out[OriginalRow{}], out[Label{}]).to(hits.device());
    } else return out[Label{}].to(hits.device());
  }

  /// Stages [from, to) on a record; gradients and module modes are the caller's affair.
  template <std::size_t from, std::size_t to, class R>
  auto run(R const& record, Context const& c) const {
    if constexpr (from == to) return record;
    else return run<from + 1, to>(step<from>(record, c), c);
  }

  /// One stage on a record: what it writes merged, or the rows that it keeps; then the truth that it brings along, where the truth is known.
  template <std::size_t i, class R>
  auto step(R const& record, Context c) const {
    using P = Stage<i>;
    constexpr bool labelled = R::template has<ParticleId>;
    c.seed = mix_seed(c.seed, P::name);
    TracedRange const range(P::name);
    if constexpr (LabelledOnly<P> && !labelled) return record;
    else {
      static_assert(detail::DemandReads<typename R::KeySet, P, ReadsOf<P>>::ok);
      auto const& stage = std::get<i>(pipeline.stages);
      if constexpr (DropsRows<P>) return record.select(call_stage<i>(record, c), typename P::Selects{});
      else {
        auto const written = call_stage<i>(record, c);
        if constexpr (!std::convertible_to<decltype(written), RecordOf<WritesOf<P>>>) {
          this_stage_does_not_return_every_key_that_its_Writes_promises<P, std::remove_cvref_t<decltype(written)>> sentence;
          (void)sentence;
        }
        auto merged = record.merge(RecordOf<WritesOf<P>>(written));
        if constexpr (BringsTruth<P> && labelled) return merged.merge(call(stage.truth(), merged, c));
        else return merged;
      }
    }
  }

  /// The first 64 hits of an event: enough to see, in a moment, what stages write and metrics give. An event without hits as it is.
  template <class R>
  static R few_hits(R const& event) {
    if constexpr (requires { event.template rows<Hits>(); })
      return event.select(at::arange(event.template rows<Hits>(), at::TensorOptions(event.device()).dtype(at::kLong)) < 64, Hits{});
    else return event;
  }

  /// Adds `OriginalRow` when a stage of this pipeline can drop hits.
  template <class R>
  static auto start(R const& record) {
    if constexpr ((drops_hits<S>() || ...) && !R::template has<OriginalRow>)
      return record.with(key::original_row = at::arange(record.template rows<Hits>(), at::TensorOptions(record.device()).dtype(at::kLong)));
    else return record;
  }

  /// The module of stage i.
  template <std::size_t i> auto& module() const { return *std::get<i>(modules_); }

  /// Calls `f(integral_constant<i>, module)` for each stage that learns.
  template <class F> void for_each_module(F&& f) const {
    [&]<std::size_t... i>(std::index_sequence<i...>) { (visit_module<i>(f), ...); }(std::make_index_sequence<size>{});
  }

  void to(at::Device device) {
    device_ = device;
    for_each_module([&](auto, auto& module) { module.to(device); });
  }
  at::Device device() const { return device_; }
  std::uint64_t seed() const { return seed_; }
  std::array<Widths, sizeof...(S)> const& widths() const { return widths_; }

  /// Parameters and buffers as `stage.parameter`.
  std::map<std::string, Tensor> tensors() const {
    std::map<std::string, Tensor> out;
    for_each_module([&]<std::size_t i>(std::integral_constant<std::size_t, i>, auto& module) {
      for (auto const& [name, t] : detail::named_tensors(module)) out.emplace(fmt::format("{}.{}", Stage<i>::name, name), t);
    });
    return out;
  }
  /// Copies tensors by name; every missing, unexpected or wrongly shaped one is listed in the error, and then nothing is copied.
  void load_tensors(std::map<std::string, Tensor> const& from, std::string const& what) { detail::copy_by_name(from, tensors(), what); }

  /// An independent copy: fresh modules from the widths, parameters and buffers copied by name.
  Trained clone() const {
    Trained out(pipeline, widths_, seed_);
    out.to(device_);
    out.load_tensors(tensors(), "clone");
    return out;
  }

  /// What a checkpoint says beside its tensors: schema, stages, options, widths, seed. Text only; no path, time or host.
  std::map<std::string, std::string> metadata() const {
    auto copy = pipeline;
    OptionSet set;
    add_options(set, copy);
    nlohmann::json options = nlohmann::json::object(), widths = nlohmann::json::object(), stages = nlohmann::json::array();
    for (auto const& e : set.entries()) options[e.path] = e.get();
    for (std::size_t i = 0; i < size; ++i) {
      stages.push_back(std::string(PipelineType::names[i]));
      widths[std::string(PipelineType::names[i])] = widths_[i].by_name();
    }
    return {{"dew.schema", "1"},           {"dew.version", std::string(version)},
            {"dew.stages", stages.dump()}, {"dew.options", options.dump()},
            {"dew.widths", widths.dump()}, {"dew.seed", std::to_string(seed_)}};
  }

  /// Writes weights, options and widths: written aside, flushed, renamed.
  void save(std::filesystem::path const& file) const {
    SafeTensors out;
    out.metadata = metadata();
    for (auto const& [name, t] : tensors()) out.tensors[name] = t.detach().to(at::kCPU).contiguous();
    write_safetensors(file, out);
  }

 private:
  template <class P> static constexpr bool drops_hits() {
    if constexpr (DropsRows<P>) return std::same_as<typename P::Selects, Hits>;
    else return false;
  }
  template <std::size_t i, class F> void visit_module(F&& f) const {
    if constexpr (Learns<Stage<i>>) f(std::integral_constant<std::size_t, i>{}, *std::get<i>(modules_));
  }
  template <std::size_t i, class R> auto call_stage(R const& record, Context const& c) const {
    using P = Stage<i>;
    auto const& stage = std::get<i>(pipeline.stages);
    if constexpr (Learns<P>) {
      InputOf<P> const input = record;
      return stage(input, *std::get<i>(modules_), c);
    } else return call(stage, record, c);
  }
  Context context(at::Device device) const { return {.training = false, .device = device, .epoch = 0, .event = 0, .seed = seed_}; }

  /// Options that need a key are checked against the keys that there will be, before anything runs.
  template <class Source> void require_keys() const {
    [&]<std::size_t... i>(std::index_sequence<i...>) { (require_at<i, Source>(), ...); }(std::make_index_sequence<size>{});
  }
  template <std::size_t i, class Source> void require_at() const {
    if constexpr (requires(Widths const& w) { std::get<i>(pipeline.stages).require(w); }) {
      std::map<std::string, std::int64_t> names;
      [&]<class... K>(Keys<K...>) {
        (names.emplace(std::string(K::name), 0), ...);
      }(typename PipelineType::template KeysAfterFirst<i, Source>{});
      std::get<i>(pipeline.stages).require(Widths(std::move(names)));
    }
  }
  template <std::size_t i, class R> void make_from(R const& record, Context const& c) {
    if constexpr (i < size) {
      widths_[i] = Widths::of(record);
      make<i>();
      make_from<i + 1>(step<i>(record, c), c);
    }
  }
  template <std::size_t i> void make() {
    if constexpr (Learns<Stage<i>>) {
      GlobalSeed seeded(mix_seed(seed_, Stage<i>::name));
      at::AutoGradMode grad(true);  // parameters are leaves that require gradients, whoever makes them
      std::get<i>(modules_) = std::get<i>(pipeline.stages).make(widths_[i]);
      std::get<i>(modules_)->to(device_);
      std::get<i>(modules_)->eval();
    }
  }
  template <std::size_t... i> void make_all(std::index_sequence<i...>) { (make<i>(), ...); }

  std::array<Widths, sizeof...(S)> widths_;
  std::tuple<typename detail::ModuleSlot<S>::type...> modules_;
  std::uint64_t seed_ = 0;
  at::Device device_ = at::kCPU;
};

template <class P, class R> Trained(P, R const&, std::uint64_t) -> Trained<P>;
template <class P, class R> Trained(P, R const&, std::uint64_t, at::Device) -> Trained<P>;

namespace detail {
/// The options that a run says, and those that are younger than the run as their structs say: all others of stages of which it says some.
template <class... S>
nlohmann::json with_younger_options(nlohmann::json said, Pipeline<S...> pipeline) {
  auto const stage_of = [](std::string const& path) { return path.substr(0, path.find('.')); };
  std::set<std::string> stages;
  for (auto const& [path, value] : said.items()) stages.insert(stage_of(path));
  OptionSet set;
  add_options(set, pipeline);
  for (auto const& entry : set.entries())
    if (entry.forget && stages.contains(stage_of(entry.path)) && !said.contains(entry.path)) {
      entry.forget();
      said[entry.path] = entry.get();
    }
  return said;
}
}  // namespace detail

/// The trained pipeline in a run folder (its `model.safetensors`) or a file, which may be a checkpoint of a training too. The run's options
/// replace those of `pipeline`, whose type must be the one that was trained: another is refused with the difference spelled out. An option
/// that is younger than the run has the value that its struct says, whatever the program chose: as if it was not there. Of a stage of which
/// the run says nothing, the program's options stay.
template <class... S>
Trained<Pipeline<S...>> load(Pipeline<S...> pipeline, std::filesystem::path file) {
  if (std::filesystem::is_directory(file)) file /= "model.safetensors";
  auto saved = read_safetensors(file);
  auto const text = [&](std::string const& name) {
    auto const at = saved.metadata.find(name);
    check(at != saved.metadata.end(), ErrorKind::input, "{}: is no checkpoint of dew: it has no '{}'", file.string(), name);
    auto json = nlohmann::json::parse(at->second, nullptr, false);
    check(!json.is_discarded(), ErrorKind::input, "{}: '{}' is not valid JSON", file.string(), name);
    return json;
  };
  auto const schema = text("dew.schema"), stages = text("dew.stages"), options = text("dew.options"), widths = text("dew.widths"),
             seed = text("dew.seed");
  check(schema == 1, ErrorKind::input, "{}: expected schema 1, got {}", file.string(), schema.dump());
  nlohmann::json ours = nlohmann::json::array();
  for (auto name : Pipeline<S...>::names) ours.push_back(std::string(name));
  check(stages == ours, ErrorKind::input, "{}: holds a pipeline of {}, not of {}", file.string(), stages.dump(), ours.dump());

  OptionSet set;
  add_options(set, pipeline);
  std::array<Widths, sizeof...(S)> made;
  try {
    auto const all = detail::with_younger_options(options, pipeline);
    for (auto const& [path, value] : all.items()) set.at(path, file.string() + ": ").set(toml_words(value.template get<std::string>()));
    for (std::size_t i = 0; i < sizeof...(S); ++i)
      made[i] = Widths(widths.at(std::string(Pipeline<S...>::names[i])).template get<std::map<std::string, std::int64_t>>());
  } catch (nlohmann::json::exception const& e) { fail(ErrorKind::input, "{}: {}", file.string(), e.what()); } catch (Error const& e) {
    fail(ErrorKind::input, "{}: {}", file.string(), e.what());
  }
  Trained<Pipeline<S...>> trained(std::move(pipeline), std::move(made), seed.template get<std::uint64_t>());
  std::erase_if(saved.tensors, [](auto const& one) { return one.first.starts_with("dew."); });
  trained.load_tensors(saved.tensors, file.string());
  return trained;
}

}  // namespace dew
