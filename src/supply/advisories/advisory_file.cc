#include "supply/advisories/advisory_file.h"

#include <charconv>
#include <set>

#include "base/checked.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

constexpr std::string_view kMagic = "lantern-advisories 1 ";
constexpr size_t kHeaderBytesMax = 64;
constexpr uint64_t kIndexBytesMax = 512u << 20;
constexpr uint64_t kFileBytesMax = uint64_t{4} << 30;
constexpr size_t kRecordsMax = 2'000'000;

/// The next field, up to `end` or the end of the text.
std::string_view take(std::string_view& text, char end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view field = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return field;
}

template <typename T>
bool take_number(std::string_view& text, char end, T& value) {
  const std::string_view field = take(text, end);
  const auto [last, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc() && last == field.data() + field.size();
}

std::optional<RecordEntry> parse_line(std::string_view line) {
  RecordEntry entry;
  const std::string_view kind = take(line, '\t');
  if (kind != "osv" && kind != "vex") return std::nullopt;
  entry.kind = kind == "osv" ? RecordKind::kOsv : RecordKind::kVex;
  entry.sha256 = take(line, '\t');
  if (!base::digest_from_hex(entry.sha256).ok()) return std::nullopt;
  if (!take_number(line, '\t', entry.offset) || !take_number(line, '\t', entry.bytes) ||
      !take_number(line, '\t', entry.modified.seconds) ||
      !take_number(line, '\t', entry.modified.nanoseconds) ||
      !take_number(line, '\t', entry.version))
    return std::nullopt;
  const size_t tab = std::min(line.find('\t'), line.size());
  entry.id = line.substr(0, tab);
  entry.keys = line.substr(tab);
  return entry.id.empty() ? std::nullopt : std::optional(entry);
}

std::string key(char kind, std::string_view text) {
  return std::string(1, kind) + percent_encode(text, true);
}

std::string joined(const std::set<std::string>& keys) {
  std::string text;
  for (const std::string& one : keys) text += "\t" + one;
  return text;
}

void add_digests(std::span<const base::Digest> digests, std::set<std::string>& keys) {
  for (const base::Digest& digest : digests) keys.insert(key('d', base::to_hex(digest)));
}

void add_product(const VexProduct& product, std::set<std::string>& keys) {
  add_digests(product.digests, keys);
  if (!product.package_key.empty()) keys.insert(key('p', product.package_key));
}

}  // namespace

Result<AdvisoryFile> AdvisoryFile::open(const std::filesystem::path& path) {
  LANTERN_ASSIGN(base::ReadFile opened, base::ReadFile::open(path));
  AdvisoryFile file(std::move(opened));
  auto wrong = [&](std::string_view fault) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: {}: remove the file and import the advisories again", path.string(),
                      fault);
  };
  std::string head(std::min<uint64_t>(kHeaderBytesMax, file.file_.size()), '\0');
  LANTERN_TRY(file.file_.read_at(0, std::as_writable_bytes(std::span(head))));
  std::string_view rest = head;
  const size_t line_end = rest.find('\n');
  if (!rest.starts_with(kMagic) || line_end == std::string_view::npos)
    return wrong("does not begin as it should");
  std::string_view numbers = rest.substr(kMagic.size(), line_end - kMagic.size());
  size_t n_records = 0;
  uint64_t index_bytes = 0;
  if (!take_number(numbers, ' ', n_records) || !take_number(numbers, ' ', index_bytes))
    return wrong("its first line has no numbers");
  const uint64_t begin = line_end + 1;
  if (n_records > kRecordsMax || index_bytes > kIndexBytesMax ||
      index_bytes > file.file_.size() - begin)
    return wrong("is shorter than its index says");
  file.index_.resize(index_bytes);
  LANTERN_TRY(file.file_.read_at(begin, std::as_writable_bytes(std::span(file.index_))));
  file.records_begin_ = begin + index_bytes;
  LANTERN_TRY(file.parse_index(n_records));
  return file;
}

