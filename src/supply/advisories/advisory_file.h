// advisories.db: imported records in one file.
//
//   lantern-advisories 1 <number of records> <bytes of the index>\n
//   the index, a line a record, fields divided by tabs:
//     osv|vex  sha256  offset  bytes  seconds  nanoseconds  version  id  key...\n
//   the records' bytes; offsets count from their first
//
// Seconds and nanoseconds are `modified` (VEX: the document's time), version is a VEX document's.
// Ids and keys are percent-encoded. A key is what a subject can be found by: "d" and a digest, "p"
// and a package, "r" and a repository.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/result.h"
#include "supply/advisories/match.h"

namespace lantern::supply {

enum class RecordKind { kOsv, kVex };

struct RecordEntry {
  RecordKind kind = RecordKind::kOsv;
  std::string_view sha256 = {};  // of its bytes: 64 digits
  uint64_t offset = 0, bytes = 0;
  Instant modified = {};
  uint64_t version = 0;
  std::string_view id = {};    // encoded
  std::string_view keys = {};  // encoded, each after a tab
};

/// An open file: a snapshot, whatever is imported later.
class AdvisoryFile {
 public:
  /// kNotFound where there is none. kCorrupt, kTooLarge, kIo.
  static Result<AdvisoryFile> open(const std::filesystem::path& path);

  [[nodiscard]] const std::vector<RecordEntry>& entries() const { return entries_; }
  /// The record's bytes. kCorrupt where they are not those of its digest.
  Result<std::string> read(const RecordEntry& entry) const;

 private:
  explicit AdvisoryFile(base::ReadFile file) : file_(std::move(file)) {}
  Status parse_index(size_t n_records);

  base::ReadFile file_;
  std::vector<char> index_;  // entries_ look into it
  std::vector<RecordEntry> entries_;
  uint64_t records_begin_ = 0;
};

/// A record to be written: from an older file, or new (`text`).
struct RecordToWrite {
  RecordKind kind = RecordKind::kOsv;
  std::string id = {};  // encoded
  Instant modified = {};
  uint64_t version = 0;
  std::string keys = {};  // encoded, each after a tab
  std::string text = {};
  std::string sha256 = {};
  std::optional<RecordEntry> old = {};  // then `text` is empty
};

/// Replaces `path` by these records. `old_file` is that of the records that have an `old`.
Status write_advisory_file(const std::filesystem::path& path,
                           std::span<const RecordToWrite> records, const AdvisoryFile* old_file);

/// What records are found by, each after a tab.
std::string keys_of(const Advisory& advisory);
std::string keys_of(const VexDocument& document);
/// What `subject` is looked up by.
std::vector<std::string> keys_of(const AdvisorySubject& subject);

}  // namespace lantern::supply
