// Where a format's reader gets its bytes: a file, or memory (tests, fuzzers).
//
// Files are read, never mapped: a file that is cut short while it is read is an error
// here and would be a signal there, and what was read once cannot change under a check.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace lantern::format {

/// Random access to a fixed number of bytes. Thread-safe.
class Source {
 public:
  virtual ~Source() = default;
  /// What messages call it: a path.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual uint64_t size() const = 0;
  /// Fills `out` from `offset`; kCorrupt where the source ends before.
  virtual Status read_at(uint64_t offset, std::span<std::byte> out) const = 0;
  /// Of the inode as it was opened; nothing where there is none.
  [[nodiscard]] virtual std::optional<base::FileStamp> stamp() const { return std::nullopt; }
};

/// A file. It is not read on once it changed: what was checked of it holds for what is read later.
class FileSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const std::filesystem::path& path);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] uint64_t size() const override { return file_.size(); }
  /// kCorrupt also where the file changed since it was opened.
  Status read_at(uint64_t offset, std::span<std::byte> out) const override;
  [[nodiscard]] std::optional<base::FileStamp> stamp() const override { return stamp_; }

 private:
  FileSource(base::ReadFile file, const base::FileStamp& stamp)
      : file_(std::move(file)), stamp_(stamp), name_(file_.path().string()) {}

  base::ReadFile file_;
  base::FileStamp stamp_;
  std::string name_;
};

/// A descriptor of a file whose size was asked before, as a confined process is given one. It
/// outlives the source.
class FdSource final : public Source {
 public:
  FdSource(std::string name, int fd, uint64_t size)
      : name_(std::move(name)), fd_(fd), size_(size) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] uint64_t size() const override { return size_; }
  Status read_at(uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::string name_;
  int fd_;
  uint64_t size_;
};

/// `bytes` must outlive it.
class MemorySource final : public Source {
 public:
  MemorySource(std::string name, std::span<const std::byte> bytes)
      : name_(std::move(name)), bytes_(bytes) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] uint64_t size() const override { return bytes_.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) const override;

 private:
  std::string name_;
  std::span<const std::byte> bytes_;
};

/// Reads a source forward through a window, each byte once: ByteReader's manners for a header
/// that may be too large to hold. It stops at `limit` bytes; past that is kTooLarge.
class SourceReader {
 public:
  SourceReader(const Source& source, uint64_t limit) : source_(source), limit_(limit) {}

  [[nodiscard]] uint64_t position() const { return window_begin_ + used_; }
  /// Bytes that may still be read.
  [[nodiscard]] uint64_t remaining() const { return std::min(source_.size(), limit_) - position(); }
  [[nodiscard]] const Source& source() const { return source_; }

  /// A little-endian number; `field` is what a message calls it.
  template <typename T>
  requires(std::is_arithmetic_v<T>) Result<T> read(std::string_view field) {
    if (window_.size() - used_ < sizeof(T)) LANTERN_TRY(fill(sizeof(T), field));
    T value;
    std::memcpy(&value, window_.data() + used_, sizeof(T));
    used_ += sizeof(T);
    return value;
  }

  /// The next `n` bytes, valid until the next call.
  Result<std::string_view> read_bytes(uint64_t n, std::string_view field) {
    if (window_.size() - used_ < n) LANTERN_TRY(fill(n, field));
    std::string_view bytes(reinterpret_cast<const char*>(window_.data()) + used_, n);
    used_ += n;
    return bytes;
  }

  /// kCorrupt or kTooLarge unless `n` more bytes are there. Asked before memory is taken for
  /// them.
  Status require(uint64_t n, std::string_view field) const;

 private:
  Status fill(uint64_t n, std::string_view field);

  const Source& source_;
  uint64_t limit_;
  std::vector<std::byte> window_;
  uint64_t window_begin_ = 0;  // of the window, in the source
  size_t used_ = 0;            // of the window
};

}  // namespace lantern::format
