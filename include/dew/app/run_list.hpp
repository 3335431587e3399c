// SPDX-License-Identifier: BSL-1.0
// The runs under a folder: found, listed, sorted, filtered and compared.
#pragma once
#include <sys/file.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/app/config_file.hpp"
#include "dew/core/file.hpp"
#include "dew/core/policy.hpp"
#include "dew/train/run_folder.hpp"

namespace dew {

/// `running`: a process trains there; `unfinished`: it can be gone on with; `broken`: a file of it cannot be read.
enum class RunStatus { finished, running, unfinished, broken };
constexpr auto names_of(RunStatus) { return std::array<std::string_view, 4>{"finished", "running", "unfinished", "broken"}; }

/// A run as its folder tells it.
struct RunInfo {
  std::filesystem::path folder;
  std::string name;  ///< the folder's path below the one that was searched
  RunStatus status = RunStatus::unfinished;
  std::string problem;                                       ///< of a broken one: file and what is wrong
  std::vector<std::pair<std::string, std::string>> options;  ///< by path, in the order of config.toml; lists with commas
  Figures figures;     ///< the score of a finished run; of another the validation of its last validated epoch
  std::string stage;   ///< the stage that was fitted last
  int epochs = 0;      ///< its epochs so far
  int best_epoch = 0;  ///< that of its least validation loss, or of its least loss where nothing was validated; counted from 1
  double minutes = std::numeric_limits<double>::quiet_NaN();  ///< of training, over all starts
  nlohmann::json record;                                      ///< run.json, or null

  std::string_view status_text() const { return names_of(status)[std::size_t(status)]; }

  /// A column of a list as text: `status`, `stage`, `epochs`, `best_epoch`, `minutes`, `starts`, `started`, `host`, `commit`, a figure or
  /// an option by its full name. Nothing where this run does not know it.
  std::optional<std::string> value(std::string const& column) const;
  /// The same as a number, not rounded. Nothing where it is none.
  std::optional<double> number(std::string const& column) const;
  /// What run.json says of the last start; an empty object where it says nothing.
  nlohmann::json last_start() const {
    bool const known = record.is_object() && !record["starts"].empty() && record["starts"].back().is_object();
    return known ? record["starts"].back() : nlohmann::json::object();
  }
  static std::vector<std::string> columns() {
    return {"status", "stage", "epochs", "best_epoch", "minutes", "starts", "started", "host", "commit"};
  }
};

namespace detail {
inline std::optional<double> number_in(std::string_view text) {
  double value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}
inline std::string short_number(double value) {
  if (std::isnan(value)) return "";
  if (value == std::round(value) && std::abs(value) >= 10 && std::abs(value) < 1e9) return fmt::format("{}", std::int64_t(value));
  return std::abs(value) >= 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.4f}", value);
}
/// Whether a process holds the lock of a run folder. Asking takes the lock for a moment, beside others that ask.
inline bool is_locked(std::filesystem::path const& folder) {
  Descriptor const file(::open((folder / RunLock::name).c_str(), O_RDONLY | O_CLOEXEC));
  return file.number() >= 0 && ::flock(file.number(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}
inline bool is_run(std::filesystem::path const& folder) {
  RunFolder const run(folder);
  std::error_code error;
  if (!std::filesystem::is_regular_file(run.config(), error)) return false;
  std::string first;
  std::ifstream in(run.config());
  std::getline(in, first);
  return first.starts_with("# a run of ") || std::filesystem::exists(run.log(), error) || std::filesystem::exists(run.record(), error);
}

inline void read_options(RunInfo& run, std::filesystem::path const& file) {
  std::istringstream in(read_file(file));
  try {
    for (auto const& item : CLI::ConfigTOML{}.from_config(in)) {
      if (item.name == "++" || item.name == "--") continue;  // the parser's marks of sections
      std::string path;
      for (auto const& parent : item.parents) path += parent + ".";
      run.options.emplace_back(path + item.name, fmt::format("{}", fmt::join(item.inputs, ",")));
    }
  } catch (CLI::Error const& e) { fail(ErrorKind::input, "{}: {}", file.string(), e.what()); }
  check(!run.options.empty(), ErrorKind::input, "{}: holds no options", file.string());
}
/// Epochs and time, and the last validation's figures, from the lines of epochs. A line that is cut off at the end is passed over.
inline void read_log(RunInfo& run, std::filesystem::path const& file, bool figures) {
  if (!std::filesystem::exists(file)) return;
  std::istringstream in(read_file(file));
  double best = std::numeric_limits<double>::infinity();
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(R"({"kind":"epoch")") && !line.starts_with(R"({"kind":"scanned")")) continue;
    auto const json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (json.is_discarded() && in.peek() == std::istringstream::traits_type::eof()) break;
    check(json.is_object() && json.contains("stage"), ErrorKind::input, "{}: holds a line that is no JSON object: {}", file.string(),
          line.substr(0, 60));
    auto const number = [&](char const* name) {
      auto const at = json.find(name);
      return at != json.end() && at->is_number() ? at->get<double>() : std::numeric_limits<double>::quiet_NaN();
    };
    if (auto const seconds = number("time_s"); !std::isnan(seconds)) run.minutes = seconds / 60;
    if (json["kind"] != "epoch") continue;
    if (json["stage"] != run.stage) {
      run.stage = json["stage"].get<std::string>();
      best = std::numeric_limits<double>::infinity();
    }
    run.epochs = int(number("epoch")) + 1;
    auto const validated = number("validation.loss"), loss = std::isnan(validated) ? number("loss") : validated;
    if (loss < best) best = loss, run.best_epoch = run.epochs;
    if (!figures || std::isnan(validated)) continue;
    for (auto const& [name, value] : json.items())
      if (name.starts_with("validation.") && value.is_number()) {
        auto const short_name = name.substr(11);
        auto const known = std::find_if(run.figures.begin(), run.figures.end(), [&](auto const& f) { return f.first == short_name; });
        if (known == run.figures.end()) run.figures.emplace_back(short_name, value.get<double>());
        else known->second = value.get<double>();
      }
  }
}
inline void read_metrics(RunInfo& run, std::filesystem::path const& file) {
  auto const json = nlohmann::ordered_json::parse(read_file(file), nullptr, false);
  check(json.is_object(), ErrorKind::input, "{}: is no JSON object", file.string());
  for (auto const& [name, value] : json.items())
    if (value.is_number() && name.find('.') != std::string::npos && !name.ends_with(".error") && !name.ends_with(".left_out"))
      run.figures.emplace_back(name, value.get<double>());
}
}  // namespace detail

