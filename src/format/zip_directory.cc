// Finding and checking the central directory.
//
//   [local header, name, extra, data, (data descriptor)]...
//   central directory: [entry]...
//   (zip64 end record, zip64 locator)        where a count or an offset needs 64 bits
//   end record, comment
#include "format/zip_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/printable.h"

namespace lantern::format {
namespace {

using base::ByteReader;
using base::CheckedSize;
using base::printable;

constexpr uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint16_t kEncrypted = 1 << 0, kHasDescriptor = 1 << 3, kStronglyEncrypted = 1 << 6,
                   kEncryptedDirectory = 1 << 13;
constexpr uint32_t kIn64 = 0xffffffff;  // a 32-bit field whose value stands in its zip64 one
constexpr uint16_t kIn64Short = 0xffff;

struct Directory {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

/// One entry with what the local header must repeat.
struct RawEntry {
  ZipEntry entry;
  uint16_t flags = 0;
  uint64_t header_offset = 0;
};

class DirectoryReader {
 public:
  DirectoryReader(const Source& source, const ZipLimits& limits)
      : source_(source), limits_(limits) {}
  Result<std::vector<ZipEntry>> read();

 private:
  template <typename... Args>
  Error fault(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) const {
    return Error{code, source_.name() + ": " + fmt::format(format, std::forward<Args>(args)...)};
  }
  template <typename... Args>
  Error corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    return fault(ErrorCode::kCorrupt, format, std::forward<Args>(args)...);
  }

  Result<std::vector<std::byte>> bytes_at(uint64_t offset, uint64_t n) const;
  Result<uint64_t> find_end_record() const;
  Result<Directory> read_end_record(uint64_t end_offset) const;
  Result<Directory> read_end_record_64(uint64_t locator_offset) const;
  Result<RawEntry> read_entry(ByteReader& reader, uint64_t index) const;
  Status read_zip64_extra(std::span<const std::byte> extra, RawEntry& raw,
                          std::string_view field) const;
  Status check_sizes(const ZipEntry& entry, std::string_view field);
  Status read_local_header(RawEntry& raw, uint64_t directory_offset) const;
  Status check_overlaps(const std::vector<RawEntry>& raws) const;

