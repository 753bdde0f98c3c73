#include "audit/journal.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "audit/note.h"
#include "audit/tiles.h"
#include "base/byte_reader.h"
#include "base/hash.h"

namespace lantern::audit {
namespace {

constexpr std::string_view kJournalMagic = "LANTJRNL";
constexpr uint32_t kJournalVersion = 1;
constexpr uint32_t kRecordMagic = 0x48435442;  // "BTCH"
constexpr size_t kRecordHeaderBytes = 32;
constexpr size_t kCheckBytes = 8;
constexpr size_t kTrailerBytes = 32;

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

std::string_view view_of(const base::Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string check_of(std::string_view bytes) {
  return std::string(view_of(base::sha256(bytes)).substr(0, kCheckBytes));
}

bool all_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

struct RecordHeader {
  uint32_t n_entries = 0;
  uint64_t first = 0;
  uint32_t entries_bytes = 0;
  uint32_t checkpoint_bytes = 0;

  [[nodiscard]] uint64_t body_bytes() const { return uint64_t{entries_bytes} + checkpoint_bytes; }
};

Result<RecordHeader> parse_record_header(std::string_view bytes, uint64_t next,
                                         std::string_view what) {
  base::ByteReader reader(std::as_bytes(std::span(bytes)));
  RecordHeader header;
  LANTERN_ASSIGN(const auto magic, reader.read<uint32_t>("magic"));
  LANTERN_ASSIGN(header.n_entries, reader.read<uint32_t>("number of entries"));
  LANTERN_ASSIGN(header.first, reader.read<uint64_t>("first entry"));
  LANTERN_ASSIGN(header.entries_bytes, reader.read<uint32_t>("bytes of entries"));
  LANTERN_ASSIGN(header.checkpoint_bytes, reader.read<uint32_t>("bytes of the checkpoint"));
  const size_t checked = kRecordHeaderBytes - kCheckBytes;
  if (magic != kRecordMagic ||
      bytes.substr(checked, kCheckBytes) != check_of(bytes.substr(0, checked)))
    return make_error(ErrorCode::kCorrupt, "{}: the record of entry {} was changed", what, next);
  if (header.first != next)
    return make_error(ErrorCode::kCorrupt, "{}: a record begins with entry {} where {} follows",
                      what, header.first, next);
  if (header.n_entries == 0 || header.n_entries > kBatchEntriesMax ||
      header.entries_bytes > kBatchBytesMax || header.checkpoint_bytes > kNoteBytesMax)
    return make_error(ErrorCode::kCorrupt, "{}: the record of entry {} is out of bounds", what,
                      next);
  return header;
}

// Where a crash left the file longer than what was written, the rest is zeros. A change of a bit
// does not make eight bytes of a digest zero.
constexpr size_t kZeros = 8;

bool is_unfinished(std::string_view bytes) {
  return bytes.size() < kRecordHeaderBytes ||
         all_zero(bytes.substr(kRecordHeaderBytes - kCheckBytes));
}

}  // namespace

std::string journal_header(uint64_t base) {
  std::string out(kJournalMagic);
  put(out, kJournalVersion);
  put(out, uint32_t{0});
  put(out, base);
  return out + check_of(out);
}

std::string journal_record(const JournalBatch& batch) {
  std::string entries;
  for (const std::string& entry : batch.entries) append_to_bundle(entries, entry);
  std::string out;
  put(out, kRecordMagic);
  put(out, static_cast<uint32_t>(batch.entries.size()));
  put(out, batch.first);
  put(out, static_cast<uint32_t>(entries.size()));
  put(out, static_cast<uint32_t>(batch.checkpoint.size()));
  out += check_of(out);
  const std::string body = entries + batch.checkpoint;
  return out + body + std::string(view_of(base::sha256(body)));
}

Result<Journal> parse_journal(std::string_view bytes, std::string_view what) {
  if (bytes.size() > kJournalBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what, bytes.size(),
                      kJournalBytesMax);
  base::ByteReader reader(std::as_bytes(std::span(bytes)));
  Journal journal;
  auto header = reader.read_bytes(kJournalHeaderBytes, "header");
  if (!header.ok()) return std::move(header).error().within(what);
  LANTERN_TRY(reader.seek(kJournalMagic.size(), "version"));
  LANTERN_ASSIGN(const auto version, reader.read<uint32_t>("version"));
  LANTERN_ASSIGN(const auto reserved, reader.read<uint32_t>("reserved"));
  LANTERN_ASSIGN(journal.base, reader.read<uint64_t>("first entry"));
  const size_t checked = kJournalHeaderBytes - kCheckBytes;
  if (!bytes.starts_with(kJournalMagic) || reserved != 0 ||
      bytes.substr(checked, kCheckBytes) != check_of(bytes.substr(0, checked)))
    return make_error(ErrorCode::kCorrupt, "{}: its header was changed", what);
  if (version != kJournalVersion)
    return make_error(ErrorCode::kUnsupported, "{}: journal version {}, this program knows {}",
                      what, version, kJournalVersion);
  if (journal.base >> 62 != 0)
    return make_error(ErrorCode::kCorrupt, "{}: begins with entry {}", what, journal.base);
  LANTERN_ASSIGN(journal.records,
                 parse_journal_records(bytes.substr(kJournalHeaderBytes), journal.base, what));
  return journal;
}

Result<JournalRecords> parse_journal_records(std::string_view bytes, uint64_t next,
                                             std::string_view what) {
  JournalRecords records;
  while (!bytes.empty()) {
    records.unfinished_bytes = bytes.size();
    if (is_unfinished(bytes)) return records;
    LANTERN_ASSIGN(const RecordHeader header, parse_record_header(bytes, next, what));
    if (bytes.size() - kRecordHeaderBytes < header.body_bytes() + kTrailerBytes) return records;
    const std::string_view body = bytes.substr(kRecordHeaderBytes, header.body_bytes());
    const std::string_view trailer = bytes.substr(kRecordHeaderBytes + body.size(), kTrailerBytes);
    bytes.remove_prefix(kRecordHeaderBytes + body.size() + kTrailerBytes);
    if (trailer != view_of(base::sha256(body))) {
      if (bytes.empty() && all_zero(trailer.substr(kTrailerBytes - kZeros))) return records;
      return make_error(ErrorCode::kCorrupt, "{}: the record of entries {} to {} was changed", what,
                        next, next + header.n_entries - 1);
    }
    LANTERN_ASSIGN(const auto entries,
                   parse_bundle(body.substr(0, header.entries_bytes), header.n_entries, what));
    JournalBatch batch{.first = next,
                       .entries = {entries.begin(), entries.end()},
                       .checkpoint = std::string(body.substr(header.entries_bytes))};
    next += header.n_entries;
    records.batches.push_back(std::move(batch));
    records.bytes += kRecordHeaderBytes + body.size() + kTrailerBytes;
    records.unfinished_bytes = 0;
  }
  return records;
}

}  // namespace lantern::audit