inline std::optional<std::string> RunInfo::value(std::string const& column) const {
  auto const last = [&](char const* name) -> std::optional<std::string> {
    auto const start = last_start();
    return start.contains(name) && start[name].is_string() ? std::optional(start[name].get<std::string>()) : std::nullopt;
  };
  auto const count = [](int n) { return n > 0 ? std::optional(std::to_string(n)) : std::nullopt; };
  if (column == "status") return std::string(status_text());
  if (column == "stage") return stage.empty() ? std::nullopt : std::optional(stage);
  if (column == "epochs") return count(epochs);
  if (column == "best_epoch") return count(best_epoch);
  if (column == "minutes") return std::isnan(minutes) ? std::nullopt : std::optional(fmt::format("{:.2f}", minutes));
  if (column == "starts") return record.is_object() ? std::optional(std::to_string(record["starts"].size())) : std::nullopt;
  if (column == "started" || column == "host") return last(column.c_str());
  if (column == "commit") {
    auto const start = last_start();
    if (!start.contains("git") || !start["git"].is_object()) return std::nullopt;
    return start["git"].value("commit", "").substr(0, 10) + (start["git"].value("dirty", nlohmann::json()) == true ? " with changes" : "");
  }
  for (auto const& [name, number] : figures)
    if (name == column) return detail::short_number(number);
  for (auto const& [path, text] : options)
    if (path == column) return text;
  return std::nullopt;
}

inline std::optional<double> RunInfo::number(std::string const& column) const {
  if (column == "minutes" && !std::isnan(minutes)) return minutes;
  for (auto const& [name, exact] : figures)
    if (name == column) return exact;
  auto const text = value(column);
  return text ? detail::number_in(*text) : std::nullopt;
}

