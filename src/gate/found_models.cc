#include "gate/found_models.h"

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include "gate/resolve.h"
#include "gate/store.h"
#include "supply/catalog.h"

namespace lantern::gate {

namespace fs = std::filesystem;

/// A file whose digest is on record.
struct FoundModels::Known {
  base::Digest digest{};
  fs::path path;
  base::FileStamp stamp;                     // as it lies there now
  bool is_blob = false;                      // the store's own copy, which nobody writes to
  std::map<uint64_t, base::Digest> headers;  // by length, as they were asked for
};

namespace {

std::optional<base::Digest> digest_of_front(const fs::path& path, uint64_t bytes) {
  const auto file = base::ReadFile::open(path);
  if (!file.ok() || bytes > file->size()) return std::nullopt;
  base::Sha256 sha;
  std::vector<std::byte> buffer(256u << 10);
  for (uint64_t at = 0; at < bytes; at += buffer.size()) {
    const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), bytes - at));
    if (!file->read_at(at, piece).ok()) return std::nullopt;
    sha.update(piece);
  }
  return sha.finish();
}

std::optional<base::FileStamp> stamp_at(const fs::path& path) {
  const auto file = base::ReadFile::open(path);
  if (!file.ok()) return std::nullopt;
  const auto stamp = base::stamp_of(file->fd(), path);
  return stamp.ok() ? std::optional(*stamp) : std::nullopt;
}

}  // namespace

std::string_view found_verdict_name(FoundVerdict verdict) {
  switch (verdict) {
    case FoundVerdict::kApproved:
      return "approved";
    case FoundVerdict::kKnown:
      return "known";
    case FoundVerdict::kRevoked:
      return "revoked";
    case FoundVerdict::kUnknown:
      break;
  }
  return "unknown";
}

FoundModels::FoundModels(Governance governance)
    : governance_(std::make_unique<Governance>(std::move(governance))) {}
FoundModels::FoundModels(FoundModels&&) noexcept = default;
FoundModels& FoundModels::operator=(FoundModels&&) noexcept = default;
FoundModels::~FoundModels() = default;

Result<FoundModels> FoundModels::open() {
  LANTERN_ASSIGN(Governance governance, Governance::open_to_look());
  FoundModels found(std::move(governance));
  // Before the listing: what changes meanwhile is read again.
  LANTERN_ASSIGN(std::tie(found.data_version_, found.policy_version_), found.versions());
  LANTERN_TRY(found.list_known());
  return found;
}

/// Of the state, and of the policy in force, -1 where there is none.
Result<std::pair<int64_t, int64_t>> FoundModels::versions() {
  LANTERN_ASSIGN(const int64_t data, governance_->state().data_version());
  const Result<PolicyPtr>& policy = governance_->policy();
  return std::pair(data, policy.ok() ? (*policy)->version : -1);
}

Result<bool> FoundModels::changed() {
  LANTERN_ASSIGN(const auto now, versions());
  return now != std::pair(data_version_, policy_version_);
}

Status FoundModels::list_known() {
  LANTERN_ASSIGN(const supply::Store store, open_store());
  LANTERN_ASSIGN(const supply::Store::Listing listing, store.list());
  const auto add = [&](const base::Digest& digest, const fs::path& path, const std::string& name,
                       bool is_blob) {
    names_.emplace(digest, name);
    if (const auto stamp = stamp_at(path))
      known_.push_back(
          {.digest = digest, .path = path, .stamp = *stamp, .is_blob = is_blob, .headers = {}});
  };
  for (const supply::StoredModel& model : listing.models)
    for (const supply::ManifestFile& file : model.manifest.files)
      add(file.digest, store.blob_path(file.digest), model.name(), true);
  LANTERN_ASSIGN(const std::vector<supply::Import> imports, governance_->state().imports());
  constexpr std::string_view kPath = "path:";  // as Composition::source names what lies in place
  for (const supply::Import& import : imports) {
    // Of several files the records do not say which is which.
    if (import.files.size() != 1 || !import.source.starts_with(kPath)) continue;
    const fs::path path = import.source.substr(kPath.size());
    add(import.files.front(), path, path.filename().string(), false);
  }
  LANTERN_ASSIGN(const std::vector<supply::CatalogEntry> catalog, supply::read_catalog());
  for (const supply::CatalogEntry& entry : catalog) {
    names_.emplace(entry.digest, entry.alias);
    catalog_sizes_.push_back(entry.size);
  }
  return {};
}

