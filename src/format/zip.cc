#include "format/zip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "base/printable.h"
#include "format/zip_directory.h"

namespace lantern::format {
namespace {

using base::printable;

constexpr size_t kPieceBytes = 256 << 10;  // fits level 2 caches; larger gains nothing

struct InflateEnd {
  void operator()(z_stream* stream) const {
    inflateEnd(stream);
    delete stream;
  }
};

}  // namespace

bool is_safe_path(std::string_view name) {
  if (name.empty() || !base::is_utf8(name)) return false;
  for (char c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' || c == ':') return false;
  while (true) {
    size_t slash = name.find('/');
    std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
    if (name.empty()) return true;  // a folder's name
  }
}

Result<ZipFile> ZipFile::open(const std::filesystem::path& path, const ZipLimits& limits) {
  LANTERN_ASSIGN(std::unique_ptr<Source> source, FileSource::open(path));
  return open(std::move(source), limits);
}

Result<ZipFile> ZipFile::open(std::unique_ptr<Source> source, const ZipLimits& limits) {
  ZipFile file(std::move(source));
  LANTERN_ASSIGN(file.entries_, read_zip_directory(*file.source_, limits));
  file.by_name_.resize(file.entries_.size());
  std::iota(file.by_name_.begin(), file.by_name_.end(), 0u);
  auto name_of = [&](uint32_t i) -> const std::string& { return file.entries_[i].name; };
  std::sort(file.by_name_.begin(), file.by_name_.end(),
            [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
  auto twice = std::adjacent_find(file.by_name_.begin(), file.by_name_.end(),
                                  [&](uint32_t a, uint32_t b) { return name_of(a) == name_of(b); });
  if (twice != file.by_name_.end())
    return make_error(ErrorCode::kCorrupt, "{}: entry {} stands twice in the archive",
                      file.source_->name(), printable(name_of(*twice)));
  return file;
}

const ZipEntry* ZipFile::find(std::string_view name) const {
  auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                             [&](uint32_t i, std::string_view n) { return entries_[i].name < n; });
  if (at == by_name_.end() || entries_[*at].name != name) return nullptr;
  return &entries_[*at];
}

Status ZipFile::extract(const ZipEntry& entry, const Sink& sink) const {
  if (entry.is_encrypted)
    return make_error(ErrorCode::kUnsupported, "{}: entry {}: is encrypted", source_->name(),
                      printable(entry.name));
  if (entry.method != 0 && entry.method != 8)
    return make_error(ErrorCode::kUnsupported,
                      "{}: entry {}: compression method {}, stored (0) and deflate (8) are read",
                      source_->name(), printable(entry.name), entry.method);
  auto crc = static_cast<uint32_t>(::crc32(0, nullptr, 0));
  if (entry.method == 0) {
    LANTERN_TRY(extract_stored(entry, sink, crc));
  } else {
    LANTERN_TRY(extract_deflated(entry, sink, crc));
  }
  if (crc != entry.crc32)
    return make_error(
        ErrorCode::kCorrupt,
        "{}: entry {}: CRC-32 {:08x}, the directory says {:08x}: damaged, get it anew",
        source_->name(), printable(entry.name), crc, entry.crc32);
  return {};
}

Status ZipFile::extract_stored(const ZipEntry& entry, const Sink& sink, uint32_t& crc) const {
  std::vector<std::byte> piece(std::min<uint64_t>(kPieceBytes, entry.size));
  for (uint64_t done = 0; done < entry.size;) {
    auto out = std::span(piece).first(std::min<uint64_t>(piece.size(), entry.size - done));
    LANTERN_TRY(source_->read_at(entry.data_offset + done, out));
    crc = static_cast<uint32_t>(
        ::crc32_z(crc, reinterpret_cast<const Bytef*>(out.data()), out.size()));
    LANTERN_TRY(sink(out));
    done += out.size();
  }
  return {};
}

Status ZipFile::extract_deflated(const ZipEntry& entry, const Sink& sink, uint32_t& crc) const {
  auto damaged = [&](std::string_view fault) {
    return make_error(ErrorCode::kCorrupt, "{}: entry {}: {}: damaged, get it anew",
                      source_->name(), printable(entry.name), fault);
  };
  auto owned = std::make_unique<z_stream>();
  if (inflateInit2(owned.get(), -MAX_WBITS) != Z_OK)  // raw deflate
    return make_error(ErrorCode::kExhausted, "{}: entry {}: no memory to inflate it",
                      source_->name(), printable(entry.name));
  std::unique_ptr<z_stream, InflateEnd> stream(owned.release());
  std::vector<std::byte> in(std::min<uint64_t>(kPieceBytes, entry.compressed_size));
  std::vector<std::byte> out(kPieceBytes);
  uint64_t read = 0, written = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    if (stream->avail_in == 0) {
      if (read == entry.compressed_size) return damaged("its deflate stream has no end");
      auto piece = std::span(in).first(std::min<uint64_t>(in.size(), entry.compressed_size - read));
      LANTERN_TRY(source_->read_at(entry.data_offset + read, piece));
      read += piece.size();
      stream->next_in = reinterpret_cast<Bytef*>(piece.data());
      stream->avail_in = static_cast<uInt>(piece.size());
    }
    stream->next_out = reinterpret_cast<Bytef*>(out.data());
    stream->avail_out = static_cast<uInt>(out.size());
    state = inflate(stream.get(), Z_NO_FLUSH);
    if (state == Z_MEM_ERROR)
      return make_error(ErrorCode::kExhausted, "{}: entry {}: no memory to inflate it",
                        source_->name(), printable(entry.name));
    // Z_BUF_ERROR says that input is short; the next turn reads more or finds that none is left.
    if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
      return damaged(stream->msg != nullptr ? stream->msg : "its deflate stream is not valid");
    auto fresh = std::span(out).first(out.size() - stream->avail_out);
    written += fresh.size();
    if (written > entry.size) return damaged("holds more bytes than the directory says");
    crc = static_cast<uint32_t>(
        ::crc32_z(crc, reinterpret_cast<const Bytef*>(fresh.data()), fresh.size()));
    if (!fresh.empty()) LANTERN_TRY(sink(fresh));
  }
  if (written != entry.size) return damaged("holds fewer bytes than the directory says");
  if (read != entry.compressed_size || stream->avail_in != 0)
    return damaged("its deflate stream ends before its data");
  return {};
}

Result<std::string> ZipFile::extract_text(const ZipEntry& entry, uint64_t max_bytes) const {
  if (entry.size > max_bytes)
    return make_error(ErrorCode::kTooLarge, "{}: entry {}: {} bytes, at most {} are read",
                      source_->name(), printable(entry.name), entry.size, max_bytes);
  std::string text;
  text.reserve(entry.size);
  LANTERN_TRY(extract(entry, [&](std::span<const std::byte> bytes) -> Status {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }));
  return text;
}

}  // namespace lantern::format
