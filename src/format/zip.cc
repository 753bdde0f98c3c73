#include "format/zip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/byte_reader.h"
#include "base/checked.h"

namespace lantern::format {
namespace {

using base::ByteReader;
using base::CheckedSize;

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr uint64_t kLocalHeaderBytes = 30, kCentralHeaderBytes = 46, kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56, kEnd64LocatorBytes = 20;
constexpr uint64_t kCommentBytesMax = 65535;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kInZip64 = 0xffffffff;  // the true value stands in the zip64 record
constexpr uint16_t kInZip64Count = 0xffff;
constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint16_t kEncrypted = 1u << 0, kStrongEncryption = 1u << 6, kMaskedHeaders = 1u << 13;
constexpr size_t kChunkBytes = 1u << 20;  // of reading and of inflating: large enough to amortise

Error corrupt(const base::ReadFile& file, std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "{}: zip: {}", file.path().string(), what);
}

struct Directory {
  uint64_t offset = 0;  // from the file's start
  uint64_t bytes = 0;
  uint64_t n_entries = 0;
  uint64_t before = 0;  // bytes before the archive, which its own offsets do not count
};

/// The end record of a 64-bit archive, found through the locator right before the usual one.
Result<std::optional<Directory>> read_zip64_end(const base::ReadFile& file, uint64_t end_offset) {
  if (end_offset < kEnd64LocatorBytes + kEnd64Bytes) return std::optional<Directory>();
  std::vector<std::byte> bytes(kEnd64LocatorBytes);
  LANTERN_TRY(file.read_at(end_offset - kEnd64LocatorBytes, bytes));
  ByteReader locator(bytes);
  if (*locator.read<uint32_t>("locator") != kEnd64Locator) return std::optional<Directory>();
  auto disk = *locator.read<uint32_t>("disk");
  auto offset = *locator.read<uint64_t>("offset");
  auto n_disks = *locator.read<uint32_t>("disks");
  if (disk != 0 || n_disks > 1)
    return make_error(ErrorCode::kUnsupported, "{}: zip in several volumes", file.path().string());

  std::vector<std::byte> record(kEnd64Bytes);
  uint64_t last = end_offset - kEnd64LocatorBytes - kEnd64Bytes;
  if (offset > last) return corrupt(file, "the zip64 end record lies outside the file");
  LANTERN_TRY(file.read_at(offset, record));
  ByteReader end(record);
  if (*end.read<uint32_t>("signature") != kEnd64)
    return corrupt(file, "no zip64 end record where its locator points");
  LANTERN_TRY(end.seek(24, "zip64 end record"));
  auto n_here = *end.read<uint64_t>("entries here");
  Directory directory;
  directory.n_entries = *end.read<uint64_t>("entries");
  directory.bytes = *end.read<uint64_t>("directory size");
  directory.offset = *end.read<uint64_t>("directory offset");
  if (n_here != directory.n_entries)
    return make_error(ErrorCode::kUnsupported, "{}: zip in several volumes", file.path().string());
  if ((CheckedSize(directory.offset) + directory.bytes).value() != offset)
    return corrupt(file, "the central directory does not end at its zip64 end record");
  return std::optional<Directory>(directory);
}

Result<Directory> read_end(const base::ReadFile& file) {
  if (file.size() < kEndBytes) return corrupt(file, "too short, or not a zip archive");
  uint64_t tail_bytes = std::min(file.size(), kEndBytes + kCommentBytesMax);
  uint64_t tail_offset = file.size() - tail_bytes;
  std::vector<std::byte> tail(tail_bytes);
  LANTERN_TRY(file.read_at(tail_offset, tail));
  // The record whose comment reaches exactly to the end of the file; the nearest to the end, so a
  // comment that imitates a record finds none behind itself.
  for (uint64_t at = tail_bytes - kEndBytes + 1; at-- > 0;) {
    ByteReader end(std::span(tail).subspan(at));
    if (*end.read<uint32_t>("signature") != kEnd) continue;
    auto disk = *end.read<uint16_t>("disk");
    auto directory_disk = *end.read<uint16_t>("directory's disk");
    auto n_here = *end.read<uint16_t>("entries here");
    auto n_entries = *end.read<uint16_t>("entries");
    auto bytes = *end.read<uint32_t>("directory size");
    auto offset = *end.read<uint32_t>("directory offset");
    auto comment = *end.read<uint16_t>("comment length");
    if (at + kEndBytes + comment != tail_bytes) continue;
    uint64_t end_offset = tail_offset + at;

    LANTERN_ASSIGN(std::optional<Directory> wide, read_zip64_end(file, end_offset));
    if (wide) return *wide;
    if (n_entries == kInZip64Count || bytes == kInZip64 || offset == kInZip64)
      return corrupt(file, "its zip64 end record is missing");
    if (disk != 0 || directory_disk != 0 || n_here != n_entries)
      return make_error(ErrorCode::kUnsupported, "{}: zip in several volumes",
                        file.path().string());
    if (uint64_t{offset} + bytes > end_offset)
      return corrupt(file, "the central directory lies outside the file");
    return Directory{.offset = end_offset - bytes,
                     .bytes = bytes,
                     .n_entries = n_entries,
                     .before = end_offset - bytes - offset};
  }
  return corrupt(file, "no end record: cut short, or not a zip archive");
}

/// Replaces the sizes and the offset that stand as 0xffffffff by those of the zip64 extra field.
Status apply_zip64(std::span<const std::byte> extra, ZipEntry& entry, uint32_t header_offset) {
  bool needs_size = entry.size == kInZip64, needs_compressed = entry.compressed_size == kInZip64;
  bool needs_offset = header_offset == kInZip64;
  if (!needs_size && !needs_compressed && !needs_offset) return {};
  ByteReader reader(extra);
  while (reader.remaining() >= 4) {
    LANTERN_ASSIGN(auto id, reader.read<uint16_t>("extra field id"));
    LANTERN_ASSIGN(auto bytes, reader.read<uint16_t>("extra field size"));
    LANTERN_ASSIGN(auto data, reader.read_bytes(bytes, "extra field"));
    if (id != kZip64Extra) continue;
    ByteReader field(data);
    if (needs_size) {
      LANTERN_ASSIGN(entry.size, field.read<uint64_t>("zip64 size"));
    }
    if (needs_compressed) {
      LANTERN_ASSIGN(entry.compressed_size, field.read<uint64_t>("zip64 compressed size"));
    }
    if (needs_offset) {
      LANTERN_ASSIGN(entry.header_offset, field.read<uint64_t>("zip64 offset"));
    }
    return {};
  }
  return make_error(ErrorCode::kCorrupt, "its zip64 sizes are missing");
}

Result<ZipEntry> read_central_header(ByteReader& reader, const Directory& directory) {
  if (reader.remaining() < kCentralHeaderBytes)
    return make_error(ErrorCode::kCorrupt, "the central directory ends early");
  if (*reader.read<uint32_t>("signature") != kCentralHeader)
    return make_error(ErrorCode::kCorrupt, "no central header where one was expected");
  LANTERN_TRY(reader.seek(reader.position() + 4, "versions"));
  ZipEntry entry;
  entry.flags = *reader.read<uint16_t>("flags");
  entry.method = *reader.read<uint16_t>("method");
  LANTERN_TRY(reader.seek(reader.position() + 4, "time"));
  entry.crc32 = *reader.read<uint32_t>("crc");
  entry.compressed_size = *reader.read<uint32_t>("compressed size");
  entry.size = *reader.read<uint32_t>("size");
  auto name_bytes = *reader.read<uint16_t>("name length");
  auto extra_bytes = *reader.read<uint16_t>("extra length");
  auto comment_bytes = *reader.read<uint16_t>("comment length");
  LANTERN_TRY(reader.seek(reader.position() + 8, "disk and attributes"));
  auto offset = *reader.read<uint32_t>("header offset");
  entry.header_offset = offset;
  LANTERN_ASSIGN(auto name, reader.read_bytes(name_bytes, "name"));
  entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  LANTERN_ASSIGN(auto extra, reader.read_bytes(extra_bytes, "extra fields"));
  LANTERN_TRY(reader.read_bytes(comment_bytes, "comment"));
  LANTERN_TRY(apply_zip64(extra, entry, offset));
  auto where = (CheckedSize(entry.header_offset) + directory.before).value();
  if (!where) return make_error(ErrorCode::kCorrupt, "a header's offset overflows");
  entry.header_offset = *where;
  return entry;
}

}  // namespace

