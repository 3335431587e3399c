// SPDX-License-Identifier: BSL-1.0
// EventFolder: a folder with files of events, found by their numbers.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "dew/core/error.hpp"

namespace dew {

/// A folder with files `eventNNNNNNNNN…`, numbers of at least 9 digits. Throws `Error`: (usage) where no folder is given, in the words of
/// `source`; (input) where there is none of that name.
class EventFolder {
 public:
  EventFolder(std::string_view source, std::string const& path) : path_(path) {
    check(!path.empty(), ErrorKind::usage, "{}: no folder of events is given", source);
    check(std::filesystem::is_directory(path_), ErrorKind::input, "{}: no such folder", path);
  }

  std::filesystem::path const& path() const& { return path_; }

  /// The numbers of the events with a file that ends in one of `endings` ("-hits.csv", "-hits.csv.gz"), ascending.
  std::vector<std::int64_t> ids(std::initializer_list<std::string_view> endings) const {
    std::vector<std::int64_t> out;
    std::error_code error;
    for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end; at.increment(error))
      for (auto const ending : endings)
        if (auto const id = event_of(at->path().filename().string(), ending); id >= 0) out.push_back(id);
    check(!error, ErrorKind::input, "{}: {}", path_.string(), error.message());
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  /// The path that an event's file with this ending has.
  std::filesystem::path file(std::int64_t id, std::string_view ending) const { return path_ / fmt::format("event{:09}{}", id, ending); }

  /// The first of an event's files `-KIND.csv` and `-KIND.csv.gz` that there is. Throws `Error` (input) naming the first where there is
  /// none.
  std::filesystem::path csv(std::int64_t id, std::initializer_list<std::string_view> kinds) const {
    for (auto const kind : kinds)
      for (auto const* packed : {"", ".gz"})
        if (auto path = file(id, fmt::format("-{}.csv{}", kind, packed)); std::filesystem::exists(path)) return path;
    fail(ErrorKind::input, "{}: no such file, nor one that ends in .gz", file(id, fmt::format("-{}.csv", *kinds.begin())).string());
  }

 private:
  /// The number of the event of which this is a file with that ending, −1 for other files.
  static std::int64_t event_of(std::string_view name, std::string_view ending) {
    constexpr std::string_view front = "event";
    if (!name.starts_with(front) || !name.ends_with(ending) || name.size() < front.size() + ending.size() + 9) return -1;
    auto const digits = name.substr(front.size(), name.size() - front.size() - ending.size());
    std::int64_t id = -1;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    return error == std::errc() && end == digits.data() + digits.size() && fmt::format("{:09}", id) == digits ? id : -1;
  }

  std::filesystem::path path_;
};

}  // namespace dew
