// The journal of a log: the batches that are durable but not yet in tiles, so that a batch costs
// one fsync. docs/formats/audit-log.md has the format byte by byte.
//
// A record is written whole or it was never acknowledged: a record that the file's end cuts is an
// unfinished write and dropped. A whole one whose check is wrong was changed, and is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::audit {

inline constexpr size_t kJournalHeaderBytes = 32;
inline constexpr size_t kBatchEntriesMax = 4096;
inline constexpr size_t kBatchBytesMax = 4u << 20;     // of its entries, lengths included
inline constexpr size_t kJournalBytesMax = 64u << 20;  // a writer seals long before

struct JournalBatch {
  uint64_t first = 0;  // index of its first entry in the log
  std::vector<std::string> entries = {};
  std::string checkpoint = {};  // the signed note of the log's head after it
};

struct JournalRecords {
  std::vector<JournalBatch> batches = {};
  uint64_t bytes = 0;             // of the whole records
  uint64_t unfinished_bytes = 0;  // after them: a write that never ended
};

struct Journal {
  uint64_t base = 0;  // index of the first entry that is not older than the journal
  JournalRecords records = {};

  [[nodiscard]] uint64_t end() const {
    return records.batches.empty()
               ? base
               : records.batches.back().first + records.batches.back().entries.size();
  }
};

std::string journal_header(uint64_t base);
std::string journal_record(const JournalBatch& batch);

/// A whole journal. kCorrupt where a byte of a whole record was changed or records do not follow
/// one another.
Result<Journal> parse_journal(std::string_view bytes, std::string_view what);
/// Records alone, the first of which begins with entry `next`.
Result<JournalRecords> parse_journal_records(std::string_view bytes, uint64_t next,
                                             std::string_view what);

}  // namespace lantern::audit