Result<ZipFile> ZipFile::open(const std::filesystem::path& path, const ZipLimits& limits) {
  ZipFile zip;
  zip.limits_ = limits;
  LANTERN_ASSIGN(zip.file_, base::ReadFile::open(path));
  LANTERN_ASSIGN(Directory directory, read_end(zip.file_));
  zip.directory_offset_ = directory.offset;
  if (directory.bytes > limits.directory_bytes_max || directory.n_entries > limits.entries_max)
    return make_error(ErrorCode::kExhausted,
                      "{}: zip: {} entries in {} bytes of directory, at most {} and {} are read",
                      path.string(), directory.n_entries, directory.bytes, limits.entries_max,
                      limits.directory_bytes_max);
  if (directory.n_entries > directory.bytes / kCentralHeaderBytes)
    return corrupt(zip.file_, "more entries than its directory can hold");

  std::vector<std::byte> bytes(directory.bytes);
  LANTERN_TRY(zip.file_.read_at(directory.offset, bytes));
  ByteReader reader(bytes);
  zip.entries_.reserve(directory.n_entries);
  for (uint64_t i = 0; i < directory.n_entries; ++i) {
    auto entry = read_central_header(reader, directory);
    if (!entry.ok())
      return std::move(entry).error().within(fmt::format("{}: zip: entry {}", path.string(), i));
    auto end = (CheckedSize(entry->header_offset) + kLocalHeaderBytes + entry->compressed_size);
    if (!end.value() || *end.value() > directory.offset)
      return corrupt(zip.file_, fmt::format("entry {} lies outside the file", i));
    zip.entries_.push_back(std::move(*entry));
  }
  if (reader.remaining() != 0) return corrupt(zip.file_, "bytes left over in its directory");

  std::sort(zip.entries_.begin(), zip.entries_.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  auto twice =
      std::adjacent_find(zip.entries_.begin(), zip.entries_.end(),
                         [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; });
  if (twice != zip.entries_.end()) return corrupt(zip.file_, "a name stands in it twice");
  return zip;
}

const ZipEntry* ZipFile::find(std::string_view name) const {
  auto found = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const ZipEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

Result<uint64_t> ZipFile::data_offset(const ZipEntry& entry) const {
  std::vector<std::byte> bytes(kLocalHeaderBytes);
  LANTERN_TRY(file_.read_at(entry.header_offset, bytes));
  ByteReader reader(bytes);
  if (*reader.read<uint32_t>("signature") != kLocalHeader)
    return corrupt(file_, "no local header where the directory points");
  LANTERN_TRY(reader.seek(6, "local header"));
  auto flags = *reader.read<uint16_t>("flags");
  auto method = *reader.read<uint16_t>("method");
  LANTERN_TRY(reader.seek(26, "local header"));
  auto name_bytes = *reader.read<uint16_t>("name length");
  auto extra_bytes = *reader.read<uint16_t>("extra length");
  if (method != entry.method || (flags & kEncrypted) != (entry.flags & kEncrypted))
    return corrupt(file_, "a local header contradicts the directory");
  std::string name(name_bytes, '\0');
  uint64_t name_offset = entry.header_offset + kLocalHeaderBytes;
  LANTERN_TRY(file_.read_at(name_offset, std::as_writable_bytes(std::span(name))));
  if (name != entry.name) return corrupt(file_, "a local header has another name");
  uint64_t offset = name_offset + name_bytes + extra_bytes;
  auto end = (CheckedSize(offset) + entry.compressed_size).value();
  if (!end || *end > directory_offset_)
    return corrupt(file_, "a member reaches into the directory");
  return offset;
}

namespace {

/// Counts and checks what goes to the sink.
class CheckedSink {
 public:
  CheckedSink(const ZipEntry& entry, const ZipFile::Sink& sink) : entry_(entry), sink_(sink) {}

  Status take(std::span<const std::byte> bytes) {
    if (bytes.size() > entry_.size - taken_)
      return make_error(ErrorCode::kCorrupt, "inflates to more than its {} bytes", entry_.size);
    taken_ += bytes.size();
    crc_ = ::crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    return sink_(bytes);
  }
  Status finish() const {
    if (taken_ != entry_.size)
      return make_error(ErrorCode::kCorrupt, "holds {} of its {} bytes", taken_, entry_.size);
    if (crc_ != entry_.crc32) return make_error(ErrorCode::kCorrupt, "its CRC-32 is wrong");
    return {};
  }

 private:
  const ZipEntry& entry_;
  const ZipFile::Sink& sink_;
  uint64_t taken_ = 0;
  uLong crc_ = 0;
};

struct Inflate {
  z_stream stream{};
  bool ready = false;
  Inflate() { ready = ::inflateInit2(&stream, -MAX_WBITS) == Z_OK; }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  ~Inflate() {
    if (ready) ::inflateEnd(&stream);
  }
};

Status inflate_member(const base::ReadFile& file, uint64_t offset, const ZipEntry& entry,
                      CheckedSink& sink) {
  Inflate inflate;
  if (!inflate.ready) return make_error(ErrorCode::kExhausted, "no memory for decompression");
  std::vector<std::byte> in(std::min<uint64_t>(kChunkBytes, entry.compressed_size)),
      out(kChunkBytes);
  uint64_t left = entry.compressed_size;
  z_stream& z = inflate.stream;
  for (int code = Z_OK; code != Z_STREAM_END;) {
    if (z.avail_in == 0 && left > 0) {
      auto chunk = std::span(in).first(std::min<uint64_t>(in.size(), left));
      LANTERN_TRY(file.read_at(offset, chunk));
      offset += chunk.size();
      left -= chunk.size();
      z.next_in = reinterpret_cast<Bytef*>(chunk.data());
      z.avail_in = static_cast<uInt>(chunk.size());
    }
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    code = ::inflate(&z, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR)
      return make_error(ErrorCode::kExhausted, "no memory for decompression");
    // No progress with an empty output buffer: it wants input that is not there.
    if (code == Z_BUF_ERROR)
      return make_error(ErrorCode::kCorrupt, "its compressed data ends early");
    if (code != Z_OK && code != Z_STREAM_END)
      return make_error(ErrorCode::kCorrupt, "its compressed data is damaged");
    LANTERN_TRY(sink.take(std::span(out).first(out.size() - z.avail_out)));
  }
  if (left != 0 || z.avail_in != 0)
    return make_error(ErrorCode::kCorrupt, "bytes follow its compressed data");
  return {};
}

Status copy_member(const base::ReadFile& file, uint64_t offset, const ZipEntry& entry,
                   CheckedSink& sink) {
  if (entry.compressed_size != entry.size)
    return make_error(ErrorCode::kCorrupt, "stored, yet its two sizes differ");
  std::vector<std::byte> buffer(std::min<uint64_t>(kChunkBytes, entry.size));
  for (uint64_t left = entry.size; left > 0;) {
    auto chunk = std::span(buffer).first(std::min<uint64_t>(buffer.size(), left));
    LANTERN_TRY(file.read_at(offset, chunk));
    LANTERN_TRY(sink.take(chunk));
    offset += chunk.size();
    left -= chunk.size();
  }
  return {};
}

}  // namespace

Status ZipFile::extract(const ZipEntry& entry, const Sink& sink) const {
  auto within = [&](Error error) {
    return std::move(error).within(fmt::format("{}: {}", file_.path().string(), entry.name));
  };
  if ((entry.flags & (kEncrypted | kStrongEncryption | kMaskedHeaders)) != 0)
    return within(make_error(ErrorCode::kUnsupported, "encrypted"));
  if (entry.method != kStored && entry.method != kDeflated)
    return within(make_error(ErrorCode::kUnsupported,
                             "compression method {} (stored and deflated are read)", entry.method));
  if (entry.size > limits_.entry_bytes_max)
    return within(make_error(ErrorCode::kExhausted, "{} bytes, at most {} are read", entry.size,
                             limits_.entry_bytes_max));
  if (entry.size / limits_.ratio_max > entry.compressed_size)
    return within(make_error(ErrorCode::kCorrupt, "{} bytes cannot come from {} compressed ones",
                             entry.size, entry.compressed_size));
  LANTERN_ASSIGN(uint64_t offset, data_offset(entry));
  CheckedSink checked(entry, sink);
  Status status = entry.method == kStored ? copy_member(file_, offset, entry, checked)
                                          : inflate_member(file_, offset, entry, checked);
  if (status.ok()) status = checked.finish();
  if (!status.ok()) return within(std::move(status).error());
  return {};
}

}  // namespace lantern::format