/// What one run folder tells. Never throws for what is wrong in it: the run is then `broken`, and says why.
inline RunInfo read_run(std::filesystem::path const& folder, std::string name) {
  RunFolder const files(folder);
  RunInfo run;
  run.folder = folder, run.name = std::move(name);
  auto const attempt = [&](auto&& read) {
    try {
      read();
    } catch (std::exception const& e) {
      if (run.problem.empty()) run.problem = e.what();
    }
  };
  bool const scored = std::filesystem::exists(files.metrics());
  attempt([&] { detail::read_options(run, files.config()); });
  attempt([&] { detail::read_log(run, files.log(), !scored); });
  if (scored) attempt([&] { detail::read_metrics(run, files.metrics()); });
  attempt([&] {
    if (!std::filesystem::exists(files.record())) return;
    run.record = nlohmann::json::parse(read_file(files.record()), nullptr, false);
    if (run.record.is_object() && run.record.contains("starts") && run.record["starts"].is_array()) return;
    run.record = nullptr;
    fail(ErrorKind::input, "{}: is no record of a run", files.record().string());
  });
  attempt([&] {
    check(!scored || std::filesystem::exists(files.model()), ErrorKind::input, "{}: is missing, though the run was scored",
          files.model().string());
  });
  run.status = detail::is_locked(folder) ? RunStatus::running
               : !run.problem.empty()    ? RunStatus::broken
               : files.finished()        ? RunStatus::finished
                                         : RunStatus::unfinished;
  return run;
}

/// Every run in a folder and below it, by name. What a run itself holds is passed over; links to folders are not followed. Reads
/// configuration, log and metrics of each. Throws `Error` (input) when there is no such folder.
inline std::vector<RunInfo> find_runs(std::filesystem::path const& folder) {
  namespace fs = std::filesystem;
  check(fs::is_directory(folder), ErrorKind::input, "{}: is no folder", folder.string());
  std::vector<RunInfo> runs;
  if (detail::is_run(folder)) runs.push_back(read_run(folder, "."));
  static std::set<std::string> const of_runs{"checkpoints", "graphs", "tensorboard", "wandb", "profile", "failed"};
  for (auto at = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied); at != fs::end(at); ++at) {
    if (!at->is_directory() || at->is_symlink()) continue;
    auto const name = at->path().filename().string();
    if (of_runs.contains(name) && detail::is_run(at->path().parent_path())) at.disable_recursion_pending();
    else if (detail::is_run(at->path())) runs.push_back(read_run(at->path(), at->path().lexically_relative(folder).string()));
  }
  std::sort(runs.begin(), runs.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
  return runs;
}

