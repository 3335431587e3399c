// SPDX-License-Identifier: BSL-1.0
// parity [FILE…]: compares parts of dew with files of reference values and prints how many values agree and how far off they are at most.
// Without files: every .safetensors file in the folder DEW_GOLDEN_DIR, and a table. A file that no part reads is a failure.
// parity --bend FILE…: the same with the file's weights or numbers bent on purpose: each bent weight must be noticed, and three of four changed numbers
// at least (a cut that cuts nothing hides some).
#define DOCTEST_CONFIG_IMPLEMENT  // the precompiled header of all tests declares it
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "parity/report.hpp"

namespace dew::parity {
namespace {

File read(std::filesystem::path const& path) {
  auto const saved = read_safetensors(path.string());
  File file{path.stem().string(), {saved.tensors.begin(), saved.tensors.end()}, {}, {}, {}};
  for (auto const& [name, json] : {std::pair{"config", &file.config}, {"expected", &file.expected}, {"cuts", &file.cuts}}) {
    *json = nlohmann::json::object();
    if (auto const at = saved.metadata.find(name); at != saved.metadata.end()) *json = nlohmann::json::parse(at->second);
  }
  return file;
}

Report compare(File const& file) {
  static auto const readers = [] {
    auto all = model_readers();
    for (auto const& more : {loss_readers(), other_readers()}) all.insert(all.end(), more.begin(), more.end());
    return all;
  }();
  Report report;
  for (auto const& reader : readers)
    if (reader.reads(file)) {
      reader.compare(file, report);
      return report;
    }
  fail(ErrorKind::input, "{}: no part of dew reads this file", file.name);
}

/// All ways of bending a file: in a network, the columns of each matrix exchanged cyclically, as by operands in the wrong order; in all else a number of the configuration changed.
std::vector<std::pair<std::string, File>> bent(File const& file) {
  std::vector<std::pair<std::string, File>> out;
  for (auto const& [name, tensor] : file.tensors)
    if (name.starts_with("model.") && name.find("edge_conv") == std::string::npos && tensor.dim() == 2 && tensor.size(1) > 1) {
      out.emplace_back(name + ", columns exchanged", file);
      out.back().second.tensors.at(name) = tensor.roll({1}, {1}).contiguous();
    }
  if (!out.empty()) return out;
  for (auto const* name : {"x", "w", "x_mm", "labels.near_truth"})
    if (file.has(name)) {
      auto const& tensor = file[name];
      out.emplace_back(fmt::format("rows of {} moved", name), file);
      out.back().second.tensors.at(name) = tensor.roll({1}, {0}).contiguous();
      break;
    }
  for (auto const* part : {"config", "cuts"}) {
    auto const& numbers = std::string_view(part) == "config" ? file.config : file.cuts;
    for (auto const& [name, value] : numbers.items()) {
      if (!value.is_number_float() || name == "max_eta") continue;
      if (file.name.starts_with("loss_edge_bce") && name != "pt_thld") continue;  // holds more than the part reads
      double const factor = name.starts_with("p_") ? 2 : 0.1;                     // a power stays at least 1
      out.emplace_back(fmt::format("{} = {}, times {}", name, value.dump(), factor), file);
      auto& bend = std::string_view(part) == "config" ? out.back().second.config : out.back().second.cuts;
      bend[name] = value.get<double>() * factor;
    }
  }
  return out;
}

int compare_bent(std::filesystem::path const& path) {
  auto const file = read(path);
  auto const ways = bent(file);
  int unnoticed = 0;
  if (ways.empty()) fmt::print("{}: there is nothing to bend\n", file.name);
  for (auto const& [how, other] : ways) {
    bool noticed = false;
    try {
      noticed = !compare(other).problems().empty();
    } catch (std::exception const& e) { fmt::print("{}: {}: {}\n", file.name, how, e.what()); }
    if (!noticed) ++unnoticed, fmt::print("{}: {}: not noticed\n", file.name, how);
  }
  fmt::print("{}: {} of {} bends noticed\n", file.name, ways.size() - std::size_t(unnoticed), ways.size());
  bool const weights = !ways.empty() && ways.front().first.ends_with("columns exchanged");
  return ways.empty() || (weights ? unnoticed > 0 : 4 * std::size_t(unnoticed) > ways.size());
}

int run(std::vector<std::string> const& arguments) {
  char const* folder = std::getenv("DEW_GOLDEN_DIR");
  std::filesystem::path const root = folder != nullptr ? folder : DEW_GOLDEN_DEFAULT;
  bool const bend = !arguments.empty() && arguments.front() == "--bend";
  std::vector<std::filesystem::path> files(arguments.begin() + bend, arguments.end());
  bool const all = files.empty();
  if (all) {
    if (!std::filesystem::is_directory(root)) {
      fmt::print("[skipped] there is no folder of reference values (DEW_GOLDEN_DIR)\n");
      return 0;
    }
    for (auto const& entry : std::filesystem::directory_iterator(root))
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) return fmt::print("the folder of reference values is empty\n"), 1;
  }
  int failed = 0;
  std::int64_t values = 0;
  if (!bend) fmt::print("{:<32} {:>9}   {}\n", "", "values", "largest deviation: values, gradients (relative to the tensor's largest)");
  for (auto const& path : files) {
    if (bend) {
      failed += compare_bent(path);
      continue;
    }
    try {
      auto const report = compare(read(path));
      values += report.values();
      failed += !report.problems().empty();
      fmt::print("{:<32} {:>9}   {:.1e}  {:.1e}{}\n", path.stem().string(), report.values(), report.worst_value(), report.worst_gradient(),
                 report.problems().empty() ? "" : "   DIFFERS");
      for (auto const& problem : report.problems()) fmt::print("  {}\n", problem);
    } catch (std::exception const& e) {
      ++failed;
      fmt::print("{:<32} {}\n", path.stem().string(), e.what());
    }
  }
  if (all && !bend) fmt::print("{} files, {} values, {} files differ\n", files.size(), values, failed);
  return failed > 0;
}

}  // namespace
}  // namespace dew::parity

int main(int argc, char** argv) {
  try {
    return dew::parity::run({argv + 1, argv + argc});
  } catch (std::exception const& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
