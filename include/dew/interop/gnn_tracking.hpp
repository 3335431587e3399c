// SPDX-License-Identifier: BSL-1.0
// Weights of the Python system gnn_tracking in our modules and back, by name.
#pragma once
#include <concepts>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/model/condenser.hpp"
#include "dew/model/deep_set_edge_filter.hpp"
#include "dew/model/edge_classifier.hpp"
#include "dew/model/embedding_network.hpp"
#include "dew/model/embedding_refinement.hpp"
#include "dew/model/mlp_edge_filter.hpp"
#include "dew/model/point_cloud_network.hpp"
#include "dew/pipeline/trained.hpp"

namespace dew {

using NamedTensors = std::map<std::string, Tensor>;

/// How the names of a module's parameters begin in gnn_tracking, and here; what follows is equal.
using ParameterNames = std::vector<std::pair<std::string_view, std::string_view>>;

inline ParameterNames reference_names(Mlp const*) { return {{"layers.", "layers."}}; }
inline ParameterNames reference_names(ResidualNetwork const*) {
  return {{"_encoder.", "encoder."}, {"_layers.", "layers."}, {"_decoder.", "decoder."}};
}
inline ParameterNames reference_names(InteractionNetwork const*) {
  return {{"relational_model.", "relational_model."}, {"object_model.", "object_model."}};
}
/// `ECForGraphTCN`: stacks other than prenorm, reference encoders.
inline ParameterNames reference_names(EdgeClassifier const*) {
  return {{"ec_node_encoder.", "node_encoder."},
          {"ec_edge_encoder.", "edge_encoder."},
          {"ec_resin.network._node_batch_norms.", "stack.node_norms."},
          {"ec_resin.network._edge_batch_norms.", "stack.edge_norms."},
          {"ec_resin.network.", "stack."},
          {"W.", "head."}};
}
/// `ModularGraphTCN` and `GraphTCN`, without their classifier: stacks other than prenorm, reference encoders.
inline ParameterNames reference_names(Condenser const*) {
  return {{"hc_node_encoder.pixel_fcnn._", "node_encoder.pixel."},
          {"hc_node_encoder.strip_fcnn._", "node_encoder.strip."},
          {"hc_node_encoder._", "node_encoder."},
          {"hc_edge_encoder.", "edge_encoder."},
          {"hc_in.network._node_batch_norms.", "stack.node_norms."},
          {"hc_in.network._edge_batch_norms.", "stack.edge_norms."},
          {"hc_in.network.", "stack."},
          {"p_beta.", "beta_head."},
          {"p_cluster.", "latent_head."},
          {"_latent_normalization", "latent_scale"}};
}
/// `GraphConstructionFCNN`: one detector.
inline ParameterNames reference_names(EmbeddingNetwork const*) {
  return {{"_encoder.", "network.encoder."},
          {"_layers.", "network.layers."},
          {"_decoder.", "network.decoder."},
          {"_latent_normalization", "scale"}};
}
/// `GraphConstructionResIN`
inline ParameterNames reference_names(EmbeddingRefinement const*) {
  return {{"_node_encoder.", "node_encoder."},
          {"_edge_encoder.", "edge_encoder."},
          {"_resin.network.", "stack."},
          {"_decoder.", "decoder."},
          {"_latent_normalization", "scale"}};
}
/// `PointCloudTCN`. Its `layers.N.edge_conv.nn.…` are the same tensors as `layers.N.node_encoder.…`.
inline ParameterNames reference_names(PointCloudNetwork const*) {
  return {{"layers.", "blocks."}, {"B.", "beta_head."}, {"X.", "latent_head."}};
}
/// `EFMLP`, which reads hit features alone.
inline ParameterNames reference_names(MlpEdgeFilter const*) {
  return {{"encoder.", "encoder."}, {"layers.", "layers."}, {"decoder.", "decoder."}};
}
/// `EFDeepSet`
inline ParameterNames reference_names(DeepSetEdgeFilter const*) { return {{"node_encoder.", "hits."}, {"aggregator.", "edges."}}; }

/// A module or a policy whose parameters have names in gnn_tracking.
template <class T> concept HasReferenceNames = requires { reference_names(static_cast<T const*>(nullptr)); };

namespace detail {
/// A parameter's name without what wraps a model: a Lightning module's `model.`, a compiled one's `_orig_mod.`, GraphTCN's `_gtcn.`.
inline std::string bare_reference_name(std::string name) {
  constexpr std::string_view compiled = "_orig_mod.";
  for (auto at = name.find(compiled); at != std::string::npos; at = name.find(compiled)) name.erase(at, compiled.size());
  for (std::string_view wrapper : {"model.", "_gtcn."})
    if (name.starts_with(wrapper)) name.erase(0, wrapper.size());
  return name;
}
inline bool is_alias(std::string_view name) { return name.find(".edge_conv.nn.") != std::string_view::npos; }

/// `name` with the first beginning that fits exchanged, or empty.
inline std::string exchanged(std::string_view name, ParameterNames const& names, bool to_ours) {
  for (auto const& [theirs, ours] : names)
    if (auto const& from = to_ours ? theirs : ours; name.starts_with(from))
      return fmt::format("{}{}", to_ours ? ours : theirs, name.substr(from.size()));
  return {};
}
inline bool holds_classifier(NamedTensors const& tensors) {
  for (auto const& [name, tensor] : tensors)
    if (name.starts_with("ec.")) return true;
  return false;
}
}  // namespace detail

/// The tensors of gnn_tracking's `tensors` that belong to a module, under our names. Those that belong to no part of it are left out.
template <HasReferenceNames T>
NamedTensors from_reference(NamedTensors const& tensors, std::string_view root = "") {
  auto const names = reference_names(static_cast<T const*>(nullptr));
  NamedTensors out;
  for (auto const& [name, tensor] : tensors) {
    if (!name.starts_with(root) || detail::is_alias(name)) continue;
    if (auto ours = detail::exchanged(std::string_view(name).substr(root.size()), names, true); !ours.empty())
      out.emplace(std::move(ours), tensor);
  }
  return out;
}

namespace detail {
/// Throws for options whose network gnn_tracking does not have.
template <class P> void demand_counterpart(P const& policy) {
  auto const& o = policy.options;
  bool there = true;
  if constexpr (requires { o.stack, o.encoder; }) there = o.stack != StackKind::prenorm && o.encoder == Encoder::reference;
  if constexpr (requires { o.detectors; }) there = o.detectors == Detectors::one;
  if constexpr (std::same_as<P, Condenser>)
    there = there && !o.score_logit && o.beta_layers == 3 && o.latent_layers == 3 && o.node_embedding == o.edge_embedding;
  check(there, ErrorKind::usage, "gnn_tracking has no counterpart of {} with these options:\n{}", P::name, print(o));
}

template <class T> NamedTensors to_reference(torch::nn::Module const& module, std::string_view root) {
  auto const names = reference_names(static_cast<T const*>(nullptr));
  NamedTensors out;
  for (auto const& [name, tensor] : detail::named_tensors(module)) {
    auto const theirs = detail::exchanged(name, names, false);
    check(!theirs.empty(), ErrorKind::usage, "gnn_tracking has no counterpart of the parameter '{}'", name);
    out.emplace(fmt::format("{}{}", root, theirs), tensor);
    if constexpr (std::same_as<T, PointCloudNetwork>) {
      constexpr std::string_view encoder = ".node_encoder.";
      if (auto const at = theirs.find(encoder); at != std::string::npos)
        out.emplace(fmt::format("{}{}.edge_conv.nn.{}", root, theirs.substr(0, at), theirs.substr(at + encoder.size())), tensor);
    }
  }
  return out;
}
}  // namespace detail

/// A policy's parameters and buffers under gnn_tracking's names; the inverse of `from_reference`, tensor by tensor. Throws `Error` for options
/// whose network that system does not have.
template <HasReferenceNames P> requires Learns<P>
NamedTensors to_reference(P const& policy, typename P::Module const& module, std::string_view root = "") {
  detail::demand_counterpart(policy);
  return detail::to_reference<P>(module, root);
}
/// The same for a plain network.
template <HasReferenceNames M> requires std::derived_from<M, torch::nn::Module>
NamedTensors to_reference(M const& module, std::string_view root = "") {
  return detail::to_reference<M>(module, root);
}

/// Copies gnn_tracking's weights below `root` into a module (a condenser leaves its classifier's out). All of its parameters and buffers must be there
/// with the right shape: the error lists every missing, unexpected and wrongly shaped one, and then nothing is copied.
template <HasReferenceNames T>
void load_reference(torch::nn::Module const& module, NamedTensors const& tensors, std::string_view root = "",
                    std::string const& what = "reference weights") {
  auto ours = from_reference<T>(tensors, root);
  auto const names = reference_names(static_cast<T const*>(nullptr));
  for (auto const& [name, tensor] : tensors) {
    if (!name.starts_with(root) || detail::is_alias(name)) continue;
    auto const own = std::string_view(name).substr(root.size());
    if (std::same_as<T, Condenser> && own.starts_with("ec.")) continue;           // its classifier's
    if (detail::exchanged(own, names, true).empty()) ours.emplace(name, tensor);  // listed as unexpected
  }
  detail::copy_by_name(ours, detail::named_tensors(module), what);
}

/// Copies the weights of a gnn_tracking model (or Lightning module: the wrappers' names are left out) into a pipeline with the same stages, an edge
/// classifier before a condenser among them. What belongs to no stage is unexpected. All or nothing, as above.
template <class... S>
void load_reference(Trained<Pipeline<S...>>& trained, NamedTensors const& tensors, std::string const& what = "reference weights") {
  NamedTensors bare, ours;
  for (auto const& [name, tensor] : tensors) bare.emplace(detail::bare_reference_name(name), tensor);
  auto rest = bare;
  bool const nested = detail::holds_classifier(bare);
  trained.for_each_module([&]<std::size_t i>(std::integral_constant<std::size_t, i>, auto&) {
    using P = typename detail::PolicyOf<typename Trained<Pipeline<S...>>::template Stage<i>>::type;
    if constexpr (HasReferenceNames<P>) {
      auto const names = reference_names(static_cast<P const*>(nullptr));
      std::string_view const root = nested && std::same_as<P, EdgeClassifier> ? "ec." : "";
      for (auto const& [name, tensor] : bare) {
        if (!name.starts_with(root)) continue;
        auto const own = detail::exchanged(std::string_view(name).substr(root.size()), names, true);
        if (own.empty()) continue;
        rest.erase(name);
        if (!detail::is_alias(name)) ours.emplace(fmt::format("{}.{}", Pipeline<S...>::names[i], own), tensor);
      }
    }
  });
  ours.insert(rest.begin(), rest.end());  // listed as unexpected under their own names
  trained.load_tensors(ours, what);
}

}  // namespace dew
