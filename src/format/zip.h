// A bounded reader of zip archives (PKWARE's APPNOTE 6.3: stored, deflate, zip64): wheels,
// PyTorch files.
//
// Stricter than most: an archive that two readers could see differently is refused. The
// central directory must end where its end record begins, every local header must agree with its
// entry, entries may neither overlap nor share a name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/source.h"

namespace lantern::format {

struct ZipLimits {
  uint64_t entries = 1u << 16;
  uint64_t directory_bytes = 64u << 20;
  uint64_t name_bytes = 4096;
  uint64_t entry_bytes = uint64_t{1} << 40;  // of one entry, extracted
  uint64_t total_bytes = uint64_t{1} << 42;  // of all
  /// Extracted to compressed size, for entries of more than 1 MiB. Deflate itself reaches 1032.
  uint64_t ratio = 250;
};

struct ZipEntry {
  /// As it stands in the archive: no NUL, else any bytes, "../x" and "/x" among them. Nothing here
  /// makes a path of it; who does must ask is_safe_path().
  std::string name;
  uint64_t size = 0;             // extracted
  uint64_t compressed_size = 0;  // in the archive
  uint64_t data_offset = 0;      // of the compressed data, in the archive
  uint32_t crc32 = 0;
  uint16_t method = 0;  // 0 stored, 8 deflate; others can be listed, not extracted
  bool is_encrypted = false;

  [[nodiscard]] bool is_folder() const { return name.ends_with('/'); }
};

/// Whether `name` stays inside the folder it is put in on every system: relative, with no empty,
/// "." or ".." component, no backslash, colon or control character, and UTF-8.
bool is_safe_path(std::string_view name);

/// An opened archive. Thread-safe: extractions may run side by side.
class ZipFile {
 public:
  /// Takes the extracted bytes in order; an error ends the extraction with it.
  using Sink = std::function<Status(std::span<const std::byte>)>;

  /// Reads the directory and every local header. Errors name file, entry and field:
  /// kCorrupt, kUnsupported (several disks, an encrypted directory), kTooLarge past a limit.
  static Result<ZipFile> open(const std::filesystem::path& path, const ZipLimits& limits = {});
  static Result<ZipFile> open(std::unique_ptr<Source> source, const ZipLimits& limits = {});

  [[nodiscard]] std::span<const ZipEntry> entries() const { return entries_; }
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;

  /// Streams an entry of this archive into `sink`. The sum is checked at the end, so what the sink
  /// got is good only once this returned no error: kCorrupt where length, stream or CRC-32 do not
  /// match, kUnsupported for encrypted entries and other methods, the sink's own errors.
  Status extract(const ZipEntry& entry, const Sink& sink) const;
  /// A small entry as a whole: kTooLarge where it is larger than `max_bytes`.
  Result<std::string> extract_text(const ZipEntry& entry, uint64_t max_bytes) const;

 private:
  explicit ZipFile(std::unique_ptr<Source> source) : source_(std::move(source)) {}

  Status extract_stored(const ZipEntry& entry, const Sink& sink, uint32_t& crc) const;
  Status extract_deflated(const ZipEntry& entry, const Sink& sink, uint32_t& crc) const;

  std::unique_ptr<Source> source_;
  std::vector<ZipEntry> entries_;  // in the directory's order
  std::vector<uint32_t> by_name_;
};

}  // namespace lantern::format
