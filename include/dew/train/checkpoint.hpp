// SPDX-License-Identifier: BSL-1.0
// A saved moment of a training: weights, optimiser, random states and where it stands; as a file with a checksum.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/crc32.hpp"
#include "dew/core/options.hpp"
#include "dew/core/safetensors.hpp"
#include "dew/train/callback_state.hpp"
#include "dew/train/improvement.hpp"
#include "dew/train/plan_text.hpp"

namespace dew {

/// When a training saves where it stands, and which of these files stay.
struct CheckpointOptions {
  int every_epochs = 1;
  std::int64_t every_steps = 0;
  double every_minutes = 5;
  int keep_last = 2, keep_best = 1;
  std::string metric = {};
  bool maximise = true;

  using Options = CheckpointOptions;
  static constexpr auto describe() {
    return hana::make_tuple(
        DEW_OPTION(every_epochs, "epochs", "epochs of a fit between checkpoints; 0 for none"),
        DEW_OPTION(every_steps, "steps", "steps between checkpoints, an event of a scan counting as one; 0 for none"),
        DEW_OPTION(every_minutes, "min", "a checkpoint at the first step after so long without one; 0 for none"),
        DEW_OPTION(keep_last, "", "so many of the newest checkpoints stay; at least 1"),
        DEW_OPTION(keep_best, "",
                   "so many of each fit's best checkpoints stay besides, also at the end; each validated epoch then has one"),
        DEW_OPTION(metric, "", "validation figure that says which are the best, by its full name; empty: the validation loss"),
        DEW_OPTION(maximise, "", "true: the largest value of that figure is the best; of the validation loss always the smallest"));
  }
  bool operator==(CheckpointOptions const&) const = default;

  /// Whether a score is better than another.
  bool better(double a, double b) const { return maximise && !metric.empty() ? a > b : a < b; }
};

/// Where a training stands: everything beside weights and optimiser that going on needs.
struct TrainingState {
  std::size_t part = 0;     ///< the running fit or scan of the plan
  std::int64_t number = 0;  ///< steps of fits, events of scans and parts that are done: rises over the whole plan, and names the checkpoint
  int epoch = 0;            ///< epochs of this fit that are done
  std::int64_t position = 0;  ///< events of the epoch, or of the scan, that are done
  std::int64_t step = 0;      ///< optimiser steps of this fit
  bool over = false;          ///< the fit has had its last epoch
  double seconds = 0;         ///< spent, over all runs
  double part_began = 0;      ///< `seconds` when this part began
  double allotted = 0;        ///< seconds given to this part; 0: by epochs
  double epoch_loss = 0;      ///< sums over the epoch so far
  std::vector<double> epoch_terms;
  double loss = 0, validation_loss = std::nan("");  ///< of the last epoch
  Improvement improvement;                          ///< of this fit
  double score = std::nan("");                      ///< at an epoch's end, the figure that `CheckpointOptions` name; else NaN
  std::map<std::string, std::string> tuned;         ///< options that scans have set so far

  nlohmann::json json() const;
  static TrainingState from(nlohmann::json const& j);
};

inline nlohmann::json TrainingState::json() const {
  using detail::exact;
  auto terms = nlohmann::json::array();
  for (auto const term : epoch_terms) terms.push_back(exact(term));
  return {{"part", part},
          {"number", number},
          {"epoch", epoch},
          {"position", position},
          {"step", step},
          {"over", over},
          {"seconds", exact(seconds)},
          {"part_began", exact(part_began)},
          {"allotted", exact(allotted)},
          {"epoch_loss", exact(epoch_loss)},
          {"epoch_terms", terms},
          {"loss", exact(loss)},
          {"validation_loss", exact(validation_loss)},
          {"improvement", improvement.json()},
          {"score", exact(score)},
          {"tuned", tuned}};
}
inline TrainingState TrainingState::from(nlohmann::json const& j) {
  TrainingState s;
  auto const real = [&](char const* name, double& value) { value = detail::exact(j.at(name)); };
  auto const whole = [&](char const* name, auto& value) { j.at(name).get_to(value); };
  whole("part", s.part), whole("number", s.number), whole("epoch", s.epoch), whole("position", s.position), whole("step", s.step);
  whole("over", s.over), whole("tuned", s.tuned);
  s.improvement = Improvement::from(j.at("improvement"));
  real("seconds", s.seconds), real("part_began", s.part_began), real("allotted", s.allotted), real("epoch_loss", s.epoch_loss);
  real("loss", s.loss), real("validation_loss", s.validation_loss), real("score", s.score);
  for (auto const& term : j.at("epoch_terms")) s.epoch_terms.push_back(detail::exact(term));
  return s;
}

/// A saved moment of a training. The trainer hands one to its `Saver`; its tensors are the training's own, to be written or copied at once.
struct Checkpoint {
  std::map<std::string, Tensor> weights, optimiser;
  std::map<std::string, Tensor> best;  ///< weights of the running fit's best validation loss, where the fit may end with them
  Tensor scanned;                      ///< the running scan's figure, [candidates, events so far]; undefined in a fit
  Tensor random;                       ///< state of LibTorch's global generator
  TrainingState state;
  PlanText plan;                                        ///< what is being trained
  std::map<std::string, std::string> model;             ///< `Trained::metadata()`: a checkpoint's file can be loaded as a model
  std::string program;                                  ///< who wrote it
  std::map<std::string, std::uintmax_t> logs;           ///< bytes of each log then, by file name; filled in by `RunFolder`
  std::map<std::string, CallbackState> callbacks = {};  ///< of the callbacks that keep one, by name
  /// Of a step that failed (`StepFailed`): the event, and the record with which the fit's stages begin; else −1 and nothing.
  std::int64_t failed_event = -1;
  std::map<std::string, Tensor> record = {};
};

namespace detail {
inline constexpr std::string_view crc_key = R"("dew.crc32":")", no_crc = "00000000";

/// Where the digits of the checksum stand among a file's bytes; npos where there is none. A value cannot be taken for the key: quotes in it are escaped.
inline std::size_t crc_place(std::string_view bytes) {
  std::uint64_t header = 0;
  if (bytes.size() < 8) return std::string_view::npos;
  std::memcpy(&header, bytes.data(), 8);
  auto const at = bytes.substr(8, header).find(crc_key);
  return at == std::string_view::npos ? at : 8 + at + crc_key.size();
}
/// The checksum of all bytes of a file, for which its own digits are zeros.
inline std::string crc_digits(std::string& bytes, std::size_t place) {
  bytes.replace(place, no_crc.size(), no_crc);
  return fmt::format("{:08x}", crc32(bytes));
}
}  // namespace detail

