// Zip archives (PyTorch, Keras, .npz, wheels): every entry is judged by its content.
//
// format/'s reader refuses an archive that two readers could see differently. Such an archive is
// inconclusive, and is searched for local headers all the same: what any reader would find in it,
// flags and checksums wrong or not, is judged too.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "format/window_source.h"
#include "format/zip.h"
#include "supply/scan/inflate.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

constexpr std::string_view kLocalHeader = "PK\x03\x04";
constexpr uint64_t kSalvageBytesMax = 512u << 20;
constexpr size_t kSalvageEntriesMax = 10'000;

bool matches(const Input& input) {
  if (input.head().starts_with(kLocalHeader) || input.head().starts_with("PK\x05\x06")) return true;
  // A reader finds the directory from the end, whatever stands before: the polyglot's way.
  constexpr uint64_t kTail = 22 + 256;
  if (input.size() < 22) return false;
  const std::string tail = input.read(input.size() - std::min(input.size(), kTail), kTail);
  return tail.find("PK\x05\x06") != tail.npos;
}

void judge_entry(const format::ZipFile& zip, const Input& input, const format::ZipEntry& entry,
                 Scan& scan) {
  // A folder's name with content under it: some readers take it for a file.
  const bool is_folder = entry.is_folder() && entry.size == 0;
  if (!format::is_safe_path(entry.name) && !is_folder) {
    const Scan::Place place(scan, entry.name);
    scan.add("zip", "archive-path", Verdict::kMalicious,
             "an entry whose name leads out of the folder it is unpacked in");
  }
  if (is_folder) return;
  if (entry.method == 0 && !entry.is_encrypted) {
    // Stored: judged where it lies, so that a tensor of gigabytes needs no memory.
    if (entry.data_offset > input.size() || entry.size > input.size() - entry.data_offset) return;
    const format::WindowSource window(input.source(), entry.data_offset, entry.size);
    scan.judge_nested(entry.name, window);
    return;
  }
  std::string bytes;
  const uint64_t bytes_max = scan.limits().entry_bytes;
  bool is_cut = false;
  const Status status = zip.extract(entry, [&](std::span<const std::byte> part) -> Status {
    LANTERN_TRY(scan.spend_extracted(part.size()));
    const uint64_t n = std::min<uint64_t>(part.size(), bytes_max - bytes.size());
    bytes.append(reinterpret_cast<const char*>(part.data()), n);
    if (n == part.size()) return {};
    is_cut = true;
    return make_error(ErrorCode::kTooLarge, "more than {} bytes", bytes_max);
  });
  if (!status.ok() && !is_cut) {
    const Scan::Place place(scan, entry.name);
    scan.unreadable("zip", status.error());
  }
  if (!bytes.empty()) scan.judge_nested(entry.name, bytes, is_cut);
}

/// Judges what local headers lead to, with no regard to directory, flags and checksums.
void salvage(const Input& input, Scan& scan) {
  const std::string bytes = input.read(0, std::min(input.size(), kSalvageBytesMax));
  size_t n_entries = 0;
  size_t at = bytes.find(kLocalHeader);
  while (at != bytes.npos && bytes.size() - at > 30 && n_entries++ < kSalvageEntriesMax) {
    const auto number = [&](size_t offset, size_t n) {
      uint32_t value = 0;
      std::memcpy(&value, bytes.data() + at + offset, n);
      return value;
    };
    const uint32_t method = number(8, 2), n_stored = number(18, 4);
    const size_t n_name = number(26, 2), n_extra = number(28, 2);
    const size_t data = at + 30 + n_name + n_extra;
    if (data > bytes.size()) break;
    if (!scan.spend_entry().ok()) return;
    const size_t next = bytes.find(kLocalHeader, at + 4);
    const std::string name = bytes.substr(at + 30, n_name);
    if (method == 8) {
      const auto inflated = inflate_prefix(std::string_view(bytes).substr(data), DeflateKind::kRaw,
                                           scan.limits().entry_bytes, scan);
      if (!inflated.bytes.empty()) scan.judge_nested(name, inflated.bytes, !inflated.is_whole);
    } else {
      size_t end = std::min(next, bytes.size());
      if (n_stored > 0 && n_stored < end - data) end = data + n_stored;
      scan.judge_nested(name, std::string_view(bytes).substr(data, end - data));
    }
    at = next;
  }
}

void run(const Input& input, Scan& scan) {
  format::ZipLimits limits;
  limits.entries = scan.limits().entries;
  limits.ratio = scan.limits().ratio_max;
  auto zip = format::ZipFile::open(std::make_unique<format::WindowSource>(input.source()), limits);
  if (!zip.ok()) {
    scan.unreadable("zip", zip.error());
    salvage(input, scan);
    return;
  }
  const size_t n_before = scan.report().findings.size();
  for (const format::ZipEntry& entry : zip->entries()) {
    if (auto status = scan.spend_entry(); !status.ok()) {
      scan.unreadable("zip", status.error());
      return;
    }
    judge_entry(*zip, input, entry, scan);
  }
  // Entries that the strict reader would not unpack (a wrong checksum, a flag) a lenient one would.
  const auto& findings = scan.report().findings;
  const bool has_fault =
      std::any_of(findings.begin() + static_cast<ptrdiff_t>(std::min(n_before, findings.size())),
                  findings.end(), [](const Finding& f) { return f.rule == "zip-unreadable"; });
  if (has_fault) salvage(input, scan);
}

}  // namespace

extern const Scanner k_zip;
const Scanner k_zip = {.name = "zip", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
