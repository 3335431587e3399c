// SPDX-License-Identifier: BSL-1.0
// Tensors in files: the safetensors format, read with every promise checked, written with the same bytes for the same content.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dew/core/error.hpp"
#include "dew/core/file.hpp"
#include "dew/core/record.hpp"
#include "dew/core/torch.hpp"

namespace dew {

/// The content of a safetensors file: tensors by name, and text by name.
struct SafeTensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

namespace detail {
static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct SafeTensorsType {
  std::string_view name;
  at::ScalarType dtype;
};
inline constexpr std::array<SafeTensorsType, 8> safetensors_types{{{"F64", at::kDouble},
                                                                   {"F32", at::kFloat},
                                                                   {"F16", at::kHalf},
                                                                   {"BF16", at::kBFloat16},
                                                                   {"I64", at::kLong},
                                                                   {"I32", at::kInt},
                                                                   {"U8", at::kByte},
                                                                   {"BOOL", at::kBool}}};
inline std::string_view safetensors_type(at::ScalarType dtype) {
  for (auto const& type : safetensors_types)
    if (type.dtype == dtype) return type.name;
  return {};
}

/// Where a tensor's bytes are in the file's data.
struct SafeTensorsEntry {
  std::string name;
  at::ScalarType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;
};

inline SafeTensorsEntry safetensors_entry(std::string const& name, nlohmann::json const& json, std::uint64_t bytes,
                                          std::string const& file) {
  auto const demand = [&](bool ok, char const* what) { check(ok, ErrorKind::input, "{}: tensor '{}': {}", file, name, what); };
  demand(json.is_object() && json.contains("dtype") && json.contains("shape") && json.contains("data_offsets"),
         "expected dtype, shape and data_offsets");
  auto const &dtype = json["dtype"], &shape = json["shape"], &offsets = json["data_offsets"];
  demand(dtype.is_string(), "expected text as its dtype");
  auto const type = std::find_if(safetensors_types.begin(), safetensors_types.end(),
                                 [&](auto const& t) { return t.name == dtype.get_ref<std::string const&>(); });
  check(type != safetensors_types.end(), ErrorKind::input, "{}: tensor '{}': unknown dtype {}", file, name,
        dtype.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  demand(shape.is_array() && std::all_of(shape.begin(), shape.end(), [](auto const& n) { return n.is_number_unsigned(); }),
         "expected non-negative integers as its shape");
  demand(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() && offsets[1].is_number_unsigned(),
         "expected two non-negative integers as its data_offsets");
  SafeTensorsEntry out{name, type->dtype, {}, offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
  check(out.begin <= out.end && out.end <= bytes, ErrorKind::input,
        "{}: tensor '{}': its bytes {} to {} are not inside the data, which has {}", file, name, out.begin, out.end, bytes);
  std::uint64_t size = c10::elementSize(out.dtype);
  for (auto const& n : shape) {
    auto const length = n.get<std::uint64_t>();
    demand(length <= std::uint64_t(INT64_MAX), "its shape is too large");
    out.shape.push_back(std::int64_t(length));
  }
  if (std::find(out.shape.begin(), out.shape.end(), 0) != out.shape.end()) size = 0;
  for (auto const n : out.shape)
    if (size > 0) {
      demand(std::uint64_t(n) <= bytes / size, "its shape needs more bytes than the file has");
      size *= std::uint64_t(n);
    }
  check(size == out.end - out.begin, ErrorKind::input, "{}: tensor '{}': its shape [{}] needs {} bytes, its data_offsets give {}", file,
        name, fmt::join(out.shape, ", "), size, out.end - out.begin);
  return out;
}

/// Parses a header strictly: a name that stands twice is an error, not the last of both.
inline nlohmann::json safetensors_header(std::string_view text, std::string const& file) {
  std::vector<std::set<std::string>> names;  // of each object that is open
  auto const no_name_twice = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key) {
      auto const& name = parsed.get_ref<std::string const&>();
      check(names.back().insert(name).second, ErrorKind::input, "{}: broken safetensors header: '{}' stands twice", file, name);
    }
    return true;
  };
  try {
    auto json = nlohmann::json::parse(text.begin(), text.end(), no_name_twice);
    check(json.is_object(), ErrorKind::input, "{}: broken safetensors header: expected an object", file);
    return json;
  } catch (nlohmann::json::exception const& e) { fail(ErrorKind::input, "{}: broken safetensors header: {}", file, e.what()); }
}
}  // namespace detail

namespace detail {
/// The content of a safetensors file's bytes; `make(entry, bytes)` makes the tensors.
inline SafeTensors parse_safetensors(std::string_view bytes, std::string const& file,
                                     std::function<Tensor(SafeTensorsEntry const&, std::string_view)> const& make) {
  check(bytes.size() >= 8, ErrorKind::input, "{}: truncated safetensors: it has {} bytes, and its header's length alone takes 8", file,
        bytes.size());
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  check(header_size <= bytes.size() - 8, ErrorKind::input, "{}: truncated safetensors (or none): its header has {} bytes, the file {}",
        file, header_size, bytes.size());
  auto const json = safetensors_header(bytes.substr(8, header_size), file);
  auto const data = bytes.substr(8 + header_size);

  SafeTensors out;
  std::vector<SafeTensorsEntry> entries;
  for (auto const& [name, value] : json.items()) {
    if (name == "__metadata__") {
      check(value.is_object(), ErrorKind::input, "{}: expected an object as __metadata__", file);
      for (auto const& [key, text] : value.items()) {
        check(text.is_string(), ErrorKind::input, "{}: metadata '{}': expected text", file, key);
        out.metadata[key] = text.get<std::string>();
      }
    } else entries.push_back(safetensors_entry(name, value, data.size(), file));
  }
  std::sort(entries.begin(), entries.end(),
            [](auto const& a, auto const& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t end = 0;
  for (auto const& entry : entries) {
    check(entry.begin >= end, ErrorKind::input, "{}: tensor '{}': its bytes overlap with another's", file, entry.name);
    check(entry.begin == end, ErrorKind::input, "{}: {} bytes before tensor '{}' belong to none", file, entry.begin - end, entry.name);
    end = entry.end;
  }
  check(end == data.size(), ErrorKind::input, "{}: {} bytes at its end belong to no tensor", file, data.size() - end);
  for (auto const& entry : entries) {
    auto const from = data.substr(entry.begin, entry.end - entry.begin);
    if (entry.dtype == at::kBool)
      check(std::all_of(from.begin(), from.end(), [](char c) { return c == 0 || c == 1; }), ErrorKind::input,
            "{}: tensor '{}': a boolean is neither 0 nor 1", file, entry.name);
    out.tensors.emplace(entry.name, make(entry, from));
  }
  return out;
}

inline Tensor copied_tensor(SafeTensorsEntry const& entry, std::string_view bytes) {
  auto tensor = at::empty(entry.shape, entry.dtype);
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}
}  // namespace detail

/// Reads a safetensors file. Tensors are on the CPU and own their memory. Throws `Error` (input) naming the file, and the tensor where there
/// is one: truncated or oversized, a header that is no JSON, an unknown dtype, a shape that does not fit its bytes, bytes outside the data,
/// bytes of two tensors that overlap, bytes of none. Time and memory: the file's size, twice for a moment.
inline SafeTensors read_safetensors(std::filesystem::path const& path) {
  return detail::parse_safetensors(read_file(path), path.string(), detail::copied_tensor);
}

/// The same with tensors that stand in the file itself (see `MappedFile`): its numbers are read when they are looked at, and what is written to
/// them does not reach it. Tensors whose place in the file is no multiple of their elements' size are copied. Time: the header and the booleans.
inline SafeTensors map_safetensors(std::filesystem::path const& path) {
  auto const file = std::make_shared<MappedFile>(path);
  auto const bytes = file->bytes();
  return detail::parse_safetensors(std::string_view(bytes.data(), bytes.size()), path.string(),
                                   [&](detail::SafeTensorsEntry const& entry, std::string_view of_tensor) {
                                     auto* const at = bytes.data() + (of_tensor.data() - bytes.data());
                                     if (of_tensor.empty() || std::bit_cast<std::uintptr_t>(at) % c10::elementSize(entry.dtype) != 0)
                                       return detail::copied_tensor(entry, of_tensor);
                                     return at::from_blob(at, entry.shape, [file](void*) {}, at::TensorOptions(entry.dtype));
                                   });
}

/// The bytes of a safetensors file: tensors in the order of their names, behind a header of a multiple of 8 bytes. Equal content, equal bytes.
/// Tensors may be on any device and have any strides. Throws `Error` (internal) on a dtype that the format has no name for here.
inline std::string safetensors_bytes(SafeTensors const& content) {
  auto header = nlohmann::json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::uint64_t offset = 0;
  for (auto const& [name, tensor] : content.tensors) {
    check(name != "__metadata__", "safetensors: a tensor cannot be called __metadata__");
    check(tensor.defined(), "safetensors: tensor '{}' is undefined", name);
    auto const type = detail::safetensors_type(tensor.scalar_type());
    check(!type.empty(), "safetensors: tensor '{}' has dtype {}, which cannot be written", name, at::toString(tensor.scalar_type()));
    auto const size = std::uint64_t(tensor.numel()) * tensor.element_size();
    header[name] = {{"dtype", type},
                    {"shape", std::vector<std::int64_t>(tensor.sizes().begin(), tensor.sizes().end())},
                    {"data_offsets", {offset, offset + size}}};
    offset += size;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (nlohmann::json::exception const& e) {
    fail(ErrorKind::internal, "safetensors: a name or metadata is no UTF-8 text: {}", e.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::uint64_t const length = text.size();
  std::string bytes;
  bytes.reserve(8 + length + offset);
  bytes.append(reinterpret_cast<char const*>(&length), 8).append(text);
  for (auto const& entry : content.tensors) {
    auto const tensor = entry.second.detach().to(at::kCPU).contiguous();
    bytes.append(static_cast<char const*>(tensor.const_data_ptr()), tensor.numel() * tensor.element_size());
  }
  return bytes;
}

/// Writes a safetensors file: aside, flushed, renamed (`write_file_atomically`).
inline void write_safetensors(std::filesystem::path const& path, SafeTensors const& content) {
  write_file_atomically(path, safetensors_bytes(content));
}

/// Writes a record's tensors under their keys' names.
template <class R>
void save_record(std::filesystem::path const& path, R const& record, std::map<std::string, std::string> const& metadata = {}) {
  SafeTensors out{.tensors = {}, .metadata = metadata};
  record.for_each([&]<class K>(K, Tensor const& tensor) { out.tensors[std::string(K::name)] = tensor; });
  write_safetensors(path, out);
}

namespace detail {
template <class R> struct RecordLoader;
template <class... S> struct RecordLoader<Record<S...>> {
  static Record<S...> load(SafeTensors content, std::string const& file) {
    std::vector<std::string> missing, unexpected;
    auto take = [&]<class K>(K, bool maybe) {
      auto node = content.tensors.extract(std::string(K::name));
      if (node.empty() && !maybe) missing.emplace_back(K::name);
      return node.empty() ? Tensor() : std::move(node.mapped());
    };
    std::array<Tensor, sizeof...(S)> values{take(typename Slot<S>::key{}, Slot<S>::maybe)...};
    for (auto const& entry : content.tensors) unexpected.push_back(entry.first);
    check(missing.empty() && unexpected.empty(), ErrorKind::input, "{}: is not the record that is asked for:{}{}", file,
          missing.empty() ? "" : fmt::format(" missing {}", fmt::join(missing, ", ")),
          unexpected.empty() ? "" : fmt::format("{} unexpected {}", missing.empty() ? "" : ";", fmt::join(unexpected, ", ")));
    try {
      return [&]<std::size_t... i>(std::index_sequence<i...>) {
        return Record<S...>{set<typename Slot<S>::key>(std::move(values[i]))...};
      }(std::index_sequence_for<S...>{});
    } catch (Error const& e) { fail(ErrorKind::input, "{}: {}", file, e.what()); }
  }
};
}  // namespace detail

/// Reads a record that `save_record` wrote: exactly its keys, each checked as everywhere where a tensor enters. Missing and unexpected names
/// are listed in the error (input), which names the file.
template <class R>
R load_record(std::filesystem::path const& path) {
  return detail::RecordLoader<R>::load(read_safetensors(path), path.string());
}

/// The same with tensors that stand in the file itself: see `map_safetensors`.
template <class R>
R map_record(std::filesystem::path const& path) {
  return detail::RecordLoader<R>::load(map_safetensors(path), path.string());
}

}  // namespace dew
