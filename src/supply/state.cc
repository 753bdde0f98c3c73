#include "supply/state.h"

#include <algorithm>
#include <array>
#include <deque>
#include <set>

#include "base/paths.h"

namespace lantern::supply {
namespace {

constexpr std::array<std::string_view, 2> kMigrations = {R"(
  CREATE TABLE imports (
    id BLOB PRIMARY KEY, by TEXT NOT NULL, source TEXT NOT NULL, in_place INTEGER NOT NULL,
    at INTEGER NOT NULL, tool TEXT NOT NULL) STRICT;
  CREATE TABLE files (
    id BLOB NOT NULL REFERENCES imports(id), digest BLOB NOT NULL,
    PRIMARY KEY (id, digest)) STRICT, WITHOUT ROWID;
  CREATE TABLE parents (
    id BLOB NOT NULL REFERENCES imports(id), parent BLOB NOT NULL,
    PRIMARY KEY (id, parent)) STRICT, WITHOUT ROWID;
  CREATE TABLE scans (
    id BLOB PRIMARY KEY, verdict TEXT NOT NULL, report TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
  CREATE TABLE approvals (
    id BLOB NOT NULL, approver TEXT NOT NULL, reason TEXT NOT NULL, scope TEXT NOT NULL,
    at INTEGER NOT NULL, expires INTEGER NOT NULL, statement TEXT NOT NULL,
    UNIQUE (id, approver, scope, at)) STRICT;
  CREATE TABLE revocations (
    digest BLOB NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (digest, source)) STRICT, WITHOUT ROWID;
  CREATE TABLE signatures (
    id BLOB NOT NULL, bundle TEXT NOT NULL, at INTEGER NOT NULL, UNIQUE (id, bundle)) STRICT;
  CREATE TABLE versions (
    what TEXT PRIMARY KEY, highest INTEGER NOT NULL, digest BLOB NOT NULL) STRICT, WITHOUT ROWID;
)",
                                                         R"(
  CREATE TABLE unlogged (
    digest BLOB NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (digest, source)) STRICT, WITHOUT ROWID;
)"};

/// A chain of derivations longer than this is a mistake or an attack.
constexpr size_t kAncestorsMax = 10'000;

}  // namespace

std::string_view model_state_name(ModelState state) {
  switch (state) {
    case ModelState::kQuarantined:
      return "quarantined";
    case ModelState::kScanned:
      return "scanned";
    case ModelState::kApproved:
      return "approved";
    case ModelState::kRevoked:
      return "revoked";
  }
  return "quarantined";
}

Result<State> State::open(const std::filesystem::path& folder) {
  LANTERN_TRY(base::make_private_folder(folder));
  LANTERN_ASSIGN(base::Database database, base::Database::open(folder / "state.db", kMigrations));
  return State(std::move(database));
}

Result<State> State::open_read_only(const std::filesystem::path& folder) {
  LANTERN_ASSIGN(base::Database database,
                 base::Database::open_read_only(folder / "state.db", kMigrations));
  return State(std::move(database));
}

Status State::record_import(const Import& import) {
  return database_.transaction([&]() -> Status {
    LANTERN_TRY(database_.run("INSERT OR IGNORE INTO imports VALUES (?, ?, ?, ?, ?, ?)",
                              {import.id, import.by, import.source,
                               static_cast<int64_t>(import.in_place), import.at, import.tool}));
    for (const base::Digest& file : import.files)
      LANTERN_TRY(database_.run("INSERT OR IGNORE INTO files VALUES (?, ?)", {import.id, file}));
    for (const base::Digest& parent : import.parents)
      LANTERN_TRY(
          database_.run("INSERT OR IGNORE INTO parents VALUES (?, ?)", {import.id, parent}));
    return {};
  });
}

Status State::record_scan(const ScanRecord& scan) {
  return database_.run("INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?)",
                       {scan.id, scan.verdict, scan.report, scan.at});
}

Status State::approve(const ApprovalRecord& a) {
  // Of two by one person within a second the later one counts.
  return database_.run("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?)",
                       {a.id, a.approver, a.reason, a.scope, a.at, a.expires, a.statement});
}

Status State::revoke(const RevocationRecord& r, Logged logged) {
  return database_.transaction([&]() -> Status {
    LANTERN_TRY(database_.run("INSERT OR IGNORE INTO revocations VALUES (?, ?, ?, ?, ?)",
                              {r.digest, r.by, r.reason, r.source, r.at}));
    if (logged == Logged::kYes) return {};
    return database_.run("INSERT OR IGNORE INTO unlogged VALUES (?, ?)", {r.digest, r.source});
  });
}

Result<std::vector<RevocationRecord>> State::unlogged_revocations() {
  std::vector<RevocationRecord> records;
  LANTERN_TRY(database_.run(
      "SELECT digest, source, by, reason, at FROM unlogged JOIN revocations USING (digest, source) "
      "ORDER BY at, digest",
      {}, [&](const base::Row& row) -> Status {
        LANTERN_ASSIGN(const base::Digest digest, row.digest(0));
        records.push_back({.digest = digest,
                           .by = row.text(2),
                           .reason = row.text(3),
                           .source = row.text(1),
                           .at = row.time(4)});
        return {};
      }));
  return records;
}

Status State::mark_logged(const RevocationRecord& r) {
  return database_.run("DELETE FROM unlogged WHERE digest = ? AND source = ?",
                       {r.digest, r.source});
}

Status State::replace_revocations(std::string_view source,
                                  std::span<const RevocationRecord> revocations,
                                  const std::optional<Floor>& floor) {
  return database_.transaction([&]() -> Status {
    LANTERN_TRY(database_.run("DELETE FROM revocations WHERE source = ?", {source}));
    for (const RevocationRecord& r : revocations)
      LANTERN_TRY(database_.run("INSERT OR IGNORE INTO revocations VALUES (?, ?, ?, ?, ?)",
                                {r.digest, r.by, r.reason, source, r.at}));
    if (!floor) return {};
    LANTERN_TRY(raise(floor->what, floor->version));
    LANTERN_ASSIGN(const auto now, highest(floor->what));
    if (now && now->version == floor->version.version && now->digest == floor->version.digest)
      return {};
    return make_error(ErrorCode::kDenied, "{}: another process has put a later version in force",
                      floor->what);
  });
}

Status State::record_signature(const SignatureRecord& s) {
  return database_.run("INSERT OR IGNORE INTO signatures VALUES (?, ?, ?)", {s.id, s.bundle, s.at});
}

Result<std::vector<SignatureRecord>> State::signatures_of(const base::Digest& id) {
  std::vector<SignatureRecord> signatures;
  LANTERN_TRY(database_.run("SELECT bundle, at FROM signatures WHERE id = ? ORDER BY at", {id},
                            [&](const base::Row& row) -> Status {
                              signatures.push_back(
                                  {.id = id, .bundle = row.text(0), .at = row.time(1)});
                              return {};
                            }));
  return signatures;
}

Result<std::optional<Import>> State::import_of(const base::Digest& id) {
  std::optional<Import> import;
  LANTERN_TRY(database_.run("SELECT by, source, in_place, at, tool FROM imports WHERE id = ?", {id},
                            [&](const base::Row& row) -> Status {
                              import = Import{.id = id,
                                              .by = row.text(0),
                                              .source = row.text(1),
                                              .in_place = row.number(2) != 0,
                                              .at = row.time(3),
                                              .tool = row.text(4)};
                              return {};
                            }));
  if (!import) return import;
  auto into = [](std::vector<base::Digest>& list) {
    return [&list](const base::Row& row) -> Status {
      LANTERN_ASSIGN(const base::Digest digest, row.digest(0));
      list.push_back(digest);
      return {};
    };
  };
  LANTERN_TRY(database_.run("SELECT digest FROM files WHERE id = ?", {id}, into(import->files)));
  LANTERN_TRY(
      database_.run("SELECT parent FROM parents WHERE id = ?", {id}, into(import->parents)));
  return import;
}

Result<std::vector<Import>> State::imports() {
  std::vector<base::Digest> ids;
  LANTERN_TRY(database_.run("SELECT id FROM imports ORDER BY at, id", {},
                            [&](const base::Row& row) -> Status {
                              LANTERN_ASSIGN(const base::Digest id, row.digest(0));
                              ids.push_back(id);
                              return {};
                            }));
  std::vector<Import> imports;
  for (const base::Digest& id : ids) {
    LANTERN_ASSIGN(std::optional<Import> import, import_of(id));
    if (import) imports.push_back(std::move(*import));
  }
  return imports;
}

Result<std::optional<ScanRecord>> State::scan_of(const base::Digest& id) {
  std::optional<ScanRecord> scan;
  LANTERN_TRY(database_.run(
      "SELECT verdict, report, at FROM scans WHERE id = ?", {id},
      [&](const base::Row& row) -> Status {
        scan =
            ScanRecord{.id = id, .verdict = row.text(0), .report = row.text(1), .at = row.time(2)};
        return {};
      }));
  return scan;
}

Result<std::vector<ApprovalRecord>> State::approvals_of(const base::Digest& id) {
  std::vector<ApprovalRecord> approvals;
  LANTERN_TRY(database_.run(
      "SELECT approver, reason, scope, at, expires, statement FROM approvals WHERE id = ? "
      "ORDER BY at",
      {id}, [&](const base::Row& row) -> Status {
        approvals.push_back({.id = id,
                             .approver = row.text(0),
                             .reason = row.text(1),
                             .scope = row.text(2),
                             .at = row.time(3),
                             .expires = row.time_if_any(4),
                             .statement = row.text(5)});
        return {};
      }));
  return approvals;
}

Result<std::vector<RevocationRecord>> State::revocations_from(std::string_view source) {
  std::vector<RevocationRecord> found;
  LANTERN_TRY(database_.run("SELECT digest, by, reason, at FROM revocations WHERE source = ?",
                            {source}, [&](const base::Row& row) -> Status {
                              LANTERN_ASSIGN(const base::Digest digest, row.digest(0));
                              found.push_back({.digest = digest,
                                               .by = row.text(1),
                                               .reason = row.text(2),
                                               .source = std::string(source),
                                               .at = row.time(3)});
                              return {};
                            }));
  return found;
}

Result<std::vector<base::Digest>> State::compositions_of_one(const base::Digest& file) {
  std::vector<base::Digest> ids;
  LANTERN_TRY(
      database_.run("SELECT id FROM files AS a WHERE digest = ?1 AND NOT EXISTS "
                    "(SELECT 1 FROM files AS b WHERE b.id = a.id AND b.digest <> ?1)",
                    {file}, [&](const base::Row& row) -> Status {
                      LANTERN_ASSIGN(const base::Digest id, row.digest(0));
                      ids.push_back(id);
                      return {};
                    }));
  return ids;
}

Result<std::vector<base::Digest>> State::lineage_of(const base::Digest& id,
                                                    std::span<const base::Digest> files) {
  std::vector<base::Digest> lineage(files.begin(), files.end());
  std::deque<base::Digest> waiting = {id};
  std::set<base::Digest> seen = {id};
  // The same single file under another name is another composition, of the same descent.
  if (files.size() == 1) {
    LANTERN_ASSIGN(const std::vector<base::Digest> namesakes, compositions_of_one(files.front()));
    for (const base::Digest& other : namesakes)
      if (seen.insert(other).second) waiting.push_back(other);
  }
  while (!waiting.empty()) {
    const base::Digest one = waiting.front();
    waiting.pop_front();
    lineage.push_back(one);
    LANTERN_ASSIGN(const std::optional<Import> import, import_of(one));
    if (!import) continue;
    lineage.insert(lineage.end(), import->files.begin(), import->files.end());
    for (const base::Digest& parent : import->parents)
      if (seen.insert(parent).second) waiting.push_back(parent);
    if (seen.size() > kAncestorsMax)
      return make_error(ErrorCode::kCorrupt, "state.db: {} has more than {} ancestors",
                        base::to_hex(id), kAncestorsMax);
  }
  return lineage;
}

Result<std::optional<RevocationRecord>> State::revocation_of(const base::Digest& id,
                                                             std::span<const base::Digest> files) {
  std::optional<RevocationRecord> found;
  LANTERN_ASSIGN(const std::vector<base::Digest> lineage, lineage_of(id, files));
  for (const base::Digest& digest : lineage) {
    LANTERN_TRY(
        database_.run("SELECT by, reason, source, at FROM revocations WHERE digest = ? LIMIT 1",
                      {digest}, [&](const base::Row& row) -> Status {
                        found = RevocationRecord{.digest = digest,
                                                 .by = row.text(0),
                                                 .reason = row.text(1),
                                                 .source = row.text(2),
                                                 .at = row.time(3)};
                        return {};
                      }));
    if (found) return found;
  }
  return found;
}

Result<ModelState> State::state_of(const base::Digest& id, std::span<const base::Digest> files,
                                   base::UtcTime now) {
  LANTERN_ASSIGN(const auto revocation, revocation_of(id, files));
  if (revocation) return ModelState::kRevoked;
  LANTERN_ASSIGN(const auto approvals, approvals_of(id));
  for (const ApprovalRecord& approval : approvals)
    if (!approval.expires || now < *approval.expires) return ModelState::kApproved;
  LANTERN_ASSIGN(const auto scan, scan_of(id));
  return scan ? ModelState::kScanned : ModelState::kQuarantined;
}

Result<std::optional<State::Version>> State::highest(std::string_view what) {
  std::optional<Version> highest;
  LANTERN_TRY(database_.run("SELECT highest, digest FROM versions WHERE what = ?", {what},
                            [&](const base::Row& row) -> Status {
                              LANTERN_ASSIGN(const base::Digest digest, row.digest(1));
                              highest = Version{.version = row.number(0), .digest = digest};
                              return {};
                            }));
  return highest;
}

Status State::raise(std::string_view what, const Version& version) {
  return database_.run(
      "INSERT INTO versions VALUES (?1, ?2, ?3) ON CONFLICT (what) DO UPDATE "
      "SET highest = ?2, digest = ?3 WHERE ?2 > highest",
      {what, version.version, version.digest});
}

namespace {

constexpr std::string_view kClockCount = "clock-corrections", kClockAhead = "clock-ahead",
                           kClockEntries = "clock-entries";

}  // namespace

Result<State::ClockCorrections> State::clock_corrections() {
  LANTERN_ASSIGN(const auto count, highest(kClockCount));
  LANTERN_ASSIGN(const auto ahead, highest(kClockAhead));
  LANTERN_ASSIGN(const auto entries, highest(kClockEntries));
  ClockCorrections corrections;
  if (count) corrections.count = count->version;
  if (ahead) corrections.ahead_until = base::UtcTime(std::chrono::seconds(ahead->version));
  if (entries) corrections.n_entries = entries->version;
  return corrections;
}

Status State::correct_clock(const ClockCorrections& corrections) {
  return database_.transaction([&]() -> Status {
    LANTERN_TRY(
        raise(kClockAhead, {.version = corrections.ahead_until.time_since_epoch().count()}));
    LANTERN_TRY(raise(kClockEntries, {.version = corrections.n_entries}));
    return raise(kClockCount, {.version = corrections.count});
  });
}

Status State::set_log_position(const Version& position) {
  // Each load moves it, and losing the last moves costs nothing: it is worth no fsync.
  LANTERN_TRY(database_.run("PRAGMA synchronous = NORMAL"));
  Status set = database_.run("INSERT OR REPLACE INTO versions VALUES (?, ?, ?)",
                             {kLogPosition, position.version, position.digest});
  LANTERN_TRY(database_.run("PRAGMA synchronous = FULL"));
  return set;
}

}  // namespace lantern::supply