/// The bytes of a checkpoint's file: safetensors with the weights under their own names, everything else under `dew.…`, and a checksum of every byte.
inline std::string checkpoint_bytes(Checkpoint const& c) {
  SafeTensors out{c.weights, c.model};
  for (auto const& [name, t] : c.weights) check(!name.starts_with("dew."), "a checkpoint's weights cannot be called '{}'", name);
  auto const put = [&](std::map<std::string, Tensor> const& tensors, std::string const& prefix) {
    for (auto const& [name, t] : tensors) out.tensors[prefix + name] = t;
  };
  put(c.optimiser, "dew.");
  put(c.best, "dew.best.");
  put(c.record, "dew.record.");
  auto callbacks = nlohmann::json::object();
  for (auto const& [name, kept] : c.callbacks) {
    callbacks[name] = kept.values;
    put(kept.tensors, "dew.callback." + name + "/");
  }
  out.metadata["dew.callbacks"] = callbacks.dump();
  if (c.failed_event >= 0) out.metadata["dew.failed_event"] = std::to_string(c.failed_event);
  if (c.scanned.defined()) out.tensors["dew.scanned"] = c.scanned;
  if (c.random.defined()) out.tensors["dew.random"] = c.random;
  out.metadata["dew.state"] = c.state.json().dump();
  out.metadata["dew.plan"] = c.plan.json().dump();
  out.metadata["dew.program"] = c.program;
  out.metadata["dew.logs"] = nlohmann::json(c.logs).dump();
  out.metadata["dew.crc32"] = std::string(detail::no_crc);
  auto bytes = safetensors_bytes(out);
  auto const place = detail::crc_place(bytes);
  auto const digits = detail::crc_digits(bytes, place);
  bytes.replace(place, digits.size(), digits);
  return bytes;
}

namespace detail {
template <class Json> Json metadata_json(std::map<std::string, std::string> const& metadata, std::string const& name) {
  auto const at = metadata.find(name);
  return Json::parse(at == metadata.end() ? throw std::out_of_range("it has no '" + name + "'") : at->second);
}
}  // namespace detail

/// Reads the checkpoint in a file. Throws `Error` (input) that names it when a byte has changed, is missing or is too many, or when it is something else.
inline Checkpoint read_checkpoint(std::filesystem::path const& path) {
  auto bytes = read_file(path);
  auto const file = path.string();
  auto content = detail::parse_safetensors(bytes, file, detail::copied_tensor);
  auto const place = detail::crc_place(bytes);
  check(place != std::string::npos && place + detail::no_crc.size() <= bytes.size(), ErrorKind::input, "{}: is no checkpoint of a training",
        file);
  auto const digits = bytes.substr(place, detail::no_crc.size());
  check(digits == detail::crc_digits(bytes, place), ErrorKind::input, "{}: is broken: its checksum differs", file);
  Checkpoint c;
  for (auto const& [name, t] : content.tensors) {
    if (name.starts_with("dew.best.")) c.best[name.substr(9)] = t;
    else if (name.starts_with("dew.record.")) c.record[name.substr(11)] = t;
    else if (auto const slash = name.find('/'); name.starts_with("dew.callback.") && slash != std::string::npos)
      c.callbacks[name.substr(13, slash - 13)].tensors[name.substr(slash + 1)] = t;
    else if (name == "dew.scanned") c.scanned = t;
    else if (name == "dew.random") c.random = t;
    else if (name.starts_with("dew.")) c.optimiser[name.substr(4)] = t;
    else c.weights[name] = t;
  }
  try {
    using nlohmann::json, nlohmann::ordered_json;
    c.state = TrainingState::from(detail::metadata_json<json>(content.metadata, "dew.state"));
    c.plan = PlanText::from(detail::metadata_json<ordered_json>(content.metadata, "dew.plan"));
    detail::metadata_json<json>(content.metadata, "dew.logs").get_to(c.logs);
    auto const callbacks = detail::metadata_json<json>(content.metadata, "dew.callbacks");
    for (auto const& [name, values] : callbacks.items()) c.callbacks[name].values = values;
    if (content.metadata.contains("dew.failed_event")) c.failed_event = std::stoll(content.metadata.at("dew.failed_event"));
  } catch (std::exception const& e) { fail(ErrorKind::input, "{}: is no checkpoint of a training: {}", file, e.what()); }
  c.program = std::exchange(content.metadata["dew.program"], {});
  for (auto const* ours : {"dew.state", "dew.plan", "dew.program", "dew.logs", "dew.callbacks", "dew.failed_event", "dew.crc32"})
    content.metadata.erase(ours);
  c.model = std::move(content.metadata);
  return c;
}

}  // namespace dew