namespace detail {
/// Rows of text in columns that are as wide as need be; the first row is the heading. Columns of numbers stand to the right.
inline std::string aligned(std::vector<std::vector<std::string>> const& rows) {
  std::vector<std::size_t> width(rows.front().size()), numbers(width.size()), texts(width.size());
  for (auto const& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      width[i] = std::max(width[i], row[i].size());
      if (&row != &rows.front() && !row[i].empty() && row[i] != "-")
        ++(number_in(row[i].front() == '+' ? std::string_view(row[i]).substr(1) : std::string_view(row[i])) ? numbers : texts)[i];
    }
  std::string text;
  for (auto const& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      bool const right = numbers[i] > texts[i];
      line += fmt::format(fmt::runtime(right ? "{:>{}}  " : "{:<{}}  "), row[i], width[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}
/// A column that no run knows is an error that names the nearest.
inline void check_column(std::vector<RunInfo> const& runs, std::string const& column) {
  auto const known = RunInfo::columns();
  if (runs.empty() || std::find(known.begin(), known.end(), column) != known.end()) return;
  if (std::any_of(runs.begin(), runs.end(), [&](auto const& run) { return run.value(column).has_value(); })) return;
  auto names = known;
  for (auto const& run : runs) {
    for (auto const& figure : run.figures) names.push_back(figure.first);
    for (auto const& option : run.options) names.push_back(option.first);
  }
  fail(ErrorKind::usage, "no run has a '{}'; the nearest is '{}'", column, nearest_name(column, names));
}
}  // namespace detail

/// Keeps the runs of which a condition holds: `<column><=|!=|<|<=|>|>=><value>`, such as "condenser.hidden=48",
/// "tracking.pt0.9.double_majority>0.9" or "status=finished". Numbers are compared as numbers, text as text; a run without that column is
/// dropped.
inline std::vector<RunInfo> filter_runs(std::vector<RunInfo> runs, std::string const& condition) {
  auto const at = condition.find_first_of("=<>!");
  auto const length = at != std::string::npos && at + 1 < condition.size() && condition[at + 1] == '=' ? 2U : 1U;
  auto const sign = at == std::string::npos ? std::string() : condition.substr(at, length);
  check(at != std::string::npos && at > 0 && sign != "!", ErrorKind::usage,
        "--filter: expected something like condenser.hidden=48 or minutes<10, got '{}'", condition);
  auto const column = condition.substr(0, at), wanted = condition.substr(at + length);
  detail::check_column(runs, column);
  std::erase_if(runs, [&](RunInfo const& run) {
    auto const value = run.value(column);
    if (!value) return true;
    auto const a = run.number(column), b = detail::number_in(wanted);
    int const order = a && b ? (*a < *b ? -1 : *a > *b ? 1 : 0) : value->compare(wanted);
    return !(sign == "=" || sign == "==" ? order == 0
             : sign == "!="              ? order != 0
             : sign == "<"               ? order < 0
             : sign == "<="              ? order <= 0
             : sign == ">"               ? order > 0
                                         : order >= 0);
  });
  return runs;
}

/// Sorts by a column: numbers with the largest first, text by the alphabet; those that do not have it are last. Equal ones stay in their
/// order.
inline void sort_runs(std::vector<RunInfo>& runs, std::string const& column) {
  detail::check_column(runs, column);
  std::stable_sort(runs.begin(), runs.end(), [&](RunInfo const& a, RunInfo const& b) {
    auto const x = a.value(column), y = b.value(column);
    if (!x || !y) return x.has_value() && !y.has_value();
    auto const m = a.number(column), n = b.number(column);
    return m && n ? *m > *n : *x < *y;
  });
}

/// A line a run.
inline std::string runs_text(std::vector<RunInfo> const& runs, std::vector<std::string> const& columns) {
  if (runs.empty()) return "no runs\n";
  for (auto const& column : columns) detail::check_column(runs, column);
  std::vector<std::vector<std::string>> rows{{"run"}};
  rows[0].insert(rows[0].end(), columns.begin(), columns.end());
  std::string problems;
  for (auto const& run : runs) {
    std::vector<std::string> row{run.name};
    for (auto const& column : columns) row.push_back(run.value(column).value_or("-"));
    rows.push_back(std::move(row));
    if (!run.problem.empty()) problems += fmt::format("{}: {}\n", run.name, run.problem);
  }
  return detail::aligned(rows) + problems;
}

/// Two runs or more side by side: the options that are not equal in all, then every figure, of two also the difference.
inline std::string comparison_text(std::vector<RunInfo> const& runs) {
  auto const table = [&](auto const& names_of_run, bool only_differing) {
    std::vector<std::string> names;
    for (auto const& run : runs)
      for (auto const& one : names_of_run(run))
        if (std::find(names.begin(), names.end(), one.first) == names.end()) names.push_back(one.first);
    std::vector<std::vector<std::string>> rows;
    for (auto const& name : names) {
      std::vector<std::string> row{name};
      for (auto const& run : runs) row.push_back(run.value(name).value_or("-"));
      if (only_differing && std::all_of(row.begin() + 1, row.end(), [&](auto const& v) { return v == row[1]; })) continue;
      if (!only_differing && runs.size() == 2) {
        auto const a = detail::number_in(row[1]), b = detail::number_in(row[2]);
        row.push_back(a && b ? fmt::format("{:+.4f}", *b - *a) : "");
      }
      rows.push_back(std::move(row));
    }
    return rows;
  };
  auto const print = [&](std::string const& title, std::vector<std::vector<std::string>> rows, bool difference) {
    std::vector<std::string> heading{title};
    for (auto const& run : runs) heading.push_back(run.name);
    if (difference) heading.emplace_back("difference");
    rows.insert(rows.begin(), std::move(heading));
    return detail::aligned(rows);
  };
  auto const options = table([](RunInfo const& run) { return run.options; }, true);
  auto const figures = table([](RunInfo const& run) { return run.figures; }, false);
  std::vector<std::vector<std::string>> course;
  for (std::string const column : {"status", "epochs", "best_epoch", "minutes", "started", "commit"}) {
    course.push_back({column});
    for (auto const& run : runs) course.back().push_back(run.value(column).value_or("-"));
  }
  return print("course", course, false) + "\n" + (options.empty() ? "the options are equal\n" : print("option", options, false)) + "\n" +
         (figures.empty() ? "no figures yet\n" : print("figure", figures, runs.size() == 2));
}

/// Everything that is known of the runs, as an array of objects.
inline nlohmann::ordered_json runs_json(std::vector<RunInfo> const& runs) {
  auto out = nlohmann::ordered_json::array();
  for (auto const& run : runs) {
    nlohmann::ordered_json options = nlohmann::ordered_json::object(), figures = options;
    for (auto const& [path, text] : run.options) options[path] = text;
    for (auto const& [name, value] : run.figures) figures[name] = value;
    nlohmann::ordered_json minutes;
    if (!std::isnan(run.minutes)) minutes = run.minutes;
    out.push_back({{"name", run.name},
                   {"folder", run.folder.string()},
                   {"status", std::string(run.status_text())},
                   {"problem", run.problem},
                   {"stage", run.stage},
                   {"epochs", run.epochs},
                   {"best_epoch", run.best_epoch},
                   {"minutes", minutes},
                   {"figures", figures},
                   {"options", options},
                   {"record", nlohmann::ordered_json::parse(run.record.dump())}});
  }
  return out;
}

/// What the command `runs` is asked for.
struct RunsFlags {
  std::string folder = ".", sort = {}, json = {};
  std::vector<std::string> columns = {}, filters = {}, compare = {};
};
inline void add_runs_flags(CLI::App* command, RunsFlags& flags) {
  command->add_option("folder", flags.folder, "folder of runs; default: here");
  command->add_option("--sort", flags.sort, "a column to sort by, such as a figure: the largest first");
  command
      ->add_option("--columns", flags.columns,
                   "status, stage, epochs, best_epoch, minutes, starts, started, host, commit, figures, options")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--filter", flags.filters, "only runs like this: condenser.hidden=48, minutes<10, status=finished; several: all of them")
      ->allow_extra_args(false);
  command->add_option("--compare", flags.compare, "runs to put side by side: the options that differ, every figure")->expected(2, 100);
  command->add_option("--json", flags.json, "file for everything that is known of the runs");
}

/// Lists or compares the runs under a folder. `headlines` are the figures that a list shows where no columns are asked for, as far as a run
/// has them.
inline std::string list_runs(RunsFlags const& flags, std::vector<std::string> const& headlines) {
  auto runs = find_runs(flags.folder);
  for (auto const& condition : flags.filters) runs = filter_runs(std::move(runs), condition);
  if (!flags.sort.empty()) sort_runs(runs, flags.sort);
  if (!flags.compare.empty()) {
    std::vector<RunInfo> chosen;
    for (auto const& wanted : flags.compare) {
      auto const same = [&](RunInfo const& run) {
        std::error_code error;
        return run.name == wanted || std::filesystem::equivalent(run.folder, wanted, error);
      };
      auto const at = std::find_if(runs.begin(), runs.end(), same);
      std::vector<std::string> names;
      for (auto const& run : runs) names.push_back(run.name);
      check(at != runs.end(), ErrorKind::usage, "--compare: there is no run '{}' in {}{}", wanted, flags.folder,
            names.empty() ? "" : fmt::format("; the nearest is '{}'", nearest_name(wanted, names)));
      chosen.push_back(*at);
    }
    runs = std::move(chosen);
  }
  if (!flags.json.empty()) write_file_atomically(flags.json, runs_json(runs).dump(2) + "\n");
  if (!flags.compare.empty()) return comparison_text(runs);
  auto columns = flags.columns;
  if (columns.empty()) {
    columns = {"status", "epochs", "best_epoch", "minutes"};
    for (auto const& figure : headlines)
      if (std::any_of(runs.begin(), runs.end(), [&](auto const& run) { return run.value(figure).has_value(); })) columns.push_back(figure);
  }
  return runs_text(runs, columns);
}

}  // namespace dew