std::optional<base::Digest> FoundModels::by_header(const FoundFile& file) {
  if (!file.header) return std::nullopt;
  for (Known& one : known_) {
    if (one.stamp.size != file.size) continue;
    if (!one.headers.contains(file.header_bytes)) {
      const auto digest = digest_of_front(one.path, file.header_bytes);
      if (!digest) continue;
      one.headers.emplace(file.header_bytes, *digest);
    }
    if (one.headers.at(file.header_bytes) == *file.header) return one.digest;
  }
  return std::nullopt;
}

/// The catalog knows digests of whole files alone: one that has the size of an entry is hashed,
/// where that takes a moment.
std::optional<base::Digest> FoundModels::by_catalog(const FoundFile& file) const {
  constexpr uint64_t kHashedBytesMax = 1u << 30;
  if (file.path.empty() || file.size > kHashedBytesMax || file.stamp.inode == 0 ||
      std::find(catalog_sizes_.begin(), catalog_sizes_.end(), file.size) == catalog_sizes_.end() ||
      stamp_at(file.path) != file.stamp)
    return std::nullopt;
  const auto digest = digest_of_front(file.path, file.size);
  return digest && names_.contains(*digest) ? digest : std::nullopt;
}

Result<FoundStanding> FoundModels::of_digest(const base::Digest& digest, std::string matched_by) {
  FoundStanding standing{.matched_by = std::move(matched_by)};
  const auto name = names_.find(digest);
  if (name != names_.end()) standing.model = name->second;
  const auto take = [&](const Composition& model) -> Status {
    LANTERN_ASSIGN(const policy::Facts facts, governance_->facts(model, policy::Action::kLoad));
    if (facts.revoked.value_or(false))
      standing.verdict = FoundVerdict::kRevoked;
    else if (standing.verdict != FoundVerdict::kRevoked &&
             (facts.state == policy::ModelState::kApproved || governance_->decide(facts).allowed()))
      standing.verdict = FoundVerdict::kApproved;
    return {};
  };
  // The file by itself: whether it is revoked, and whether the catalog alone lets it run.
  const std::vector<base::Digest> files = {digest};
  LANTERN_ASSIGN(const auto in_catalog, catalog_entry(files));
  LANTERN_TRY(take({.id = digest, .files = files, .in_catalog = in_catalog.has_value()}));
  LANTERN_ASSIGN(const std::vector<supply::Import> imports, governance_->state().imports());
  bool imported = false;
  for (const supply::Import& import : imports) {
    if (std::find(import.files.begin(), import.files.end(), digest) == import.files.end()) continue;
    imported = true;
    LANTERN_ASSIGN(const auto entry, catalog_entry(import.files));
    LANTERN_TRY(take({.id = import.id, .files = import.files, .in_catalog = entry.has_value()}));
  }
  if (standing.verdict == FoundVerdict::kUnknown && (imported || name != names_.end()))
    standing.verdict = FoundVerdict::kKnown;
  if (standing.verdict == FoundVerdict::kUnknown) standing.matched_by.clear();
  return standing;
}

Result<FoundStanding> FoundModels::standing(const FoundFile& file) {
  if (file.digest) return of_digest(*file.digest, "digest");
  if (file.stamp.inode != 0)
    for (const Known& one : known_)
      if (one.is_blob && one.stamp == file.stamp) return of_digest(one.digest, "inode");
  if (const auto digest = by_header(file)) return of_digest(*digest, "header");
  if (const auto digest = by_catalog(file)) return of_digest(*digest, "digest");
  return FoundStanding{};
}

}  // namespace lantern::gate
