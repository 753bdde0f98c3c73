#include "supply/advisories/advisory_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <unordered_set>

#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/printable.h"
#include "supply/advisories/advisory_file.h"
#include "supply/advisories/record_reader.h"
#include "supply/manifest.h"
#include "supply/names.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kRecordsBytesMax = 256u << 20;  // of one file, which may be a list of records
constexpr uint64_t kImportBytesMax = 2u << 30;     // of all files of an import, held in memory
constexpr size_t kFilesMax = 1'000'000;
constexpr int kFolderDepthMax = 16;

Error cancelled() { return Error{ErrorCode::kCancelled, "the import was interrupted"}; }

struct Found {
  std::vector<fs::path> files;
  std::vector<std::string> left_alone;
};

Result<Found> find_files(const fs::path& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (!fs::exists(status))
    return make_error(ErrorCode::kNotFound, "{}: no such file or folder", path.string());
  if (!fs::is_directory(status)) return Found{.files = {path}, .left_alone = {}};
  Found found;
  fs::recursive_directory_iterator it(path, code), end;
  for (; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (it.depth() > kFolderDepthMax)
      return make_error(ErrorCode::kTooLarge, "{}: folders nested deeper than {}", path.string(),
                        kFolderDepthMax);
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) continue;
    if (found.files.size() + found.left_alone.size() == kFilesMax)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} files", path.string(), kFilesMax);
    const bool taken = !it->is_symlink(ignored) && it->is_regular_file(ignored) &&
                       ends_with_ignoring_case(it->path().filename().string(), ".json");
    if (taken) {
      found.files.push_back(it->path());
    } else {
      found.left_alone.push_back(it->path().string());
    }
  }
  if (code) return base::errno_error(code.value(), path.string());
  std::sort(found.files.begin(), found.files.end());
  std::sort(found.left_alone.begin(), found.left_alone.end());
  return found;
}

/// What an import has read.
struct Read {
  std::vector<RecordToWrite> records;
  std::vector<ManifestFile> files;  // they came from
  size_t n_statements = 0;
  uint64_t bytes = 0;
};

/// One record of a file: which kind it is shows in it.
Result<RecordToWrite> read_record(const base::Json& json, std::string text,
                                  const std::string& where, Read& read) {
  RecordToWrite record;
  if (json.is_object() && json.contains("@context")) {
    LANTERN_ASSIGN(const VexDocument document, read_openvex(json, where));
    record.kind = RecordKind::kVex;
    record.id = percent_encode(document.id);
    record.modified = document.time;
    record.version = document.version;
    record.keys = keys_of(document);
    read.n_statements += document.statements.size();
  } else if (json.is_object() && json.contains("id")) {
    LANTERN_ASSIGN(const Advisory advisory, read_osv(json, where));
    record.id = percent_encode(advisory.id);
    record.modified = advisory.modified;
    record.keys = keys_of(advisory);
  } else {
    return make_error(ErrorCode::kUnsupported,
                      "{}: neither an OSV record (id, modified) nor an OpenVEX document (@context)",
                      where);
  }
  record.sha256 = base::to_hex(base::sha256(text));
  record.text = std::move(text);
  return record;
}

/// All records of one file.
Status read_file(const fs::path& path, Read& read) {
  LANTERN_ASSIGN(std::string text, base::read_text_file(path, kRecordsBytesMax));
  read.files.push_back({.path = path.string(), .size = text.size(), .digest = base::sha256(text)});
  read.bytes += text.size();
  if (read.bytes > kImportBytesMax)
    return make_error(ErrorCode::kTooLarge,
                      "{}: more than {} bytes in one import: take it in parts", path.string(),
                      kImportBytesMax);
  const std::string where = path.string();
  LANTERN_ASSIGN(const base::Json json, base::parse_json(text, where,
                                                         {.bytes_max = kRecordsBytesMax,
                                                          .depth_max = kRecordDepthMax + 1}));
  if (!json.is_array()) {
    if (text.size() > kRecordBytesMax)
      return make_error(ErrorCode::kTooLarge, "{}: {} bytes, a record has at most {}", where,
                        text.size(), kRecordBytesMax);
    LANTERN_ASSIGN(RecordToWrite record, read_record(json, std::move(text), where, read));
    read.records.push_back(std::move(record));
    return {};
  }
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string each = fmt::format("{}: record {}", where, i + 1);
    std::string own =
        json[i].dump(-1, ' ', false, base::Json::error_handler_t::replace);  // UTF-8 already
    if (own.size() > kRecordBytesMax)
      return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", each, own.size(),
                        kRecordBytesMax);
    LANTERN_ASSIGN(RecordToWrite record, read_record(json[i], std::move(own), each, read));
    read.records.push_back(std::move(record));
  }
  return {};
}

RecordToWrite kept(const RecordEntry& entry) {
  return {.kind = entry.kind,
          .id = std::string(entry.id),
          .modified = entry.modified,
          .version = entry.version,
          .keys = std::string(entry.keys),
          .sha256 = std::string(entry.sha256),
          .old = entry};
}

bool is_older(const RecordToWrite& a, const RecordToWrite& b) {
  if (a.version != b.version) return a.version < b.version;
  return a.modified < b.modified;
}

using Records = std::map<std::pair<RecordKind, std::string>, RecordToWrite>;

/// Takes `records` into what is here, by id.
void merge(std::vector<RecordToWrite> records, Records& all, AdvisoryImport& report) {
  for (RecordToWrite& record : records) {
    auto key = std::pair(record.kind, record.id);
    const auto found = all.find(key);
    if (found == all.end()) {
      ++report.n_new;
      all.emplace(std::move(key), std::move(record));
    } else if (found->second.sha256 == record.sha256) {
      ++report.n_unchanged;
    } else if (is_older(record, found->second)) {
      ++report.n_older;
    } else {
      ++report.n_replaced;
      found->second = std::move(record);
    }
  }
}

