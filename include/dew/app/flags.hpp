// SPDX-License-Identifier: BSL-1.0
// What a command line says: its own flags, and options as flags.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/options.hpp"

namespace dew {

/// What a command line says, of whatever command.
struct CommandFlags {
  std::string out, run, resume, init, config, select, json, reproduce, search_space, metrics = "own", shard = "1/1";
  std::vector<std::string> init_stages;
  bool force = false, quiet = false, truth = false, tables = false;
  std::vector<std::pair<std::string, std::vector<std::string>>> set;  ///< options by path, in order

  void say(std::string const& path, std::string const& word) { set.emplace_back(path, std::vector{word}); }
  /// Sets the options that were said, each in the first of these sets that has it. Throws `Error` (usage) for a value that none can have.
  void set_in(std::initializer_list<OptionSet const*> sets) const {
    for (auto const& [path, words] : set) {
      auto const has = std::find_if(sets.begin(), sets.end(), [&](auto const* options) { return options->find(path) != nullptr; });
      (has == sets.end() ? *std::prev(sets.end()) : *has)->at(path, "--").set(words);
    }
  }
};

/// Makes an option a flag of a command, `--condenser.latent 8`.
inline void add_option_flag(CLI::App* command, CommandFlags& flags, OptionEntry const& e) {
  command
      ->add_option_function<std::vector<std::string>>(
          "--" + e.path, [&flags, path = e.path](std::vector<std::string> const& words) { flags.set.emplace_back(path, words); },
          fmt::format("{}{}; {}, default {}", e.unit.empty() ? "" : fmt::format("[{}] ", e.unit), e.help, e.type, e.default_text))
      ->type_name("")
      ->expected(1, e.type == "text,..." ? 1000 : 1)
      ->group(e.path.find('.') == std::string::npos ? "Options" : e.path.substr(0, e.path.find('.')));
}

/// Whether an option says how a trained run is used: what is fitted, scanned, saved and logged is said to a training.
inline bool acts_on_a_run(std::string_view path, std::string_view source) {
  auto const is_of = [&](std::string_view part) { return path.find(part) != std::string_view::npos; };
  return (is_of(".") || path == source) && !is_of(".fit.") && !is_of(".loss.") && !is_of(".scan.") && !path.starts_with("checkpoint.") &&
         !path.starts_with("log.");
}

/// Throws `Error` (usage) for a file that is there, unless it may be overwritten.
inline void refuse_existing(std::filesystem::path const& file, bool force) {
  check(force || !std::filesystem::exists(file), ErrorKind::usage, "{}: is there already; take another --out or --select, or --force",
        file.string());
}

/// Throws `Error` (usage) for what a command was given and does not know: an option that only others have, or a misspelt one.
inline void refuse_extras(CLI::App const& command, std::initializer_list<CLI::App*> commands) {
  for (auto const& word : command.remaining()) {
    check(word.starts_with("--"), ErrorKind::usage, "{}: '{}' was not expected", command.get_name(), word);
    auto const bare = word.substr(0, word.find('='));
    std::vector<std::string> names, others;
    for (auto const* option : command.get_options()) names.push_back(option->get_name());
    for (auto const* other : commands)
      if (other->get_option_no_throw(bare) != nullptr) others.push_back(other->get_name());
    check(others.empty(), ErrorKind::usage, "{} {}: would have no effect, it is an option of {}{}", command.get_name(), bare,
          fmt::join(others, ", "),
          others == std::vector<std::string>{"train"} ? "; a run keeps what it was trained with: leave it out, or train another run" : "");
    fail(ErrorKind::usage, "{} {}: there is no such option; the nearest is {}", command.get_name(), bare, nearest_name(bare, names));
  }
}

}  // namespace dew
