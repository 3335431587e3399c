// SPDX-License-Identifier: BSL-1.0
// A run folder has one process that trains in it.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

#include "dew/core/file.hpp"
#include "dew/core/host_name.hpp"

namespace dew {

/// The lock of a run folder, held until the object or its process ends, however it ends. It is an advisory lock of the system (`flock`) on the file
/// `lock`, which NFS and Lustre mounted with `flock` pass on to other machines; what stands in the file, host and process, is for messages alone, so
/// that a file left by a dead process is no obstacle. Throws `Error` (usage) that says who holds it.
class RunLock {
 public:
  /// `held()` is false where the file system keeps no locks: then nothing guards the folder.
  explicit RunLock(std::filesystem::path const& folder) : path_(folder / name) {
    for (bool current = false; !current;) {  // the holder before may have removed the file between opening and locking it
      descriptor_.emplace(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
      auto const file = descriptor_->number();
      check(file >= 0, ErrorKind::input, "{}: cannot be written: {}", path_.string(), detail::system_words());
      if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        auto const why = errno;
        if (why == EINTR) continue;
        check(why != EWOULDBLOCK, ErrorKind::usage, "{}: {} is training in this folder", folder.string(), holder(file));
        return;
      }
      struct ::stat locked{}, named{};
      current = ::fstat(file, &locked) == 0 && ::stat(path_.c_str(), &named) == 0 && locked.st_ino == named.st_ino &&
                locked.st_dev == named.st_dev;
    }
    held_ = true;
    auto const text = fmt::format("process {} on {}", ::getpid(), host_name());
    if (::ftruncate(descriptor_->number(), 0) != 0 || ::pwrite(descriptor_->number(), text.data(), text.size(), 0) < 0)
      return;  // the lock holds without its text
  }
  ~RunLock() {
    if (held_) ::unlink(path_.c_str());
  }
  RunLock(RunLock const&) = delete;
  RunLock& operator=(RunLock const&) = delete;
  bool held() const { return held_; }

  static constexpr char const* name = "lock";

 private:
  static std::string holder(int file) {
    std::array<char, 512> text{};
    auto const size = ::pread(file, text.data(), text.size() - 1, 0);
    return size > 0 ? std::string(text.data(), std::size_t(size)) : std::string("another process");
  }

  std::filesystem::path path_;
  std::optional<detail::Descriptor> descriptor_;
  bool held_ = false;
};

}  // namespace dew