Result<base::UniqueFd> lock(const fs::path& folder) {
  LANTERN_TRY(base::make_private_folder(folder));
  const fs::path path = folder / "lock";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  while (::flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return base::errno_error(errno, path.string());
  return fd;
}

bool has_key(const RecordEntry& entry, const std::unordered_set<std::string_view>& keys) {
  std::string_view rest = entry.keys;
  while (rest.starts_with('\t')) {
    rest.remove_prefix(1);
    const std::string_view one = rest.substr(0, rest.find('\t'));
    if (keys.contains(one)) return true;
    rest.remove_prefix(one.size());
  }
  return false;
}

fs::path database(const fs::path& folder) { return folder / "advisories.db"; }

/// `files` are those of a folder by their paths inside it, or the one that `path` names.
base::Digest digest_of(const fs::path& path, std::vector<ManifestFile> files) {
  if (files.size() == 1 && fs::path(files[0].path) == path) return files[0].digest;
  for (ManifestFile& file : files)
    file.path = fs::path(file.path).lexically_relative(path).generic_string();
  return composition_id(files);
}

}  // namespace

Result<AdvisoryStore> AdvisoryStore::of_user() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return AdvisoryStore(folders.data / "advisories");
}

bool AdvisoryStore::exists() const {
  std::error_code unknown;
  return fs::exists(database(folder_), unknown);
}

Result<AdvisoryImport> AdvisoryStore::import(
    const fs::path& path, const std::stop_token& stop,
    const std::function<Status(const AdvisoryImport&)>& before) const {
  LANTERN_ASSIGN(Found found, find_files(path));
  Read read;
  for (const fs::path& file : found.files) {
    if (stop.stop_requested()) return cancelled();
    LANTERN_TRY(read_file(file, read));
  }
  if (read.records.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: no advisory in it (*.json)", path.string());
  AdvisoryImport report{.n_read = read.records.size(),
                        .n_statements = read.n_statements,
                        .digest = digest_of(path, read.files),
                        .left_alone = std::move(found.left_alone)};
  LANTERN_ASSIGN(const base::UniqueFd held, lock(folder_));
  auto old_file = AdvisoryFile::open(database(folder_));
  if (!old_file.ok() && old_file.error().code != ErrorCode::kNotFound)
    return std::move(old_file).error();
  Records all;
  if (old_file.ok())
    for (const RecordEntry& entry : old_file->entries())
      all.emplace(std::pair(entry.kind, std::string(entry.id)), kept(entry));
  merge(std::move(read.records), all, report);
  report.n_total = all.size();
  if (before) LANTERN_TRY(before(report));
  if (report.n_new + report.n_replaced == 0) return report;
  std::vector<RecordToWrite> sorted;
  sorted.reserve(all.size());
  for (auto& [key, record] : all) sorted.push_back(std::move(record));
  if (stop.stop_requested()) return cancelled();
  LANTERN_TRY(write_advisory_file(database(folder_), sorted, old_file.ok() ? &*old_file : nullptr));
  return report;
}

Result<std::vector<AdvisoryMatch>> AdvisoryStore::match(const AdvisorySubject& subject) const {
  std::vector<AdvisoryMatch> matches;
  auto file = AdvisoryFile::open(database(folder_));
  if (!file.ok()) {
    if (file.error().code == ErrorCode::kNotFound) return matches;
    return std::move(file).error();
  }
  const std::vector<std::string> own = keys_of(subject);
  const std::unordered_set<std::string_view> keys(own.begin(), own.end());
  std::vector<VexDocument> documents;
  for (const RecordEntry& entry : file->entries()) {
    if (!has_key(entry, keys)) continue;
    LANTERN_ASSIGN(const std::string text, file->read(entry));
    const std::string where = fmt::format("advisory {}", base::printable(entry.id));
    if (entry.kind == RecordKind::kVex) {
      LANTERN_ASSIGN(VexDocument document, parse_openvex(text, where));
      documents.push_back(std::move(document));
    } else {
      LANTERN_ASSIGN(const Advisory advisory, parse_osv(text, where));
      if (auto match = match_advisory(advisory, subject)) matches.push_back(std::move(*match));
    }
  }
  apply_vex(documents, subject, matches);
  std::sort(matches.begin(), matches.end(), [](const auto& a, const auto& b) {
    if (a.standing != b.standing) return a.standing > b.standing;
    // Unknown may be anything, so it comes first.
    const bool a_unknown = a.severity == Severity::kUnknown;
    const bool b_unknown = b.severity == Severity::kUnknown;
    if (a_unknown != b_unknown) return a_unknown;
    if (a.severity != b.severity) return a.severity > b.severity;
    return a.id < b.id;
  });
  return matches;
}

Result<AdvisoryStore::Count> AdvisoryStore::count() const {
  Count count;
  auto file = AdvisoryFile::open(database(folder_));
  if (!file.ok()) {
    if (file.error().code == ErrorCode::kNotFound) return count;
    return std::move(file).error();
  }
  for (const RecordEntry& entry : file->entries())
    ++(entry.kind == RecordKind::kOsv ? count.n_advisories : count.n_vex);
  return count;
}

Standing worst_standing(std::span<const AdvisoryMatch> matches) {
  Standing worst = Standing::kNotAffected;
  for (const AdvisoryMatch& match : matches) worst = std::max(worst, match.standing);
  return worst;
}

}  // namespace lantern::supply
