// SPDX-License-Identifier: BSL-1.0
// Whole files: read or mapped, written aside and renamed, hashed.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "dew/core/error.hpp"

namespace dew {

namespace detail {
/// A POSIX file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
  int number() const { return number_; }
  /// Closes now; false when the system could not write what was still pending.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};
/// The system's words for the last error.
inline std::string system_words() { return std::generic_category().message(errno); }

/// A file that is open for reading, and what the system says of it. Throws as `read_file` does.
struct OpenFile {
  Descriptor descriptor;
  struct ::stat status{};
  explicit OpenFile(std::filesystem::path const& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    check(descriptor.number() >= 0, ErrorKind::input, "{}: {}", path.string(), errno == ENOENT ? "no such file" : system_words());
    check(::fstat(descriptor.number(), &status) == 0, ErrorKind::input, "{}: {}", path.string(), system_words());
    check(!S_ISDIR(status.st_mode), ErrorKind::input, "{}: is a folder, not a file", path.string());
  }
};

/// All that comes from a file.
inline std::string read_all(OpenFile const& opened, std::filesystem::path const& path) {
  auto const& file = opened.descriptor;
  auto const& status = opened.status;
  std::string bytes(S_ISREG(status.st_mode) ? std::size_t(status.st_size) : 0, '\0');
  std::size_t filled = 0;
  for (;;) {  // the size is a hint: pipes have none, and a file may grow while it is read
    if (filled == bytes.size()) {
      char next = 0;
      auto const got = ::read(file.number(), &next, 1);
      if (got < 0 && errno == EINTR) continue;
      check(got >= 0, ErrorKind::input, "{}: {}", path.string(), system_words());
      if (got == 0) return bytes;
      bytes.push_back(next), ++filled;
      bytes.resize(bytes.size() * 2 + 4096);
    }
    auto const got = ::read(file.number(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, ErrorKind::input, "{}: {}", path.string(), system_words());
    if (got == 0) {
      bytes.resize(filled);
      return bytes;
    }
    filled += std::size_t(got);
  }
}
}  // namespace detail

/// The bytes of a file. Throws `Error` (input) naming the file when it is not there, is a folder or cannot be read.
inline std::string read_file(std::filesystem::path const& path) { return detail::read_all(detail::OpenFile(path), path); }

/// The bytes of a file where the system keeps them: a page is read when it is looked at first. What is written to them stays in this process.
/// Where the system maps nothing (pipes, empty files) they are read at once. Throws as `read_file` does.
///
/// For files that are replaced whole, as `write_file_atomically` does: the old bytes stay, also when their name is gone. A file that somebody
/// cuts meanwhile ends the process at the first page that is missing.
class MappedFile {
 public:
  explicit MappedFile(std::filesystem::path const& path) {
    detail::OpenFile const file(path);
    if (S_ISREG(file.status.st_mode) && file.status.st_size > 0) {
      auto const size = std::size_t(file.status.st_size);
      auto* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.descriptor.number(), 0);
      if (at != MAP_FAILED) mapped_ = {static_cast<char*>(at), size};
    }
    if (mapped_.empty()) read_ = detail::read_all(file, path);
  }
  ~MappedFile() {
    if (!mapped_.empty()) ::munmap(mapped_.data(), mapped_.size());
  }
  MappedFile(MappedFile const&) = delete;
  MappedFile& operator=(MappedFile const&) = delete;
  std::span<char> bytes() { return mapped_.empty() ? std::span<char>(read_) : mapped_; }

 private:
  std::span<char> mapped_;
  std::string read_;
};

/// Waits until what was written to a file, or the names in a folder, are on the disk. Throws `Error` (input) naming it. A folder on a file system
/// that cannot do that is passed over.
inline void flush_to_disk(std::filesystem::path const& path) {
  detail::Descriptor const opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.number() >= 0 && ::fsync(opened.number()) == 0) return;
  auto const words = detail::system_words();
  std::error_code no_folder;
  check(std::filesystem::is_directory(path, no_folder), ErrorKind::input, "{}: cannot be written: {}", path.string(), words);
}

/// Whether a file has a name under which `write_file_atomically` writes aside, `<file>.<process>-<number>.part`: what is left of a process that
/// was killed meanwhile.
inline bool is_written_aside(std::filesystem::path const& path) {
  auto const marks = path.stem().extension().string();  // ".1234-0"
  auto const dash = marks.find('-');
  return path.extension() == ".part" && dash != std::string::npos && dash > 1 && dash + 1 < marks.size() &&
         marks.find_first_not_of("0123456789", 1) == dash && marks.find_first_not_of("0123456789", dash + 1) == std::string::npos;
}

/// Writes a file so that whoever looks sees the old one or the new one, whole: written aside in the same folder, flushed to the disk, renamed.
/// Throws `Error` (input) naming the file; what was written aside is removed then, and the old file stays.
inline void write_file_atomically(std::filesystem::path const& path, std::string_view bytes) {
  static std::atomic<unsigned> count = 0;
  auto const aside = std::filesystem::path(path.string() + fmt::format(".{}-{}.part", ::getpid(), count++));
  bool written = false;
  struct RemovedUnless {
    bool const& written;
    std::filesystem::path const& aside;
    ~RemovedUnless() {
      if (!written) ::unlink(aside.c_str());
    }
  } const removed{written, aside};
  auto const demand = [&](bool ok) { check(ok, ErrorKind::input, "{}: cannot be written: {}", path.string(), detail::system_words()); };
  {
    detail::Descriptor file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    demand(file.number() >= 0);
    for (auto rest = bytes; !rest.empty();) {
      auto const put = ::write(file.number(), rest.data(), rest.size());
      if (put < 0 && errno == EINTR) continue;
      demand(put >= 0);
      rest.remove_prefix(std::size_t(put));
    }
    demand(::fsync(file.number()) == 0);
    demand(file.close());
  }
  demand(::rename(aside.c_str(), path.c_str()) == 0);
  written = true;
  flush_to_disk(path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path());  // the new name
}

/// A 64-bit hash of bytes: equal input, equal output, on every machine of one byte order. Finds changed files; no defence against forgery.
inline std::uint64_t content_hash(std::string_view bytes, std::uint64_t seed = 0) {
  auto const mix = [](std::uint64_t h, std::uint64_t word) {
    h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
    return h ^ std::rotr(h, 29);
  };
  std::uint64_t h = mix(seed ^ 0x2545f4914f6cdd1dULL, bytes.size());
  std::size_t i = 0;
  for (std::uint64_t word = 0; i + 8 <= bytes.size(); i += 8) {
    std::memcpy(&word, bytes.data() + i, 8);
    h = mix(h, word);
  }
  std::uint64_t last = 0;
  if (i < bytes.size()) std::memcpy(&last, bytes.data() + i, bytes.size() - i);
  return mix(mix(h, last), 0x94d049bb133111ebULL);
}

}  // namespace dew