  const Source& source_;
  const ZipLimits& limits_;
  uint64_t total_bytes_ = 0;
};

Result<std::vector<std::byte>> DirectoryReader::bytes_at(uint64_t offset, uint64_t n) const {
  std::vector<std::byte> bytes(n);
  LANTERN_TRY(source_.read_at(offset, bytes));
  return bytes;
}

/// The end record stands at the end, before a comment of at most 64 KiB that must fill the
/// rest of the file exactly. A comment may hold the signature of another end record: then the
/// file reads in two ways, and that is refused.
Result<uint64_t> DirectoryReader::find_end_record() const {
  uint64_t size = source_.size();
  if (size < kEndBytes) return corrupt("end record: {} bytes are no zip archive", size);
  uint64_t tail = std::min(size, kEndBytes + 0xffff);
  LANTERN_ASSIGN(std::vector<std::byte> bytes, bytes_at(size - tail, tail));
  std::optional<uint64_t> found;
  for (uint64_t at = 0; at + kEndBytes <= tail; ++at) {
    ByteReader reader{std::span(bytes).subspan(at)};
    LANTERN_ASSIGN(uint32_t signature, reader.read<uint32_t>("end record"));
    if (signature != kEndSignature) continue;
    LANTERN_TRY(reader.seek(20, "end record"));
    LANTERN_ASSIGN(uint16_t comment_bytes, reader.read<uint16_t>("end record: comment length"));
    if (at + kEndBytes + comment_bytes != tail) continue;
    if (found) return corrupt("end record: there are two, at {} and {}", *found, size - tail + at);
    found = size - tail + at;
  }
  if (!found)
    return corrupt("end record: not found: not a zip archive, or cut short (is it complete?)");
  return *found;
}

Result<Directory> DirectoryReader::read_end_record_64(uint64_t locator_offset) const {
  LANTERN_ASSIGN(std::vector<std::byte> locator, bytes_at(locator_offset, kLocator64Bytes));
  ByteReader at_locator(locator);
  LANTERN_TRY(at_locator.seek(4, "zip64 locator"));
  LANTERN_ASSIGN(uint32_t disk, at_locator.read<uint32_t>("zip64 locator: disk"));
  LANTERN_ASSIGN(uint64_t offset, at_locator.read<uint64_t>("zip64 locator: offset"));
  LANTERN_ASSIGN(uint32_t n_disks, at_locator.read<uint32_t>("zip64 locator: disks"));
  if (disk != 0 || n_disks > 1)
    return fault(ErrorCode::kUnsupported, "zip64 locator: an archive over several disks");
  if (offset > locator_offset || locator_offset - offset < kEnd64Bytes)
    return corrupt("zip64 locator: offset {} leaves no room for a record", offset);
  LANTERN_ASSIGN(std::vector<std::byte> bytes, bytes_at(offset, kEnd64Bytes));
  ByteReader reader(bytes);
  LANTERN_ASSIGN(uint32_t signature, reader.read<uint32_t>("zip64 end record"));
  if (signature != kEnd64Signature)
    return corrupt("zip64 end record: not at offset {}, where its locator says", offset);
  LANTERN_ASSIGN(uint64_t record_bytes, reader.read<uint64_t>("zip64 end record: size"));
  if (record_bytes != locator_offset - offset - 12)
    return corrupt("zip64 end record: size {}, {} bytes stand before its locator", record_bytes,
                   locator_offset - offset - 12);
  LANTERN_TRY(reader.seek(16, "zip64 end record"));
  LANTERN_ASSIGN(uint32_t this_disk, reader.read<uint32_t>("zip64 end record: disk"));
  LANTERN_ASSIGN(uint32_t first_disk, reader.read<uint32_t>("zip64 end record: disk"));
  LANTERN_ASSIGN(uint64_t here, reader.read<uint64_t>("zip64 end record: entries"));
  Directory directory;
  LANTERN_ASSIGN(directory.entries, reader.read<uint64_t>("zip64 end record: entries"));
  LANTERN_ASSIGN(directory.bytes, reader.read<uint64_t>("zip64 end record: size"));
  LANTERN_ASSIGN(directory.offset, reader.read<uint64_t>("zip64 end record: offset"));
  if (this_disk != 0 || first_disk != 0 || here != directory.entries)
    return fault(ErrorCode::kUnsupported, "zip64 end record: an archive over several disks");
  auto end = (CheckedSize(directory.offset) + directory.bytes).value();
  if (!end || *end != offset)
    return corrupt("zip64 end record: a directory of {} bytes at {} does not end at it, at {}",
                   directory.bytes, directory.offset, offset);
  return directory;
}

Result<Directory> DirectoryReader::read_end_record(uint64_t end_offset) const {
  LANTERN_ASSIGN(std::vector<std::byte> bytes, bytes_at(end_offset, kEndBytes));
  ByteReader reader(bytes);
  LANTERN_TRY(reader.seek(4, "end record"));
  LANTERN_ASSIGN(uint16_t this_disk, reader.read<uint16_t>("end record: disk"));
  LANTERN_ASSIGN(uint16_t first_disk, reader.read<uint16_t>("end record: disk"));
  LANTERN_ASSIGN(uint16_t here, reader.read<uint16_t>("end record: entries"));
  LANTERN_ASSIGN(uint16_t entries, reader.read<uint16_t>("end record: entries"));
  LANTERN_ASSIGN(uint32_t directory_bytes, reader.read<uint32_t>("end record: directory size"));
  LANTERN_ASSIGN(uint32_t offset, reader.read<uint32_t>("end record: directory offset"));

  if (end_offset >= kLocator64Bytes) {
    LANTERN_ASSIGN(std::vector<std::byte> before,
                   bytes_at(end_offset - kLocator64Bytes, kLocator64Bytes));
    ByteReader at_locator(before);
    LANTERN_ASSIGN(uint32_t signature, at_locator.read<uint32_t>("zip64 locator"));
    if (signature == kLocator64Signature) {
      LANTERN_ASSIGN(Directory directory, read_end_record_64(end_offset - kLocator64Bytes));
      bool agrees = (entries == kIn64Short || entries == directory.entries) &&
                    (directory_bytes == kIn64 || directory_bytes == directory.bytes) &&
                    (offset == kIn64 || offset == directory.offset);
      if (!agrees) return corrupt("end record: contradicts the zip64 end record");
      return directory;
    }
  }
  if (this_disk != 0 || first_disk != 0 || here != entries)
    return fault(ErrorCode::kUnsupported, "end record: an archive over several disks");
  if (uint64_t{offset} + directory_bytes != end_offset)
    return corrupt("end record: a directory of {} bytes at {} does not end at it, at {}",
                   directory_bytes, offset, end_offset);
  return Directory{entries, directory_bytes, offset};
}

Status DirectoryReader::read_zip64_extra(std::span<const std::byte> extra, RawEntry& raw,
                                         std::string_view field) const {
  ByteReader reader(extra);
  std::string what = fmt::format("{}: extra field", field);
  // Fewer than four bytes at the end are padding that some writers leave.
  while (reader.remaining() >= 4) {
    LANTERN_ASSIGN(uint16_t id, reader.read<uint16_t>(what));
    LANTERN_ASSIGN(uint16_t n, reader.read<uint16_t>(what));
    auto block = reader.read_bytes(n, what);
    if (!block.ok()) return std::move(block).error().within(source_.name());
    if (id != 1) continue;
    ByteReader values(*block);
    for (uint64_t* value : {&raw.entry.size, &raw.entry.compressed_size, &raw.header_offset}) {
      if (*value != kIn64) continue;
      auto wide = values.read<uint64_t>(what);
      if (!wide.ok()) return std::move(wide).error().within(source_.name());
      *value = *wide;
    }
    return {};
  }
  return {};
}

Status DirectoryReader::check_sizes(const ZipEntry& entry, std::string_view field) {
  constexpr uint64_t kRatioMatters = 1 << 20, kDeflateRatioMax = 1032;
  if (entry.method == 0 && !entry.is_encrypted && entry.size != entry.compressed_size)
    return corrupt("{}: stored, but of {} bytes in {}", field, entry.size, entry.compressed_size);
  if (entry.size > limits_.entry_bytes)
    return fault(ErrorCode::kTooLarge, "{}: {} bytes extracted, at most {} are", field, entry.size,
                 limits_.entry_bytes);
  if (entry.size > kRatioMatters) {
    uint64_t ratio = entry.size / std::max<uint64_t>(entry.compressed_size, 1);
    if (entry.method == 8 && ratio > kDeflateRatioMax)
      return corrupt("{}: {} bytes cannot hold {}", field, entry.compressed_size, entry.size);
    if (ratio > limits_.ratio)
      return fault(ErrorCode::kTooLarge,
                   "{}: grows {} times when extracted, at most {} are allowed (a zip bomb?)", field,
                   ratio, limits_.ratio);
  }
  if (entry.size > limits_.total_bytes - total_bytes_)
    return fault(ErrorCode::kTooLarge,
                 "{}: all entries up to it have more than the {} bytes that are extracted", field,
                 limits_.total_bytes);
  total_bytes_ += entry.size;
  return {};
}

Result<RawEntry> DirectoryReader::read_entry(ByteReader& reader, uint64_t index) const {
  std::string field = fmt::format("{}: directory entry {}", source_.name(), index);
  RawEntry raw;
  LANTERN_ASSIGN(uint32_t signature, reader.read<uint32_t>(field));
  if (signature != kEntrySignature)
    return make_error(ErrorCode::kCorrupt, "{}: signature {:08x}", field, signature);
  LANTERN_ASSIGN(auto versions, reader.read_bytes(4, field));
  std::ignore = versions;
  LANTERN_ASSIGN(raw.flags, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(raw.entry.method, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint32_t time, reader.read<uint32_t>(field));
  std::ignore = time;
  LANTERN_ASSIGN(raw.entry.crc32, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(raw.entry.compressed_size, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(raw.entry.size, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(uint16_t name_bytes, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint16_t extra_bytes, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint16_t comment_bytes, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint16_t disk, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(auto attributes, reader.read_bytes(6, field));
  std::ignore = attributes;
  LANTERN_ASSIGN(raw.header_offset, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(auto name, reader.read_bytes(name_bytes, field));
  LANTERN_ASSIGN(auto extra, reader.read_bytes(extra_bytes, field));
  LANTERN_ASSIGN(auto comment, reader.read_bytes(comment_bytes, field));
  std::ignore = comment;
  raw.entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  if (raw.entry.name.empty() || raw.entry.name.find('\0') != std::string::npos)
    return make_error(ErrorCode::kCorrupt, "{}: name \"{}\" is no name", field,
                      printable(raw.entry.name));
  if (name_bytes > limits_.name_bytes)
    return make_error(ErrorCode::kTooLarge, "{}: a name of {} bytes, at most {} are read", field,
                      name_bytes, limits_.name_bytes);
  if (disk != 0 && disk != kIn64Short)
    return make_error(ErrorCode::kUnsupported, "{}: an archive over several disks", field);
  if (raw.flags & kEncryptedDirectory)
    return make_error(ErrorCode::kUnsupported, "{}: an encrypted directory", field);
  raw.entry.is_encrypted = (raw.flags & (kEncrypted | kStronglyEncrypted)) != 0;
  LANTERN_TRY(read_zip64_extra(extra, raw, fmt::format("entry {}", printable(raw.entry.name))));
  return raw;
}

Status DirectoryReader::read_local_header(RawEntry& raw, uint64_t directory_offset) const {
  ZipEntry& entry = raw.entry;
  std::string field = fmt::format("entry {}: local header", printable(entry.name));
  if (raw.header_offset > directory_offset || directory_offset - raw.header_offset < kLocalBytes)
    return corrupt("{}: offset {} lies outside of the entries' part", field, raw.header_offset);
  uint64_t room = directory_offset - raw.header_offset;
  LANTERN_ASSIGN(auto bytes,
                 bytes_at(raw.header_offset, std::min(room, kLocalBytes + entry.name.size())));
  ByteReader reader(bytes);
  LANTERN_ASSIGN(uint32_t signature, reader.read<uint32_t>(field));
  if (signature != kLocalSignature) return corrupt("{}: signature {:08x}", field, signature);
  LANTERN_TRY(reader.seek(6, field));
  LANTERN_ASSIGN(uint16_t flags, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint16_t method, reader.read<uint16_t>(field));
  LANTERN_TRY(reader.seek(14, field));
  LANTERN_ASSIGN(uint32_t crc32, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(uint32_t compressed_size, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(uint32_t size, reader.read<uint32_t>(field));
  LANTERN_ASSIGN(uint16_t name_bytes, reader.read<uint16_t>(field));
  LANTERN_ASSIGN(uint16_t extra_bytes, reader.read<uint16_t>(field));
  auto agrees = [](uint32_t local, uint64_t value) { return local == kIn64 || local == value; };
  bool same = method == entry.method && name_bytes == entry.name.size() &&
              ((flags ^ raw.flags) & (kEncrypted | kHasDescriptor)) == 0;
  if (same && (flags & kHasDescriptor) == 0)
    same = crc32 == entry.crc32 && agrees(compressed_size, entry.compressed_size) &&
           agrees(size, entry.size);
  if (!same) return corrupt("{}: contradicts the directory", field);
  auto data_offset =
      (CheckedSize(raw.header_offset) + kLocalBytes + name_bytes + extra_bytes).value();
  if (!data_offset || *data_offset > directory_offset ||
      entry.compressed_size > directory_offset - *data_offset)
    return corrupt("{}: its {} bytes of data reach past the directory's begin, {}", field,
                   entry.compressed_size, directory_offset);
  std::string_view name(reinterpret_cast<const char*>(bytes.data()) + kLocalBytes, name_bytes);
  if (name != entry.name) return corrupt("{}: its name is {}", field, printable(name));
  entry.data_offset = *data_offset;
  return {};
}

Status DirectoryReader::check_overlaps(const std::vector<RawEntry>& raws) const {
  std::vector<const RawEntry*> by_offset;
  by_offset.reserve(raws.size());
  for (const RawEntry& raw : raws) by_offset.push_back(&raw);
  std::sort(by_offset.begin(), by_offset.end(), [](const RawEntry* a, const RawEntry* b) {
    return a->header_offset < b->header_offset;
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const ZipEntry& before = by_offset[i - 1]->entry;
    if (by_offset[i]->header_offset < before.data_offset + before.compressed_size)
      return corrupt("entries {} and {} overlap at offset {}", printable(before.name),
                     printable(by_offset[i]->entry.name), by_offset[i]->header_offset);
  }
  return {};
}

Result<std::vector<ZipEntry>> DirectoryReader::read() {
  LANTERN_ASSIGN(uint64_t end_offset, find_end_record());
  LANTERN_ASSIGN(Directory directory, read_end_record(end_offset));
  if (directory.bytes > limits_.directory_bytes || directory.entries > limits_.entries)
    return fault(ErrorCode::kTooLarge,
                 "end record: {} entries in {} bytes of directory, at most {} in {} are read",
                 directory.entries, directory.bytes, limits_.entries, limits_.directory_bytes);
  LANTERN_ASSIGN(std::vector<std::byte> bytes, bytes_at(directory.offset, directory.bytes));
  ByteReader reader(bytes);
  std::vector<RawEntry> raws;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    LANTERN_ASSIGN(RawEntry raw, read_entry(reader, i));
    LANTERN_TRY(check_sizes(raw.entry, fmt::format("entry {}", printable(raw.entry.name))));
    LANTERN_TRY(read_local_header(raw, directory.offset));
    raws.push_back(std::move(raw));
  }
  if (reader.remaining() != 0)
    return corrupt("end record: {} entries, but {} bytes of the directory are left",
                   directory.entries, reader.remaining());
  LANTERN_TRY(check_overlaps(raws));
  std::vector<ZipEntry> entries;
  entries.reserve(raws.size());
  for (RawEntry& raw : raws) entries.push_back(std::move(raw.entry));
  return entries;
}

}  // namespace

Result<std::vector<ZipEntry>> read_zip_directory(const Source& source, const ZipLimits& limits) {
  return DirectoryReader(source, limits).read();
}

}  // namespace lantern::format