Status AdvisoryFile::parse_index(size_t n_records) {
  std::string_view text(index_.data(), index_.size());
  const uint64_t records_bytes = file_.size() - records_begin_;
  entries_.reserve(std::min(n_records, text.size() / 64));
  while (!text.empty()) {
    const auto entry = parse_line(take(text, '\n'));
    if (!entry || entry->bytes > records_bytes || entry->offset > records_bytes - entry->bytes)
      return make_error(ErrorCode::kCorrupt,
                        "{}: line {} of its index is damaged: remove the file and import the "
                        "advisories again",
                        file_.path().string(), entries_.size() + 2);
    entries_.push_back(*entry);
  }
  if (entries_.size() == n_records) return {};
  return make_error(ErrorCode::kCorrupt,
                    "{}: {} records of {}: remove the file and import the advisories again",
                    file_.path().string(), entries_.size(), n_records);
}

Result<std::string> AdvisoryFile::read(const RecordEntry& entry) const {
  std::string text(entry.bytes, '\0');
  LANTERN_TRY(
      file_.read_at(records_begin_ + entry.offset, std::as_writable_bytes(std::span(text))));
  if (base::to_hex(base::sha256(text)) != entry.sha256)
    return make_error(ErrorCode::kCorrupt,
                      "{}: the record {} is not the one that was imported: remove the file and "
                      "import the advisories again",
                      file_.path().string(), entry.id);
  return text;
}

Status write_advisory_file(const std::filesystem::path& path,
                           std::span<const RecordToWrite> records, const AdvisoryFile* old_file) {
  std::string index;
  base::CheckedSize offset = 0;
  for (const RecordToWrite& record : records) {
    const uint64_t bytes = record.old ? record.old->bytes : record.text.size();
    index += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}{}\n",
                         record.kind == RecordKind::kOsv ? "osv" : "vex", record.sha256,
                         offset.value().value_or(0), bytes, record.modified.seconds,
                         record.modified.nanoseconds, record.version, record.id, record.keys);
    offset = offset + bytes;
  }
  if (records.size() > kRecordsMax || index.size() > kIndexBytesMax || !offset.value() ||
      *offset.value() > kFileBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: more advisories than fit ({} records)",
                      path.string(), records.size());
  LANTERN_ASSIGN(base::AtomicFile file, base::AtomicFile::create(path));
  LANTERN_TRY(file.write(fmt::format("{}{} {}\n", kMagic, records.size(), index.size())));
  LANTERN_TRY(file.write(index));
  std::string batch;  // records are small: write many at once
  for (const RecordToWrite& record : records) {
    if (record.old) {
      LANTERN_ASSIGN(const std::string text, old_file->read(*record.old));
      batch += text;
    } else {
      batch += record.text;
    }
    if (batch.size() < (1u << 20)) continue;
    LANTERN_TRY(file.write(batch));
    batch.clear();
  }
  LANTERN_TRY(file.write(batch));
  return file.commit();
}

std::string keys_of(const Advisory& advisory) {
  std::set<std::string> keys;
  add_digests(advisory.digests, keys);
  for (const OsvAffected& affected : advisory.affected) {
    add_digests(affected.digests, keys);
    if (!affected.package_key.empty()) keys.insert(key('p', affected.package_key));
    for (const OsvRange& range : affected.ranges)
      if (const std::string repo = repository_key(range.repo); !repo.empty())
        keys.insert(key('r', repo));
  }
  return joined(keys);
}

std::string keys_of(const VexDocument& document) {
  std::set<std::string> keys;
  for (const VexStatement& statement : document.statements)
    for (const VexProduct& product : statement.products) add_product(product, keys);
  return joined(keys);
}

std::vector<std::string> keys_of(const AdvisorySubject& subject) {
  std::set<std::string> keys;
  add_digests(subject.files, keys);
  keys.insert(key('d', base::to_hex(subject.id)));
  for (const PackageUrl& package : subject.packages) keys.insert(key('p', package.key()));
  for (const std::string& repo : subject.repositories) keys.insert(key('r', repo));
  return {keys.begin(), keys.end()};
}

}  // namespace lantern::supply
