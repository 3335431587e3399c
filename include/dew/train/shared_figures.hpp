// SPDX-License-Identifier: BSL-1.0
// Figures of events that several processes have measured, on every process, as if it had measured them all.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "dew/metric/summary.hpp"
#include "dew/train/processes.hpp"

namespace dew {

/// The figures in the summary of one event, those that are undefined included.
inline Figures figures_in(Summary const& event) {
  Figures out;
  for (auto const& name : event.names()) {
    for (auto const value : event.values(name)) out.emplace_back(name, value);
    for (std::int64_t i = 0; i < event.left_out(name); ++i) out.emplace_back(name, std::numeric_limits<double>::quiet_NaN());
  }
  return out;
}

namespace detail {
inline void put_number(std::string& bytes, std::uint64_t number) { bytes.append(reinterpret_cast<char const*>(&number), sizeof number); }
/// Reads what `put_number` and text have written, in the order of writing.
class FigureReader {
 public:
  explicit FigureReader(std::string const& bytes) : bytes_(bytes) {}
  bool ended() const { return at_ == bytes_.size(); }
  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view take(std::size_t size) {
    check(size <= bytes_.size() - at_, "figures of another process: {} bytes wanted at {} of {}", size, at_, bytes_.size());
    at_ += size;
    return std::string_view(bytes_).substr(at_ - size, size);
  }

 private:
  std::string const& bytes_;
  std::size_t at_ = 0;
};
}  // namespace detail

/// Fills in what other processes have measured: of a list of events, each process has filled in those that it `has`. Bit for bit; every process then
/// has the same, and averages in the order of the events are those of one process.
inline void share_figures(Processes& processes, std::vector<Figures>& events) {
  if (processes.alone()) return;
  std::string mine;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (!processes.has(std::int64_t(i))) continue;
    detail::put_number(mine, i);
    detail::put_number(mine, events[i].size());
    for (auto const& [name, value] : events[i]) {
      detail::put_number(mine, name.size());
      mine += name;
      detail::put_number(mine, std::bit_cast<std::uint64_t>(value));
    }
  }
  auto const all = processes.gather(mine);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (int(rank) == processes.rank()) continue;
    detail::FigureReader reader(all[rank]);
    while (!reader.ended()) {
      auto const event = std::size_t(reader.number());
      check(event < events.size(), "figures of another process: of event {} of {}", event, events.size());
      auto& figures = events[event];
      figures.resize(std::size_t(reader.number()));
      for (auto& [name, value] : figures) {
        name = reader.take(std::size_t(reader.number()));
        value = std::bit_cast<double>(reader.number());
      }
    }
  }
}

}  // namespace dew
