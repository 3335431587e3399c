// SPDX-License-Identifier: BSL-1.0
// Which commit of a git repository a folder is at, and whether its files are those of the commit; read from the repository's files, without
// git.
#pragma once
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/uuid/detail/sha1.hpp>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dew/core/file.hpp"

namespace dew {

/// The state of a working tree.
struct GitState {
  std::string commit;  ///< hexadecimal; empty before the first one
  std::string branch;  ///< empty where none is checked out
  std::optional<bool>
      dirty;  ///< a tracked file differs, or something is staged; nothing where that cannot be told. Untracked files do not count
};

namespace detail {
inline std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (char const c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}
/// The name that git gives a file's content.
inline std::string git_blob_name(std::string_view content) {
  boost::uuids::detail::sha1 sha;
  auto const head = fmt::format("blob {}", content.size());
  sha.process_bytes(head.c_str(), head.size() + 1);
  sha.process_bytes(content.data(), content.size());
  boost::uuids::detail::sha1::digest_type digest{};
  sha.get_digest(digest);
  std::string out;
  for (auto const part : digest) out += fmt::format("{:0{}x}", part, 2 * sizeof(part));  // bytes, or words in an older Boost
  return out;
}
inline std::string first_line(std::filesystem::path const& file) {
  auto const text = read_file(file);
  return text.substr(0, text.find_first_of("\r\n"));
}

/// Git's list of tracked files, `.git/index` of versions 2 to 4. Throws std::out_of_range on anything that it does not know.
class GitIndex {
 public:
  struct Entry {
    std::string path, name;  ///< `name` is the content's, hexadecimal
    std::uint32_t seconds, nanoseconds, mode, size, flags;
  };
  explicit GitIndex(std::string_view bytes) : rest_(bytes) {
    demand(take(4) == "DIRC");
    auto const version = word();
    demand(version >= 2 && version <= 4);
    auto const count = word();
    std::string before;
    for (std::uint32_t i = 0; i < count; ++i) entries.push_back(entry(version, before)), before = entries.back().path;
    while (rest_.size() > 20) {  // extensions; a checksum is last
      auto const kind = take(4);
      auto const content = take(word());
      if (kind == "TREE") staged = content.starts_with(std::string_view("\0-1 ", 4));
    }
  }
  std::vector<Entry> entries;
  bool staged = false;  ///< the tree of the next commit has not been written yet: something was added since the last

 private:
  static void demand(bool ok) {
    if (!ok) throw std::out_of_range("an index of another kind");
  }
  std::string_view take(std::size_t n) {
    demand(rest_.size() >= n);
    auto const out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (char const c : take(4)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  Entry entry(std::uint32_t version, std::string const& before) {
    auto const all = rest_.size();
    Entry e{};
    (void)word(), (void)word();  // when its inode changed
    e.seconds = word(), e.nanoseconds = word();
    (void)word(), (void)word();
    e.mode = word();
    (void)word(), (void)word();
    e.size = word();
    e.name = hexadecimal(take(20));
    auto const two = [&] {
      auto const bytes = take(2);
      return std::uint32_t(static_cast<unsigned char>(bytes[0])) << 8 | static_cast<unsigned char>(bytes[1]);
    };
    e.flags = two();
    if ((e.flags & 0x4000U) != 0) e.flags |= two() << 16;
    if (version == 4) {
      std::size_t cut = 0;
      for (bool more = true, first = true; more; first = false) {
        auto const byte = static_cast<unsigned char>(take(1)[0]);
        cut = (first ? 0 : (cut + 1) << 7) | (byte & 0x7FU);
        more = (byte & 0x80U) != 0;
      }
      demand(cut <= before.size());
      e.path = before.substr(0, before.size() - cut);
    }
    auto const end = rest_.find('\0');
    demand(end != std::string_view::npos);
    e.path += take(end);
    (void)take(1);
    if (version < 4)
      while ((all - rest_.size()) % 8 != 0) (void)take(1);
    return e;
  }

  std::string_view rest_;
};

/// Whether a tracked file is as it was added. Only one whose time has changed is read.
inline bool is_unchanged(std::filesystem::path const& file, GitIndex::Entry const& e) {
  constexpr std::uint32_t kind = 0170000, regular = 0100000, link = 0120000, skip_worktree = 0x40000000, stages = 0x3000;
  if ((e.flags & stages) != 0) return false;                                                                   // a conflict
  if ((e.flags & skip_worktree) != 0 || ((e.mode & kind) != regular && (e.mode & kind) != link)) return true;  // not here; a submodule
  struct ::stat status{};
  if (::lstat(file.c_str(), &status) != 0) return false;
  if ((e.mode & kind) == link) {
    std::error_code error;
    auto const target = std::filesystem::read_symlink(file, error).string();
    return !error && git_blob_name(target) == e.name;
  }
  if (!S_ISREG(status.st_mode) || std::uint32_t(status.st_size) != e.size) return false;
#ifdef __APPLE__
  auto const time = status.st_mtimespec;
#else
  auto const time = status.st_mtim;
#endif
  if (std::uint32_t(time.tv_sec) == e.seconds && (e.nanoseconds == 0 || std::uint32_t(time.tv_nsec) == e.nanoseconds)) return true;
  return git_blob_name(read_file(file)) == e.name;
}
}  // namespace detail

/// The state of the repository that a folder is in, if it is in one. Costs a look at each tracked file, as `git status` does. Files that
/// git converts when it checks them out (line ends, LFS) count as changed once their time has.
inline std::optional<GitState> git_state(std::filesystem::path const& folder) {
  namespace fs = std::filesystem;
  try {
    fs::path root, git;
    for (auto at = fs::absolute(folder).lexically_normal();; at = at.parent_path()) {
      if (fs::exists(at / ".git")) {
        root = at, git = at / ".git";
        break;
      }
      if (at == at.root_path() || at.empty()) return std::nullopt;
    }
    if (fs::is_regular_file(git)) {  // a further working tree, or a submodule
      auto const line = detail::first_line(git);
      if (!line.starts_with("gitdir: ")) return std::nullopt;
      git = root / line.substr(8);
    }
    auto const common = fs::exists(git / "commondir") ? git / detail::first_line(git / "commondir") : git;
    GitState state;
    auto const head = detail::first_line(git / "HEAD");
    if (head.starts_with("ref: ")) {
      auto const name = head.substr(5);
      state.branch = name.starts_with("refs/heads/") ? name.substr(11) : name;
      for (auto const& where : {git, common})
        if (state.commit.empty() && fs::exists(where / name)) state.commit = detail::first_line(where / name);
      if (state.commit.empty() && fs::exists(common / "packed-refs")) {
        std::istringstream lines(read_file(common / "packed-refs"));
        for (std::string line; std::getline(lines, line);)
          if (line.ends_with(" " + name)) state.commit = line.substr(0, line.find(' '));
      }
    } else state.commit = head;
    try {
      auto const bytes = read_file(git / "index");
      detail::GitIndex const index(bytes);
      bool const never_committed = state.commit.empty() && !index.entries.empty();
      state.dirty = never_committed || index.staged || !std::all_of(index.entries.begin(), index.entries.end(), [&](auto const& e) {
                      return detail::is_unchanged(root / e.path, e);
                    });
    } catch (std::exception const&) {}  // none yet, or of a kind that is not known: cannot be told
    return state;
  } catch (std::exception const&) { return std::nullopt; }
}

}  // namespace dew
