// A bounded reader of ZIP archives (PKWARE APPNOTE 6.3.10), for what comes from outside: wheels,
// PyTorch files. Only the central directory is believed, then held against each member's own local
// header. Names are compared and shown, never turned into paths, so no entry can escape a folder.
//
// Understood: stored and deflated members, zip64, data descriptors. Refused as kUnsupported:
// encryption, other methods, archives in several volumes. An archive may have bytes before it
// (a self-extracting one does), none behind its end record but that record's comment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace lantern::format {

struct ZipLimits {
  uint64_t entries_max = 1u << 20;
  uint64_t directory_bytes_max = 256u << 20;
  uint64_t entry_bytes_max = uint64_t{1} << 40;
  /// Deflate's own limit is 1032:1; a member that claims more than this lies about its sizes.
  uint64_t ratio_max = 1100;
};

struct ZipEntry {
  std::string name;  // as stored: bytes from outside, not a path to use
  uint64_t size = 0;
  uint64_t compressed_size = 0;
  uint64_t header_offset = 0;  // of the local header, from the file's start
  uint32_t crc32 = 0;
  uint16_t method = 0;  // 0 stored, 8 deflated
  uint16_t flags = 0;
};

class ZipFile {
 public:
  /// Receives a member's bytes in order; an error ends the extraction.
  using Sink = std::function<Status(std::span<const std::byte>)>;

  /// Reads the central directory. kCorrupt where it contradicts the file (names that stand twice,
  /// ranges outside the file), kUnsupported, kExhausted past a limit.
  static Result<ZipFile> open(const std::filesystem::path& path, const ZipLimits& limits = {});

  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;
  /// Where a member's data begins in the file, for reading stored members in place.
  [[nodiscard]] Result<uint64_t> data_offset(const ZipEntry& entry) const;

  /// Gives the member's bytes to `sink`: at most entry.size of them. Its size and CRC-32 are
  /// checked at the end, so what the sink took is good only when this returns no error.
  Status extract(const ZipEntry& entry, const Sink& sink) const;

 private:
  ZipFile() = default;
  base::ReadFile file_;
  ZipLimits limits_;
  uint64_t directory_offset_ = 0;  // members end before it
  std::vector<ZipEntry> entries_;  // sorted by name
};

}  // namespace lantern::format
