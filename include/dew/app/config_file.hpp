// SPDX-License-Identifier: BSL-1.0
// Configuration files: TOML read with CLI11's parser and matched to options by path; written complete and commented.
#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dew/core/file.hpp"
#include "dew/core/options.hpp"

namespace dew {

namespace detail {
/// The line of a configuration file on which an option stands, for messages; 0 when it is not found.
inline std::size_t line_of(std::string const& text, std::string const& path) {
  std::istringstream in(text);
  std::string section;
  std::size_t number = 0;
  auto const trim = [](std::string const& s) {
    auto const first = s.find_first_not_of(" \t\r"), last = s.find_last_not_of(" \t\r");
    return first == std::string::npos ? std::string() : s.substr(first, last - first + 1);
  };
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = trim(line);
    if (line.starts_with('[') && line.find(']') != std::string::npos) section = trim(line.substr(1, line.find(']') - 1));
    else if (auto const equals = line.find('='); equals != std::string::npos && !line.starts_with('#')) {
      auto const name = trim(line.substr(0, equals));
      if (section.empty() ? name == path : fmt::format("{}.{}", section, name) == path) return number;
    }
  }
  return 0;
}

/// What a configuration file says of one option, and where: "run.toml:3: ".
struct ConfigLine {
  std::string path, where;
  std::vector<std::string> words;
};
/// All that a TOML file says, in its order. Throws `Error` naming the file when it cannot be read or is no TOML.
inline std::vector<ConfigLine> config_lines(std::filesystem::path const& file) {
  std::string const text = read_file(file);
  std::vector<CLI::ConfigItem> items;
  try {
    std::istringstream in(text);
    items = CLI::ConfigTOML{}.from_config(in);
  } catch (CLI::Error const& e) { fail(ErrorKind::usage, "{}: {}", file.string(), e.what()); }
  std::vector<ConfigLine> lines;
  for (auto const& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // the parser's marks of sections
    std::string path;
    for (auto const& parent : item.parents) path += parent + ".";
    path += item.name;
    auto const number = line_of(text, path);
    auto words = item.inputs;
    if (words.size() == 1 && words[0] == "[]") words.clear();
    lines.push_back({path, number > 0 ? fmt::format("{}:{}: ", file.string(), number) : fmt::format("{}: ", file.string()), words});
  }
  return lines;
}
}  // namespace detail

/// Sets the options that a TOML file names, sections being the beginning of a path. An unknown option is an error that names file, line and the nearest.
inline void read_config(std::filesystem::path const& file, OptionSet const& options) {
  for (auto const& line : detail::config_lines(file)) {
    try {
      options.at(line.path).set(line.words);
    } catch (Error const& e) { fail(e.kind(), "{}{}", line.where, e.what()); }
  }
}

/// All options as a TOML file: a section a path, and before each option its meaning, unit and default.
inline std::string config_text(OptionSet const& options, std::string const& heading) {
  std::string text, section;
  for (std::string line; auto c : heading + "\n") {
    if (c == '\n') text += "# " + line + "\n", line.clear();
    else line += c;
  }
  auto const write = [&](bool top) {
    for (auto const& e : options.entries()) {
      auto const dot = e.path.rfind('.');
      if ((dot == std::string::npos) != top) continue;
      if (auto const here = top ? std::string() : e.path.substr(0, dot); here != section) text += fmt::format("\n[{}]\n", section = here);
      text += fmt::format("# {}{}; {}{}\n{} = {}\n", e.unit.empty() ? "" : fmt::format("[{}] ", e.unit), e.help, e.type,
                          e.get() == e.default_text ? "" : ", default " + e.default_text,
                          e.path.substr(dot == std::string::npos ? 0 : dot + 1), e.get());
    }
  };
  text += '\n';
  write(true);
  write(false);
  return text;
}

/// One line an option: path, value, type, unit, meaning.
inline std::string options_table(OptionSet const& options) {
  std::size_t width = 0, value = 0;
  for (auto const& e : options.entries())
    width = std::max(width, e.path.size()), value = std::max(value, std::min<std::size_t>(24, e.get().size()));
  std::string text;
  for (auto const& e : options.entries())
    text += fmt::format("{:<{}}  {:<{}}  {}{} ({})\n", e.path, width, e.get(), value, e.unit.empty() ? "" : fmt::format("[{}] ", e.unit),
                        e.help, e.type);
  return text;
}

}  // namespace dew
