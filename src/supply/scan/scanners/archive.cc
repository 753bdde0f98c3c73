// Archives and compressed files other than zip, by libarchive: tar, 7z, rar, cpio, cab; gzip,
// bzip2, xz, lzma, zstd, lz4, compress. No filter that starts a program is enabled.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "format/zip.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

constexpr size_t kBlockBytes = 64u << 10;

bool is_tar(std::string_view head) {
  if (head.size() >= 265 && head.substr(257).starts_with("ustar")) return true;
  // Tar before POSIX has no mark: the checksum of its first header tells.
  if (head.size() < 512 || head[0] == '\0') return false;
  unsigned sum = 0, stored = 0;
  for (size_t i = 0; i < 512; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(head[i]);
  bool any = false;
  for (size_t i = 148; i < 156; ++i) {
    if (head[i] < '0' || head[i] > '7') continue;
    stored = stored * 8 + static_cast<unsigned>(head[i] - '0');
    any = true;
  }
  return any && stored == sum;
}

bool is_compressed(std::string_view head) {
  // The bare lzma of xz's predecessor: properties 0x5d, a dictionary of a power of two.
  const bool is_lzma = head.size() > 13 && head[0] == '\x5d' && head[1] == '\0' && head[2] == '\0';
  return head.starts_with("\x1f\x8b") || head.starts_with("BZh") ||
         head.starts_with(std::string_view("\xfd"
                                           "7zXZ\0",
                                           6)) ||
         head.starts_with("\x28\xb5\x2f\xfd") || head.starts_with("\x04\x22\x4d\x18") ||
         head.starts_with("\x1f\x9d") || is_lzma;
}

bool is_other_archive(std::string_view head) {
  return head.starts_with("7z\xbc\xaf\x27\x1c") || head.starts_with("Rar!\x1a\x07") ||
         head.starts_with("MSCF") || head.starts_with("070701") || head.starts_with("070707") ||
         is_tar(head);
}

bool matches(const Input& input) {
  return is_compressed(input.head()) || is_other_archive(input.head());
}

/// What libarchive reads through.
struct Reader {
  const format::Source* source = nullptr;
  Scan* scan = nullptr;
  uint64_t at = 0;
  std::vector<std::byte> block = std::vector<std::byte>(kBlockBytes);
};

la_ssize_t read_block(archive* handle, void* data, const void** out) {
  auto* reader = static_cast<Reader*>(data);
  const uint64_t n = std::min<uint64_t>(kBlockBytes, reader->source->size() - reader->at);
  const auto part = std::span(reader->block).first(n);
  if (!reader->scan->spend_read(n).ok() || !reader->source->read_at(reader->at, part).ok()) {
    archive_set_error(handle, ARCHIVE_FATAL, "cannot be read further");
    return -1;
  }
  reader->at += n;
  *out = reader->block.data();
  return static_cast<la_ssize_t>(n);
}

la_int64_t seek_to(archive*, void* data, la_int64_t offset, int whence) {
  auto* reader = static_cast<Reader*>(data);
  const auto size = static_cast<la_int64_t>(reader->source->size());
  la_int64_t from = 0;
  if (whence == SEEK_CUR) from = static_cast<la_int64_t>(reader->at);
  if (whence == SEEK_END) from = size;
  la_int64_t to = 0;
  if (__builtin_add_overflow(from, offset, &to)) return ARCHIVE_FATAL;
  to = std::clamp<la_int64_t>(to, 0, size);
  reader->at = static_cast<uint64_t>(to);
  return to;
}

struct ArchiveCloser {
  void operator()(archive* handle) const { archive_read_free(handle); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveCloser>;

Error fault_of(archive* handle) {
  const char* text = archive_error_string(handle);
  return make_error(ErrorCode::kCorrupt, "the archive cannot be read: {}",
                    text == nullptr ? "unknown fault" : text);
}

ArchivePtr open_archive(Reader& reader, bool is_raw) {
  ArchivePtr handle(archive_read_new());
  archive* h = handle.get();
  archive_read_support_filter_gzip(h);
  archive_read_support_filter_bzip2(h);
  archive_read_support_filter_xz(h);
  archive_read_support_filter_lzma(h);
  archive_read_support_filter_zstd(h);
  archive_read_support_filter_lz4(h);
  archive_read_support_filter_compress(h);
  if (is_raw) {
    archive_read_support_format_raw(h);
  } else {
    archive_read_support_format_tar(h);
    archive_read_support_format_7zip(h);
    archive_read_support_format_rar(h);
    archive_read_support_format_rar5(h);
    archive_read_support_format_cpio(h);
    archive_read_support_format_cab(h);
  }
  archive_read_set_read_callback(h, read_block);
  archive_read_set_seek_callback(h, seek_to);
  archive_read_set_callback_data(h, &reader);
  if (archive_read_open1(h) != ARCHIVE_OK) return nullptr;
  return handle;
}

/// The current entry's bytes, at most the limit of one entry. Returns whether that is all of it.
Result<bool> read_entry(archive* handle, Scan& scan, std::string& bytes) {
  std::string block(kBlockBytes, '\0');
  for (;;) {
    const la_ssize_t n = archive_read_data(handle, block.data(), block.size());
    if (n == 0) return true;
    if (n < 0) return fault_of(handle);
    LANTERN_TRY(scan.spend_extracted(static_cast<uint64_t>(n)));
    if (bytes.size() + static_cast<uint64_t>(n) > scan.limits().entry_bytes) return false;
    bytes.append(block, 0, static_cast<size_t>(n));
  }
}

void judge_entry(archive* handle, archive_entry* entry, bool is_raw, Scan& scan) {
  const char* path = archive_entry_pathname(entry);
  const std::string name = is_raw || path == nullptr ? "content" : path;
  const Scan::Place place(scan, name);
  const char* link = archive_entry_symlink(entry);
  if (link == nullptr) link = archive_entry_hardlink(entry);
  const bool leads_out = !is_raw && name != "." && name != "./" &&
                         !format::is_safe_path(name.starts_with("./") ? name.substr(2) : name) &&
                         !name.ends_with('/');
  const bool link_leads_out =
      link != nullptr && (link[0] == '/' || std::string_view(link).find("..") != std::string::npos);
  if (leads_out || link_leads_out)
    scan.add("archive", "archive-path", Verdict::kMalicious,
             "an entry whose name or link leads out of the folder it is unpacked in");
  if (link != nullptr) return;
  if (archive_entry_is_encrypted(entry) != 0) {
    scan.add("archive", "archive-encrypted", Verdict::kInconclusive, "an encrypted entry");
    return;
  }
  std::string bytes;
  const auto is_whole = read_entry(handle, scan, bytes);
  if (!is_whole.ok()) scan.unreadable("archive", is_whole.error());
  if (bytes.empty()) return;
  const bool is_cut = !is_whole.ok() || !*is_whole;
  if (is_whole.ok() && !*is_whole)
    scan.add("archive", "archive-too-large", Verdict::kInconclusive,
             fmt::format("more than {} bytes: only the beginning was looked at",
                         scan.limits().entry_bytes));
  // The entry's own name is the place already.
  scan.judge_nested(is_raw ? "unpacked" : "entry", bytes, is_cut);
}

/// False where nothing could be read at all.
bool walk_archive(const Input& input, Scan& scan, bool is_raw) {
  Reader reader{.source = &input.source(), .scan = &scan};
  const ArchivePtr handle = open_archive(reader, is_raw);
  if (handle == nullptr) return false;
  archive_entry* entry = nullptr;
  for (bool any = false;; any = true) {
    const int status = archive_read_next_header(handle.get(), &entry);
    if (status == ARCHIVE_EOF) return any;
    if (status < ARCHIVE_WARN) {
      if (!any) return false;
      scan.unreadable("archive", fault_of(handle.get()));
      return true;
    }
    if (auto spent = scan.spend_entry(); !spent.ok()) {
      scan.unreadable("archive", spent.error());
      return true;
    }
    judge_entry(handle.get(), entry, is_raw, scan);
  }
}

void run(const Input& input, Scan& scan) {
  // A compressed file first as what it is: what comes out is judged as any object, a tar among it.
  const bool is_raw = is_compressed(input.head());
  if (!walk_archive(input, scan, is_raw))
    scan.add("archive", "archive-unreadable", Verdict::kInconclusive,
             "begins as an archive does and cannot be read as one");
}

}  // namespace

extern const Scanner k_archive;
const Scanner k_archive = {.name = "archive", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
