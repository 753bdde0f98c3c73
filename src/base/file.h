// Files: whole reads with a bound, memory maps, and writes that leave either the
// old content or the new, never a half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::base {

/// The errno of a failed system call as an Error: ENOENT is kNotFound, ENOSPC,
/// EDQUOT and ENOMEM kExhausted, all else kIo (kDenied is policy's word, not the kernel's).
Error errno_error(int errno_value, std::string_view what);

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  [[nodiscard]] int get() const { return fd_; }
  int release();

 private:
  int fd_ = -1;
};

/// What an inode looks like: as long as nobody writes through a mapping made before, equal stamps
/// mean equal content (times have the kernel's tick, some milliseconds).
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;  // since 1970
  bool operator==(const FileStamp&) const = default;
};
Result<FileStamp> stamp_of(int fd, const std::filesystem::path& path);

/// A regular file opened for reading: its size, and bounded positional reads.
class ReadFile {
 public:
  /// Errors: kNotFound, kIo, kInvalidArgument for what is no regular file.
  static Result<ReadFile> open(const std::filesystem::path& path);

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Fills `out` from `offset`. kCorrupt where the file ends before (also when it
  /// was cut short since it was opened).
  Status read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  UniqueFd fd_;
  uint64_t size_ = 0;
};

/// The whole file. kTooLarge where it is larger than `max_bytes`.
Result<std::string> read_text_file(const std::filesystem::path& path, uint64_t max_bytes);

/// The same of a file that holds a secret. kInvalidArgument where others than its owner may use it.
Result<std::string> read_private_file(const std::filesystem::path& path, uint64_t max_bytes);

/// Makes what was created, renamed or removed in `folder` durable.
Status sync_folder(const std::filesystem::path& folder);

/// Replaces `path` by `content`: a temporary file beside it, fsync, rename, fsync of
/// the folder. On any error the old file is as it was and nothing is left beside it.
Status write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// A file being written under a temporary name beside its final one. commit() makes
/// it appear; destroyed before that, nothing is left.
class AtomicFile {
 public:
  /// A link is followed; kInvalidArgument where `path` is a device, a folder or the like. `rights`
  /// are less the process's umask.
  static Result<AtomicFile> create(const std::filesystem::path& path, unsigned rights = 0666);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  [[nodiscard]] uint64_t written() const { return written_; }
  Status commit();

 private:
  AtomicFile() = default;
  std::filesystem::path path_, temporary_;
  UniqueFd fd_;
  uint64_t written_ = 0;
};

}  // namespace lantern::base
